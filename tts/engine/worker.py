"""The processes at work on one folder: who they are, and which of them has what in hand.

Each holds a lock file while it is there, whose name says who it is and whose size is the number of finished
items of the shard in hand, and one for each shard that it makes. To make a shard twice would do no harm,
since its file is the same and appears by renaming.
"""

from __future__ import annotations

import os
import platform
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tts.engine.folder import WORK
from tts.errors import RunError, reason
from tts.locks import SUFFIX, Lock, is_locked

POLL = 0.2
"""Seconds between two tries to get a lock."""


@dataclass(frozen=True)
class Peer:
    """A process at work: its number and machine in words, and the finished items of the shard in hand."""

    name: str
    items: int


class Worker:
    """This process among those that work in a folder; to be used in a ``with`` block around the work."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._locks: dict[str, Lock] = {}
        node = re.sub(r"[^\w.]", "-", platform.node())[:60]
        self._name = f"worker-{os.getpid()}-{node}-{uuid.uuid4().hex[:8]}"
        self._items = 0

    def __enter__(self) -> Worker:
        """Be there."""
        self.wait_for(self._name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give everything back."""
        for name in list(self._locks):
            self.release(name)
        with suppress(OSError):  # the last one to leave a finished run
            self.folder.rmdir()

    @property
    def items(self) -> int:
        """Finished items of the shard in hand, for everyone's progress."""
        return self._items

    @items.setter
    def items(self, number: int) -> None:
        self._items = number
        if self._name in self._locks:
            with suppress(OSError):
                os.truncate(self._locks[self._name].descriptor, number)

    def take(self, name: str) -> bool:
        """Take something in hand; false if another one has it."""
        lock = Lock.take(self.folder / f"{name}{SUFFIX}")
        if lock is not None:
            self._locks[name] = lock
        return lock is not None

    def release(self, name: str) -> None:
        """Give something back, if it was taken."""
        lock = self._locks.pop(name, None)
        if lock is not None:
            lock.release()

    def wait_for(self, name: str) -> None:
        """Take something in hand as soon as it is free."""
        self._locks[name] = _wait_for(self.folder, name)

    @contextmanager
    def holding(self, name: str) -> Iterator[bool]:
        """Take something for a block, whose value says whether that worked."""
        taken = self.take(name)
        try:
            yield taken
        finally:
            if taken:
                self.release(name)

    def others(self) -> list[Peer]:
        """The other processes in the folder; the files of dead ones are removed."""
        return _peers(self.folder, self._name, clean=True)


def at_work(folder: Path) -> list[Peer]:
    """The processes at work in a run folder, as seen from outside: nothing is changed."""
    return _peers(folder / WORK)


def who(peers: list[Peer]) -> str:
    """Processes in words, as in ``process 17 on node3``."""
    return " and ".join(peer.name for peer in peers)


@contextmanager
def opening(folder: Path) -> Iterator[None]:
    """Be the only one that opens, replaces or tidies a run folder."""
    lock = _wait_for(folder / WORK, "open")
    try:
        yield
    finally:
        lock.release()
        with suppress(OSError):
            (folder / WORK).rmdir()


def _wait_for(folder: Path, name: str) -> Lock:
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)  # the last one to leave may just remove it
        except OSError as error:
            raise RunError(
                f"cannot write {folder} ({reason(error)}); check the space and the rights there"
            ) from error
        if lock := Lock.take(folder / f"{name}{SUFFIX}"):
            return lock
        time.sleep(POLL)


def _peers(work: Path, own: str = "", clean: bool = False) -> list[Peer]:
    found = []
    for path in sorted(work.glob(f"worker-*{SUFFIX}")):
        if path.stem == own:
            continue
        if is_locked(path):
            found.append(_peer(path))
        elif clean and not path.is_dir() and (lock := Lock.take(path)):
            lock.release()
    return found


def _peer(path: Path) -> Peer:
    match = re.fullmatch(r"worker-(\d+)-(.*)-\w+", path.stem)
    try:
        items = path.stat().st_size
    except OSError:
        items = 0
    return Peer(f"process {match[1]} on {match[2]}" if match else "a process", items)
