"""Claims: one holder at a time, and none that is dead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from tts.engine.claims import Presence, Worker
from tts.errors import RunError


@pytest.fixture
def dead(tmp_path):
    """Leaves the presence and a claim of a process that has ended."""

    def leave(age=0.0, **changes):
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()
        presence = Presence("gone", Presence.of_this_process().host, process.pid, "12345", "ab" * 6)
        presence = replace(presence, **changes)
        file = tmp_path / "worker-gone.json"
        file.write_text(json.dumps(asdict(presence)))
        (tmp_path / "claim-3").write_text("gone")
        os.utime(file, (time.time() - age,) * 2)

    return leave


def test_one_at_a_time(tmp_path):
    with Worker(tmp_path) as first, Worker(tmp_path) as second:
        assert first.take("3")
        assert not second.take("3")
        assert second.take("4")
        second.release("3")  # not its own
        assert not second.take("3")
        first.release("3")
        assert second.take("3")
        assert not first.take("3")


def test_leaving_frees_everything_and_removes_the_empty_folder(tmp_path):
    folder = tmp_path / "work"
    with Worker(folder) as worker:
        worker.take("3")
        with worker.holding("4") as mine:
            assert mine
            assert (folder / "claim-4").exists()
        assert not (folder / "claim-4").exists()
    assert not folder.exists()


def test_a_folder_with_work_left_stays(tmp_path):
    with Worker(tmp_path):
        (tmp_path / "partial").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["partial"]


def test_a_process_of_this_machine_that_is_gone_frees_its_claim_at_once(tmp_path, dead):
    dead()
    with Worker(tmp_path, lease=1e6) as worker:
        assert worker.take("3")
        assert worker.others() == []
    assert not (tmp_path / "worker-gone.json").exists()


def test_another_process_with_the_same_number_is_not_taken_for_it(tmp_path, dead):
    dead(pid=os.getpid())  # runs, but was born at another time
    with Worker(tmp_path, lease=1e6) as worker:
        assert worker.take("3")


def test_a_process_of_another_machine_lives_as_long_as_its_lease(tmp_path, dead):
    dead(host="elsewhere", age=50)
    with Worker(tmp_path, lease=100) as worker:
        assert not worker.take("3")
        assert [other.worker for other in worker.others()] == ["gone"]
    with Worker(tmp_path, lease=20) as worker:
        assert worker.take("3")


def test_a_claim_without_a_presence_is_free(tmp_path, dead):
    dead()
    (tmp_path / "worker-gone.json").unlink()
    with Worker(tmp_path) as worker:
        assert worker.take("3")


def test_a_claim_without_a_name_lives_as_long_as_the_lease(tmp_path):
    (tmp_path / "claim-3").touch()
    with Worker(tmp_path, lease=100) as worker:
        assert not worker.take("3")
        os.utime(tmp_path / "claim-3", (time.time() - 200,) * 2)
        assert worker.take("3")


def test_a_living_process_keeps_its_claim_beyond_the_lease(tmp_path):
    with Worker(tmp_path, lease=0.4) as first, Worker(tmp_path, lease=0.4) as second:
        first.take("3")
        elsewhere = replace(first.presence, host="elsewhere")
        first.presence = elsewhere
        for _ in range(4):
            time.sleep(0.2)
            assert not second.take("3")


def test_others_say_how_far_they_are(tmp_path):
    with Worker(tmp_path) as first, Worker(tmp_path) as second:
        first.items = 7
        first.begin()
        (other,) = second.others()
        assert (other.worker, other.items, other.working) == (first.presence.worker, 7, True)
        assert other.pid == os.getpid()


def test_damaged_presence_files_are_no_workers(tmp_path):
    (tmp_path / "worker-x.json").write_text("{")
    with Worker(tmp_path) as worker:
        assert worker.others() == []


def test_claims_in_a_folder_that_went_are_not_given(tmp_path):
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
