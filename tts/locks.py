"""Locks on files, held by the operating system: they end with their process, however it ends.

A lock file says nothing by being there, by its age or by its content; only the lock on it counts. Locks are
those of ``flock``: a file that is opened twice, in one process or in two, is locked once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from weakref import WeakSet

from filelock import lock_descriptor

from tts.errors import RunError, reason
from tts.io import remove_path

SUFFIX = ".lock"

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)


class Lock:
    """A lock that this process holds on a file."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self.descriptor = path, descriptor
        _held.add(self)

    @classmethod
    def take(cls, path: Path) -> Lock | None:
        """Lock a file, which is made where needed; ``None`` if it is locked, or its folder is gone.

        Raises ``RunError`` where the file cannot be written, or the file system has no locks.
        """
        for _ in range(1000):
            try:
                descriptor = os.open(path, _FLAGS, 0o666)
            except FileNotFoundError:
                return None
            except OSError as error:
                raise RunError(
                    f"cannot write {path} ({reason(error)}); check the space and the rights there"
                ) from error
            lock = cls(path, descriptor)
            try:
                if not lock_descriptor(descriptor, blocking=False):
                    lock.close()
                    return None
            except OSError as error:
                lock.close()
                raise _no_locks(path, reason(error)) from error
            if lock.named() and is_locked(path):
                return lock
            if lock.named():
                lock.release()
                raise _no_locks(path, "two had the same lock at once")
            lock.close()  # the one that held it before has removed it
        return None

    def named(self) -> bool:
        """Whether the file with the name is still the one that is locked."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), self.path.stat())
        except OSError:
            return False

    def release(self) -> None:
        """Give the lock back and remove its file; whoever waits for it takes a new one."""
        try:
            if self.named():
                with suppress(OSError):
                    self.path.unlink()
        finally:
            self.close()

    def close(self) -> None:
        """Give the lock back, or in a forked process the descriptor, and leave the file."""
        _held.discard(self)
        descriptor, self.descriptor = self.descriptor, -1  # whose number another file may have from now on
        with suppress(OSError):
            os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock on a file; nothing is changed."""
    for access in (os.O_RDWR, os.O_RDONLY):
        with suppress(OSError):
            descriptor = os.open(path, access | getattr(os, "O_NONBLOCK", 0))
            try:
                return not lock_descriptor(descriptor, blocking=False)
            finally:
                os.close(descriptor)
    return False


@contextmanager
def sole_writer(target: Path) -> Iterator[None]:
    """Be the only process that writes a file, and remove what killed ones left of it beside it.

    Where the file system has no locks, others may write, too, and nothing is removed.
    """
    path, lock = target.with_name(f".{target.name}{SUFFIX}"), None
    if is_locked(path):
        raise RunError(f"another process is writing {target}; wait for it, or write elsewhere")
    with suppress(RunError):
        lock = Lock.take(path)
    try:
        for leftover in target.parent.glob(f".{escape(target.name)}.*.tmp") if lock else ():
            remove_path(leftover)
        yield
    finally:
        if lock:
            lock.release()


def _no_locks(path: Path, why: str) -> RunError:
    return RunError(
        f"the file system of {path.parent} has no file locks ({why}), which share a run among processes;"
        " write to a local disk and copy the result, from several machines with --shard i/n and"
        " 'tts data merge'"
    )


_held: WeakSet[Lock] = WeakSet()


def _let_go() -> None:
    """A forked process would otherwise keep the locks of its parent."""
    for lock in list(_held):
        lock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
