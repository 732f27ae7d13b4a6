"""The engine: shards made once, kept over stops and faults, and shared among processes."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import threading
import time
from contextlib import ExitStack

import pytest

from tts import io
from tts.engine.folder import STAGING
from tts.engine.plan import Share
from tts.engine.worker import opening
from tts.errors import RunError, StoppedError, UsageError
from tts.io import read_json


def shard(runs, number):
    return runs.out / "parts" / f"shard-{number:05d}.safetensors"


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_the_batch_size_does_not_matter(runs, job, expected, batch):
    runs.run(None, job(batch=batch))
    assert runs.values() == expected(10)
    assert read_json(runs.out / "record.json")["timed"] == 10


def test_a_fault_loses_its_shard_only(runs, job, expected):
    with pytest.raises(RuntimeError):
        runs.run(None, job(fail_at=6))
    assert shard(runs, 0).exists()
    assert not list((runs.out / ".work").glob("*.lock"))
    one = job()
    assert runs.run(None, one).made == 6
    assert one.made == list(range(4, 10))
    assert runs.values() == expected(10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_finished_batches(runs, job, expected, number):
    calls = []

    def send():
        calls.append(None)
        if len(calls) == 3:  # before the first batch of the second shard
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(StoppedError, match=r"1 of 3 shards are whole, run the same command") as error:
        runs.run(None, job(before_batch=send))
    assert error.value.exit_code == 128 + number
    assert signal.getsignal(number) is before
    assert (runs.out / ".work" / "partial-00001.safetensors").exists()
    one = job()
    assert runs.run(None, one).made == 4
    assert one.made == [6, 7, 8, 9]
    assert runs.values() == expected(10)
    assert not (runs.out / ".work").exists()


def test_a_damaged_partial_shard_is_made_from_its_beginning(runs, job, expected):
    with runs.open() as (run, _):
        (run.work / "partial-00000.safetensors").write_bytes(b"damaged")
    one = job()
    runs.run(None, one)
    assert one.made == list(range(10))
    assert runs.values() == expected(10)


def test_a_second_signal_ends_at_once():
    source = (
        "import os, signal\nfrom tts.engine.stopping import Stop\n"
        "with Stop() as stop:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n    print(bool(stop), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n    print('still here', flush=True)\n"
    )
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "True\n"), done.stderr


def test_shares_make_their_own_shards_and_the_last_one_finishes(runs, job, expected):
    first, second = job(), job()
    outcome = runs.run(None, first, Share(2, 2))
    assert (outcome.made, outcome.finished, outcome.shards_done, outcome.shards) == (4, False, 1, 3)
    assert first.made == [4, 5, 6, 7]
    assert runs.run(None, second, Share(1, 2)).finished
    assert second.made == [0, 1, 2, 3, 8, 9]
    assert (first.finished, second.finished) == (0, 1)
    assert runs.values() == expected(10)


@pytest.mark.parametrize("text", ["0/2", "3/2", "x", "1", "1/", "/2", "1/0", "-1/2", "1.5/2", "1/2/3"])
def test_shares_that_are_none(text):
    with pytest.raises(UsageError, match="must be i/n with i from 1 to n"):
        Share.parse(text)


def test_shares_cover_every_shard_once():
    for parts in (1, 3, 8):
        shares = [Share.parse(f"{i}/{parts}") for i in range(1, parts + 1)]
        assert all(sum(number in share for share in shares) == 1 for number in range(20))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "foreign"])
def test_a_broken_shard_of_an_unfinished_run_is_named_and_made_again(runs, job, expected, damage):
    with pytest.raises(RuntimeError):
        runs.run(None, job(fail_at=9))
    path = shard(runs, 1)
    whole = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(whole[:-5])
    elif damage == "flipped":
        path.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
    else:
        path.write_bytes(shard(runs, 0).read_bytes())
    said, one = [], job()
    runs.run(None, one, warn=said.append)
    (message,) = said
    assert "shard-00001.safetensors" in message
    assert message.endswith("; it is made again")
    assert sorted(one.made) == [4, 5, 6, 7, 8, 9]
    assert path.read_bytes() == whole
    assert runs.values() == expected(10)


def test_a_shard_that_another_process_makes_is_waited_for(runs, job, expected):
    jobs = [job(before_batch=lambda: time.sleep(0.1)), job()]
    threads = [threading.Thread(target=runs.run, args=(None, one)) for one in jobs]
    threads[0].start()
    while not list(runs.out.glob(".work/0.lock")):
        time.sleep(0.01)
    threads[1].start()
    for thread in threads:
        thread.join()
    assert set(jobs[1].made) >= {4, 5, 6, 7}
    assert sorted(jobs[0].made + jobs[1].made) == list(range(10))
    assert runs.values() == expected(10)


def test_progress_counts_shards_and_items(runs, job):
    from tts.engine.stopping import Stop
    from tts.engine.work import work

    seen = []
    with Stop() as stop, runs.open() as (run, worker):
        work(run, worker, job(), stop, report=seen.append)
    assert [now.items_done for now in seen] == [0, 2, 4, 6, 8, 10, 10]
    shards = [now.shards_done for now in seen]  # one of them may be in the hands of the publisher's thread
    assert all(made - 1 <= whole <= made for whole, made in zip(shards, (0, 0, 0, 1, 1, 2, 3), strict=True))
    assert shards[-1] == 3
    assert all((now.items, now.shards, now.processes) == (10, 3, 1) for now in seen)
    assert seen[0].items_per_second is seen[0].seconds_left is None
    assert all(now.items_per_second > 0 and now.seconds_left >= 0 for now in seen[1:])


def test_a_full_disk_is_one_line_and_the_work_goes_on_later(runs, job, expected, monkeypatch):
    def full(tensors, path, metadata):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(io, "save_file", full)
    with pytest.raises(RunError, match=r"cannot write .*shard-00000.*no space left on device"):
        runs.run()
    monkeypatch.undo()
    assert not [name for name in runs.names() if name.endswith(".tmp")]
    runs.run()
    assert runs.values() == expected(10)


@pytest.mark.parametrize("replaced", [True, False])
def test_a_folder_that_is_lost_ends_the_run(runs, job, asked, replaced):
    def lose():
        shutil.rmtree(runs.out, ignore_errors=True)
        if replaced:
            asked(4, colour="blue").plan.save(make_folder(runs.out))

    def make_folder(path):
        path.mkdir(exist_ok=True)
        return path

    one = job(batch=100, before_batch=lambda: one.made or lose())
    with pytest.raises(RunError, match=r"was removed|cannot write|holds another run"):
        runs.run(None, one)


def test_an_overwritten_run_is_replaced_while_nobody_opens_the_folder(runs, asked, job, expected):
    runs.run()
    one = job(before_batch=lambda: stack.enter_context(opening(runs.out)) if not one.made else None)
    with ExitStack() as stack:
        thread = threading.Thread(
            target=runs.run, args=(asked(6), one), kwargs={"overwrite": True}, daemon=True
        )
        thread.start()
        staged = runs.out / STAGING / "record.json"
        for _ in range(2000):
            if staged.exists():
                break
            time.sleep(0.02)
        time.sleep(0.3)
        assert staged.exists()
        assert runs.values() == expected(10)
    thread.join()
    assert runs.values() == expected(6)


class BadDisk:
    """Lets a shard, or the record, read back wrong so many times."""

    def __init__(self, monkeypatch, times, name):
        self.left, self.name = times, name
        real = io.os.replace

        def replace(source, target):
            real(source, target)
            if pathlib.Path(target).name == self.name and self.left:
                self.left -= 1
                content = bytearray(pathlib.Path(target).read_bytes())
                content[-2] ^= 1
                pathlib.Path(target).write_bytes(content)

        monkeypatch.setattr(io.os, "replace", replace)


@pytest.mark.parametrize("name", ["shard-00001.safetensors", "record.json"])
def test_a_disk_that_reads_back_wrong_ends_the_run(runs, expected, monkeypatch, name):
    said = []
    disk = BadDisk(monkeypatch, 2, name)
    runs.run(warn=said.append)
    assert runs.values() == expected(10)
    assert [name in text and text.endswith("; it is made again") for text in said] == [True, True]
    assert disk.left == 0
    disk.left = 1000
    with pytest.raises(RunError, match=rf"{name} does not .*, 3 times in a row; check the disk") as error:
        runs.run(overwrite=True)
    assert "\n" not in str(error.value)
    assert disk.left == 997
    disk.left = 0
    runs.run()
    assert runs.values() == expected(10)
