"""Claims on shards: small files on a shared file system that say which process is at work on what.

Every process keeps a presence file, which a thread writes anew every few seconds. A claim counts while its
owner's presence is younger than the lease; on the same machine a process that is gone frees it at once. To
make a shard twice does no harm, since its file is the same and appears by renaming.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tts.errors import RunError, reason
from tts.io import process_tag

POLL = 0.2
"""Seconds between two tries to get a claim."""

LEASE = 60.0
"""Seconds without a sign of life after which a process on another machine counts as dead."""


@dataclass(frozen=True)
class Presence:
    """What a process says of itself: who it is, and how many items of the shard in hand it has finished.

    It is not ``working`` yet while it opens the folder; ``tag`` is in the names of its temporary files.
    """

    worker: str
    host: str
    pid: int
    born: str
    tag: str
    working: bool = False
    items: int = 0

    @classmethod
    def of_this_process(cls) -> Presence:
        """A new identity."""
        pid = os.getpid()
        return cls(uuid.uuid4().hex[:12], _host(), pid, _born(pid), process_tag())

    def gone(self) -> bool:
        """Whether this was a process of this machine that does not run any more."""
        return self.host == _host() and _born(self.pid) != self.born


def _host() -> str:
    """A name for this machine since it was started, and for the process numbers that hold here."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _born(pid: int) -> str:
    """When a process started, as the system counts; "" if there is none with this number."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if after_name[0] in "ZX" else after_name[19]  # zombies are dead
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
    try:  # no /proc: only whether it runs
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return "running"


class Worker:
    """This process among those that work in a folder; to be used in a ``with`` block around the work."""

    def __init__(self, folder: Path, lease: float = LEASE) -> None:
        self.folder, self.lease = folder, lease
        self.presence = Presence.of_this_process()
        self.items = 0  # finished items of the shard in hand, for everyone's progress
        self.working = False
        self._held: set[str] = set()
        self._end, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._beat, name="presence", daemon=True)

    def __enter__(self) -> Worker:
        """Say that this process is there, again and again."""
        try:
            self._arrive()
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        self._thread.start()
        return self

    def _arrive(self, attempts: int = 10) -> None:
        """Announce this process in the folder, which the last one to leave may just remove."""
        for _ in range(attempts - 1):
            with suppress(FileNotFoundError):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._announce()
                return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._announce()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give back all claims."""
        self._end.set()
        self._thread.join()
        for name in list(self._held):
            self.release(name)
        with suppress(OSError):
            self._path(self.presence.worker).unlink()
        with suppress(OSError):  # the last one to leave a finished run
            self.folder.rmdir()

    def begin(self) -> None:
        """Say that this process is at work from now on."""
        self.working = True
        with suppress(OSError):
            self._announce()

    def take(self, name: str) -> bool:
        """Claim something; false if another living process has it."""
        path = self.folder / f"claim-{name}"
        for _ in range(2):
            try:
                descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                if not self._expired(path):
                    return False
                continue
            except FileNotFoundError:  # another process has finished the run and removed the folder
                return False
            except OSError as error:
                raise _unwritable(path, error) from error
            self._held.add(name)
            try:
                with os.fdopen(descriptor, "w") as file:
                    file.write(self.presence.worker)
            except OSError as error:
                path.unlink(missing_ok=True)
                raise _unwritable(path, error) from error
            return True
        return False

    def release(self, name: str) -> None:
        """Give back a claim of this process."""
        self._held.discard(name)
        path = self.folder / f"claim-{name}"
        with suppress(OSError):
            if path.read_text() == self.presence.worker:
                path.unlink()

    def wait_for(self, name: str) -> None:
        """Claim something as soon as it is free."""
        while not self.take(name):
            if not self.folder.is_dir():
                raise RunError(f"{self.folder.parent} was removed while it was in use; start the run again")
            time.sleep(POLL)

    @contextmanager
    def holding(self, name: str) -> Iterator[bool]:
        """Claim something for a block, whose value says whether that worked."""
        taken = self.take(name)
        try:
            yield taken
        finally:
            if taken:
                self.release(name)

    def others(self) -> list[Presence]:
        """The other living processes of the folder; what dead ones left is removed."""
        now, found = self._now(), []
        for path in sorted(self.folder.glob("worker-*.json")):
            presence = _read(path)
            if presence is None or presence.worker == self.presence.worker:
                continue
            if self._dead(path, presence, now):
                with suppress(OSError):
                    path.unlink()
            else:
                found.append(presence)
        return found

    def _expired(self, path: Path) -> bool:
        """Remove a claim whose owner is dead; true if it may now be taken."""
        try:
            owner, now = path.read_text(), self._now()
            if not owner:  # its owner is about to write its name, or the disk is full
                dead = now - path.stat().st_mtime > self.lease
            else:
                presence_path = self._path(owner)
                dead = self._dead(presence_path, _read(presence_path), now)
            if not dead:
                return False
            moved = path.with_name(f".{path.name}.{self.presence.tag}-{uuid.uuid4().hex[:8]}.tmp")
            os.rename(path, moved)  # one of several processes succeeds
            moved.unlink()
        except FileNotFoundError:
            pass
        except OSError:
            return False
        return True

    def _dead(self, path: Path, presence: Presence | None, now: float) -> bool:
        """Whether a process has shown no sign of life for the lease, or is known to be gone."""
        if presence is not None and presence.gone():
            return True
        try:
            return now - path.stat().st_mtime > self.lease
        except FileNotFoundError:
            return True  # it ended in good order, without this claim

    def _now(self) -> float:
        """The time by the clock of the file system, which all processes share."""
        path = self._path(self.presence.worker)
        try:
            os.utime(path)
            return path.stat().st_mtime
        except FileNotFoundError:  # another process has finished the run and removed the folder
            return time.time()

    def _path(self, worker: str) -> Path:
        return self.folder / f"worker-{worker}.json"

    def _announce(self) -> None:
        record: dict[str, Any] = {**asdict(self.presence), "working": self.working, "items": self.items}
        path = self._path(self.presence.worker)
        temporary = path.with_name(f".{path.name}.{self.presence.tag}-0.tmp")
        with self._lock:
            temporary.write_text(json.dumps(record))
            os.replace(temporary, path)

    def _beat(self) -> None:
        while not self._end.wait(min(1.0, self.lease / 4)):
            with suppress(OSError):
                if self.folder.is_dir():  # it goes when another process has finished the run
                    self._announce()


def _unwritable(path: Path, error: OSError) -> RunError:
    return RunError(f"cannot write {path} ({reason(error)}); check the space and the rights there")


def _read(path: Path) -> Presence | None:
    try:
        return Presence(**json.loads(path.read_text()))
    except (OSError, TypeError, ValueError):
        return None
