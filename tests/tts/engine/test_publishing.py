"""Shards are published beside the making of the next: order, faults, stops, memory and times."""

from __future__ import annotations

import os
import signal
import threading
import time
import weakref
from dataclasses import dataclass, field

import pytest

from tts.engine.plan import ShardRange
from tts.engine.publishing import Made, Publisher
from tts.engine.worker import Worker
from tts.errors import RunError, StoppedError
from tts.io import read_json

SHARDS = [ShardRange(number, 4 * number, 4, "plan") for number in range(3)]
PATIENCE = 20


def until(true, seconds=PATIENCE):
    """Wait for something; false if it does not come."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.005)
    return true()


def shards_of(runs):
    return sorted(int(path.stem[-5:]) for path in (runs.out / "parts").glob("shard-*"))


@pytest.fixture
def slow(job):
    """A job that publishes a shard only when ``go`` is set; ``published`` lists the seeds of each shard."""

    @dataclass
    class Slow(job):
        go: threading.Event = field(default_factory=threading.Event)
        begun: list[int] = field(default_factory=list)
        published: list[list[int]] = field(default_factory=list)
        threads: set[int] = field(default_factory=set)
        fault: dict[int, Exception] = field(default_factory=dict)

        def publish(self, items, rows):
            self.threads.add(threading.get_ident())
            self.begun.append(items[0].seed)
            assert self.go.wait(PATIENCE)
            if items[0].seed in self.fault:
                raise self.fault[items[0].seed]
            self.published.append([item.seed for item in items])
            return super().publish(items, rows)

    return Slow


def started(slow, **options):
    one = slow(**options)
    one.go.set()
    return one


def test_the_next_shard_is_made_while_one_is_published(runs, slow, expected):
    one = slow()

    def before_batch():
        if len(one.made) == 6:  # in the middle of the second shard
            assert until(lambda: one.begun == [0])
            assert one.published == []
            assert not (runs.out / "parts").exists()
            one.go.set()

    one.before_batch = before_batch
    assert runs.run(None, one).made == 10
    assert one.published == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(one.threads) == 1
    assert threading.get_ident() not in one.threads
    assert runs.values() == expected(10)
    assert not (runs.out / ".work").exists()


def test_a_job_that_does_not_overlap_makes_no_shard_beside_another(runs, slow, expected):
    one = started(slow, overlaps=False)
    one.before_batch = lambda: one.made and len(one.made) % 4 == 0 and together.append(len(one.published))
    together: list = []
    runs.run(None, one)
    assert together == [1, 2]
    assert runs.values() == expected(10)
    fault = started(slow, overlaps=False, fault={4: RunError("full")})
    with pytest.raises(RunError, match="full"):
        type(runs)(runs.out.with_name("other")).run(None, fault)
    assert fault.made == list(range(8))


def test_no_more_than_one_shard_waits_for_the_one_before(runs, slow, expected):
    one = slow()
    thread = threading.Thread(target=runs.run, args=(None, one))
    thread.start()
    assert until(lambda: len(one.made) == 8)
    time.sleep(0.3)
    assert one.made == list(range(8))
    assert one.begun == [0]
    assert not shards_of(runs)
    one.go.set()
    thread.join()
    assert runs.values() == expected(10)


def test_rows_of_two_shards_are_in_memory_at_most(runs, job, asked, expected):
    alive, most = weakref.WeakSet(), []

    @dataclass
    class Watched(job):
        def make(self, items, first):
            for rows in super().make(items, first):
                alive.add(rows.tensors["values"])
                most.append(len(alive))
                yield rows

        def publish(self, items, rows):
            seen = len(most)
            until(lambda: len(most) > seen, 0.2)  # rows of the next shard, if there is one
            return super().publish(items, rows)

    runs.run(asked(60), Watched(batch=1))
    assert runs.values() == expected(60)
    assert 4 <= max(most) <= 2 * 4 + 1  # the one that is yielded may live for a moment beside them


def test_a_lock_is_kept_until_its_shard_is_published(runs, slow):
    one = slow()
    thread = threading.Thread(target=runs.run, args=(None, one))
    thread.start()
    assert until(lambda: len(one.made) == 8)
    with Worker(runs.out / ".work") as other:
        assert not other.take("0")
        assert not other.take("1")
        one.go.set()
        assert until(lambda: shards_of(runs) == [0, 1, 2])
        thread.join()
    assert not list(runs.out.glob(".work/*.lock"))


@pytest.mark.parametrize("first", [0, 4, 8])
def test_a_fault_of_the_thread_is_raised_as_it_is(runs, slow, job, expected, first):
    fault = RunError("cannot write it; check the space")
    with pytest.raises(RunError) as caught:
        runs.run(None, started(slow, fault={first: fault}))
    assert caught.value is fault
    assert shards_of(runs) == list(range(first // 4))
    assert not list((runs.out / ".work").glob("*.lock"))
    one = job()
    assert runs.run(None, one).made == 10 - first
    assert runs.values() == expected(10)


def test_a_fault_of_the_thread_ends_the_run_at_the_next_batch(runs, slow):
    one = started(slow, batch=1, fault={0: RunError("full")})
    one.before_batch = lambda: len(one.made) > 4 and until(lambda: one.begun) and time.sleep(0.1)
    with pytest.raises(RunError, match="full"):
        runs.run(None, one)
    assert len(one.made) <= 6
    assert one.begun == [0]


def test_a_fault_in_making_comes_after_the_shard_before_is_whole(runs, slow):
    one = slow(fail_at=6)
    one.before_batch = lambda: threading.Timer(0.2, one.go.set).start() if len(one.made) == 4 else None
    with pytest.raises(RuntimeError, match="broken"):
        runs.run(None, one)
    assert shards_of(runs) == [0]
    assert not list((runs.out / ".work").glob("*.lock"))


def test_of_two_faults_the_one_in_making_is_raised(runs, slow):
    one = slow(fail_at=6, fault={0: RunError("full")})
    one.before_batch = lambda: threading.Timer(0.2, one.go.set).start() if len(one.made) == 4 else None
    with pytest.raises(RuntimeError, match="broken"):
        runs.run(None, one)
    assert shards_of(runs) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_shard_is_published_loses_nothing(runs, slow, job, expected, number):
    one = slow()

    def before_batch():
        if len(one.made) == 4:
            os.kill(os.getpid(), number)
            threading.Timer(0.2, one.go.set).start()

    one.before_batch = before_batch
    with pytest.raises(StoppedError, match=r"1 of 3 shards are whole") as error:
        runs.run(None, one)
    assert error.value.exit_code == 128 + number
    assert shards_of(runs) == [0]
    assert (runs.out / ".work" / "partial-00001.safetensors").exists()
    assert not list((runs.out / ".work").glob("*.lock"))
    again = job()
    assert runs.run(None, again).made == 4
    assert again.made == [6, 7, 8, 9]
    assert runs.values() == expected(10)


def test_a_signal_in_the_last_batch_of_a_shard_publishes_it(runs, slow, job, expected):
    one = started(slow)
    one.before_batch = lambda: os.kill(os.getpid(), signal.SIGTERM) if len(one.made) == 6 else None
    with pytest.raises(StoppedError, match=r"2 of 3 shards are whole"):
        runs.run(None, one)
    assert shards_of(runs) == [0, 1]
    assert runs.run(None, job()).made == 2
    assert runs.values() == expected(10)


def test_a_fault_of_the_thread_goes_before_a_signal(runs, slow):
    one = slow(fault={0: RunError("full")})

    def before_batch():
        if len(one.made) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Timer(0.2, one.go.set).start()

    one.before_batch = before_batch
    with pytest.raises(RunError, match="full"):
        runs.run(None, one)
    assert (runs.out / ".work" / "partial-00001.safetensors").exists()


def test_a_share_ends_when_its_last_shard_is_whole(runs, slow, job):
    from tts.engine.plan import Share

    one = slow()
    threading.Timer(0.2, one.go.set).start()
    outcome = runs.run(None, one, Share(2, 3))
    assert (outcome.made, outcome.shards_done, shards_of(runs)) == (4, 1, [1])


def test_bytes_are_those_of_shards_published_one_by_one(runs, slow, job, tmp_path):
    runs.run(None, started(slow))
    other = type(runs)(tmp_path / "other")
    for _ in range(2):
        one = job()
        one.before_batch = lambda one=one: len(one.made) == 2 and os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StoppedError):
            other.run(None, one)
    other.run()
    names = [name for name in runs.names() if name != "record.json"]
    assert names == [name for name in other.names() if name != "record.json"]
    assert all((runs.out / name).read_bytes() == (other.out / name).read_bytes() for name in names)


def test_times_are_those_of_making(runs, job, monkeypatch):
    """By a clock that each thread has for itself, and that hardly moves unless it is told to."""
    clocks, found = threading.local(), []

    def passed(seconds=2**-20):
        clocks.now = getattr(clocks, "now", 0.0) + seconds
        return clocks.now

    monkeypatch.setattr(time, "perf_counter", passed)

    @dataclass
    class Timed(job):
        def make(self, items, first):
            for rows in super().make(items, first):
                passed(1.0)
                yield rows

        def publish(self, items, rows):
            passed(100.0)
            return super().publish(items, rows)

        def finish(self, run, timing):
            found.append(timing)
            super().finish(run, timing)

    runs.run(None, Timed())
    (timing,) = found
    assert timing.items == read_json(runs.out / "record.json")["timed"] == 10
    assert timing.seconds == pytest.approx(5, abs=0.01)


def test_a_publisher_raises_once_and_goes_on():
    published = []

    def publish(made):
        if made.shard.number == 0:
            raise RunError("full")
        published.append(made.shard.number)

    with Publisher(publish) as publisher:
        publisher.put(Made(SHARDS[0], [], 0.0))
        assert publisher.pending == SHARDS[0]
        with pytest.raises(RunError, match="full"):
            publisher.settle()
        assert publisher.pending is None
        publisher.check()
        publisher.put(Made(SHARDS[1], [], 0.0))
    assert published == [1]


def test_a_block_of_a_publisher_ends_with_its_fault():
    def publish(made):
        raise RunError("full")

    with pytest.raises(RunError, match="full"), Publisher(publish) as publisher:
        publisher.put(Made(SHARDS[0], [], 0.0))


def test_an_error_in_the_block_of_a_publisher_goes_before_its_fault():
    def publish(made):
        raise RunError("full")

    def work():
        with Publisher(publish) as publisher:
            publisher.put(Made(SHARDS[0], [], 0.0))
            raise KeyError

    with pytest.raises(KeyError):
        work()
