"""Processes at work on a folder: one holder at a time, and none that is dead."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tts.engine.folder import clear_work
from tts.engine.worker import Worker, at_work, opening, who
from tts.errors import RunError

HOLDS = """
import sys, time, pathlib
from tts.engine.worker import Worker

with Worker(pathlib.Path(sys.argv[1])) as worker:
    worker.items = 7
    print(worker.take("3"), flush=True)
    time.sleep(100)
"""

GARBAGE = {
    "worker-9-node7-0123abcd.lock": b"",
    "worker-x.lock": b"\0" * 5000,
    "worker-0123.json": b'{"worker": "x", "pid": 1e999',
    "claim-3": b"somebody",
    "claim-open": b"",
    "3.lock": b"somebody else",
    "open.lock": b"{",
    "check.lock": b"",
    "finish.lock": b"",
    "time-00000.json": b'{"seconds": "soon", "items": 1e999}',
    "time-00001.json": b'{"seconds": NaN, "items": 3}',
    "time-00002.json": b"[[]]",
    "partial-00000.safetensors": b"",
}
FUTURE = time.time() + 10**8


@pytest.fixture
def other(tmp_path):
    """Another process, which works in the folder and has the shard 3 in hand; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path / ".work")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.communicate()


def litter(folder):
    """What anything may leave in a folder: garbage, with a time in the future."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in GARBAGE.items():
        (folder / name).write_bytes(content)
        os.utime(folder / name, (FUTURE, FUTURE))
    (folder / "worker-1-dir-0.lock").mkdir()


def test_one_at_a_time(tmp_path):
    with Worker(tmp_path) as first, Worker(tmp_path) as second:
        assert first.take("3")
        assert not second.take("3")
        assert not first.take("3")
        assert second.take("4")
        second.release("3")  # not its own
        assert not second.take("3")
        first.release("3")
        assert second.take("3")
        assert not first.take("3")


def test_a_killed_process_lets_go_at_once(tmp_path, other):
    with Worker(tmp_path / ".work") as worker:
        assert not worker.take("3")
        (peer,) = worker.others()
        assert peer.name.startswith(f"process {other.pid} on ")
        assert peer.items == 7
        assert peer in at_work(tmp_path)
        other.kill()
        other.wait()
        assert worker.take("3")
        names = {path.name for path in (tmp_path / ".work").iterdir()}
        assert len(at_work(tmp_path)) == 1  # this one, seen from outside
        assert names == {path.name for path in (tmp_path / ".work").iterdir()}  # where nothing is changed
        assert worker.others() == []
    assert not (tmp_path / ".work").exists()


def test_nothing_that_lies_in_the_folder_is_a_process(tmp_path):
    litter(tmp_path / ".work")
    assert at_work(tmp_path) == []
    with Worker(tmp_path / ".work") as worker:
        assert worker.others() == []
        assert all(worker.take(name) for name in ("3", "check", "finish", "time"))
        with opening(tmp_path):
            pass


def test_what_lies_in_a_folder_does_not_matter_to_a_run(runs, expected):
    litter(runs.out / ".work")
    assert runs.run().made == 10
    assert runs.values() == expected(10)
    assert not (runs.out / ".work").exists()


def test_leaving_frees_everything_and_removes_the_empty_folder(tmp_path):
    folder = tmp_path / "work"
    with Worker(folder) as worker:
        worker.take("3")
        with worker.holding("4") as mine:
            assert mine
            assert (folder / "4.lock").exists()
        assert not (folder / "4.lock").exists()
    assert not folder.exists()


def test_a_folder_with_work_left_stays(tmp_path):
    with Worker(tmp_path):
        (tmp_path / "partial").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["partial"]


def test_clearing_leaves_what_others_hold(tmp_path, other):
    litter(tmp_path / ".work")
    with Worker(tmp_path / ".work"):
        (tmp_path / ".work" / "3.lock").write_bytes(b"")
        clear_work(tmp_path / ".work")
        left = {path.name for path in (tmp_path / ".work").iterdir()}
        assert len(left) == 3  # both processes, and the shard of the other one
        assert "3.lock" in left


def test_others_say_how_far_they_are(tmp_path):
    with Worker(tmp_path) as first, Worker(tmp_path) as second:
        first.items = 7
        (peer,) = second.others()
        assert peer.items == first.items == 7
        assert who([peer, peer]).startswith(f"process {os.getpid()} on ")
        first.items = 0
        assert second.others()[0].items == 0


def test_a_folder_that_went_has_nothing_to_take(tmp_path):
    with Worker(tmp_path / "work") as worker:
        for path in (tmp_path / "work").iterdir():
            path.unlink()
        (tmp_path / "work").rmdir()
        assert not worker.take("3")
        assert worker.others() == []


def test_an_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="cannot write"), Worker(tmp_path / "file" / "work"):
        pass
