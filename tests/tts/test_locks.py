"""Locks on files."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time

import pytest

from tts import locks
from tts.errors import RunError
from tts.locks import Lock, is_locked, sole_writer

KILLED = """
import os, sys, pathlib
from tts.io import atomic_path
from tts.locks import sole_writer

path = pathlib.Path(sys.argv[1])
with sole_writer(path), atomic_path(path) as temporary:
    temporary.write_bytes(b"half")
    os._exit(9)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.lock"


def test_a_lock_has_one_holder_in_one_process_too(path):
    one = Lock.take(path)
    assert is_locked(path)
    assert Lock.take(path) is None
    one.release()
    assert not path.exists()
    assert not is_locked(path)
    two = Lock.take(path)
    one.release()  # again: not the other one's
    assert path.exists()
    assert is_locked(path)
    two.release()


def test_another_thread_may_release_it(path):
    lock = Lock.take(path)
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    assert Lock.take(path) is not None


def test_a_lock_on_a_file_that_was_removed_meanwhile_is_none(path, monkeypatch):
    """Between opening a file and locking it, the holder before may remove it, and a third make it anew."""
    real, third = locks.lock_descriptor, []

    def late(descriptor, blocking):
        monkeypatch.setattr(locks, "lock_descriptor", real)
        path.unlink()
        third.append(Lock.take(path))
        return real(descriptor, blocking=blocking)

    monkeypatch.setattr(locks, "lock_descriptor", late)
    assert Lock.take(path) is None
    third[0].release()


def test_many_threads_hold_it_one_at_a_time(path):
    inside, most, turns = [], [], []

    def work():
        while len(turns) < 60:
            if lock := Lock.take(path):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.001)
                turns.append(1)
                inside.pop()
                lock.release()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_holds_none(path):
    source = (
        "import os, sys, time, pathlib\nfrom tts.locks import Lock\n"
        "lock = Lock.take(pathlib.Path(sys.argv[1]))\n"
        "if os.fork() == 0:\n    os.close(1)\n    time.sleep(3)\nelse:\n    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", source, str(path)], timeout=120, check=False)
    assert done.returncode == -9
    for _ in range(20):  # its child may not have begun
        if not is_locked(path):
            break
        time.sleep(0.05)
    assert not is_locked(path)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_named(path, monkeypatch, number):
    def fail(descriptor, blocking):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks, "lock_descriptor", fail)
    with pytest.raises(RunError, match=f"the file system of {path.parent} has no file locks") as error:
        Lock.take(path)
    assert "--shard i/n" in str(error.value)
    assert "\n" not in str(error.value)
    assert not is_locked(path)
    with sole_writer(path.with_name("file")):  # that needs none
        pass


def test_locks_that_two_can_have_at_once_are_none(path, monkeypatch):
    monkeypatch.setattr(locks, "lock_descriptor", lambda descriptor, blocking: True)
    with pytest.raises(RunError, match="two had the same lock at once"):
        Lock.take(path)


def test_what_a_killed_writer_left_goes_with_the_next_one(tmp_path):
    target = tmp_path / "[x].npz"
    done = subprocess.run([sys.executable, "-c", KILLED, str(target)], timeout=120, check=False)
    assert done.returncode == 9
    assert len(list(tmp_path.iterdir())) == 2  # half a file, and a lock that nobody holds
    (tmp_path / ".x.npz.12345678.tmp").touch()  # another file's
    with sole_writer(target):
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {".x.npz.12345678.tmp", ".[x].npz.lock"}
        with pytest.raises(RunError, match="another process is writing"), sole_writer(target):
            pass
    assert {path.name for path in tmp_path.iterdir()} == {".x.npz.12345678.tmp"}
