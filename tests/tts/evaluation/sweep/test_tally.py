"""Counting what is done, and guessing what is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tts.engine.progress import Progress
from tts.engine.worker import Worker
from tts.evaluation.sweep import tally as counting
from tts.evaluation.sweep.names import Name
from tts.evaluation.sweep.plan import Planned
from tts.evaluation.sweep.point import Point
from tts.evaluation.sweep.store import Named
from tts.evaluation.sweep.tally import Job, Tally, jobs_of
from tts.sample_config import SampleConfig


def planned(id_: str, weight: float, **config: Any) -> Planned:
    point = Point(None, SampleConfig(**config), weight)  # type: ignore[arg-type]
    return Planned(Named(Name(id_, id_), None), point)  # type: ignore[arg-type]


POINTS = [planned("dear", 6.0), planned("cheap", 2.0)]


class Clock:
    """A clock that a test winds."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(counting, "time", found)
    return found


class Sweep:
    """A sweep of ten images a set, with what it reports."""

    def __init__(self, folder: Path) -> None:
        self.done: set[str] = set()
        self.heard: list[Progress] = []
        self.worker = Worker(folder)
        self.jobs = jobs_of(POINTS, (0, 1))
        self.tally = Tally(lambda job: job.name in self.done, self.jobs, 10, self.worker, self.heard.append)

    def tell(self) -> Progress:
        self.tally.look()
        self.tally.tell()
        return self.heard[-1]


def test_all_points_have_the_first_set_before_any_has_the_second() -> None:
    names = [job.name for job in jobs_of(POINTS, (0, 7))]
    assert names == ["cheap.set-0", "dear.set-0", "cheap.set-7", "dear.set-7"]


def test_many_backbones_come_one_after_the_other() -> None:
    points = [
        planned(f"{schedule}-{weight}", weight, schedule=schedule)
        for weight in (2.0, 1.0)
        for schedule in "abc"
    ]
    few = [job.point.id for job in jobs_of([p for p in points if p.id[0] != "c"], (0,))]
    assert few == ["a-1.0", "b-1.0", "a-2.0", "b-2.0"]
    many = [job.point.id for job in jobs_of(points, (0,))]
    assert many == ["a-1.0", "a-2.0", "b-1.0", "b-2.0", "c-1.0", "c-2.0"]


def test_seconds_left_follow_the_weights(tmp_path: Path, clock: Clock) -> None:
    sweep = Sweep(tmp_path)
    assert sweep.tell().seconds_left is None
    sweep.tally.begin(sweep.jobs[0])
    clock.now, sweep.worker.items = 1.0, 5
    now = sweep.tell()
    assert (now.items_done, now.items, now.items_per_second) == (5, 40, 5.0)
    assert now.seconds_left == pytest.approx(1 + 6 + 2 + 6)  # half of the set took one second
    clock.now, sweep.worker.items = 2.0, 0
    sweep.tally.end()
    sweep.done.add("cheap.set-0")
    assert sweep.tell().seconds_left == pytest.approx(6 + 2 + 6)
    sweep.tally.begin(sweep.jobs[1])
    clock.now = 10.0
    sweep.tally.end()
    sweep.done.add("dear.set-0")
    assert sweep.tell().seconds_left == pytest.approx(2 + 8)  # as long as they took before
    sweep.done |= {job.name for job in sweep.jobs}
    now = sweep.tell()
    assert (now.shards_done, now.items_done, now.seconds_left) == (4, 40, 0.0)


def test_other_processes_count(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep(tmp_path)
    sweep.tally.begin(sweep.jobs[0])
    clock.now = 2.0
    sweep.tally.end()
    sweep.done.add("cheap.set-0")

    class Other:
        items = 7

    monkeypatch.setattr(sweep.worker, "others", lambda: [Other()])
    now = sweep.tell()
    assert (now.processes, now.items_done) == (2, 17)
    assert now.seconds_left == pytest.approx(14 * (1 - 7 / 30) / 2)


def test_a_job_has_a_name_for_its_lock() -> None:
    assert Job(POINTS[0], 3).name == "dear.set-3"
