"""How far a sweep is, over all of its processes; a shard of the engine's ``Progress`` is a seed set here."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tts.engine.progress import INTERVAL, Progress, Report
from tts.engine.worker import Worker
from tts.evaluation.sweep.lab import KEPT
from tts.evaluation.sweep.plan import Planned


@dataclass(frozen=True)
class Job:
    """One seed set of one point."""

    point: Planned
    number: int

    @property
    def name(self) -> str:
        """The name of its lock."""
        return f"{self.point.id}.set-{self.number}"


def jobs_of(points: Sequence[Planned], seed_sets: Sequence[int]) -> list[Job]:
    """Seed set by seed set, so that every point has one early; within a set cheap points first.

    Where there are more backbones (schedules) than are kept in memory, one comes after the other.
    """
    choices = list(dict.fromkeys(planned.point.config.choices for planned in points))
    few = len(choices) <= KEPT

    def rank(planned: Planned) -> tuple[int, float]:
        return 0 if few else choices.index(planned.point.config.choices), planned.point.weight

    return [Job(planned, number) for number in seed_sets for planned in sorted(points, key=rank)]


class Tally:
    """Counts seed sets and images, and guesses the seconds left from what similar points took."""

    def __init__(
        self,
        is_done: Callable[[Job], bool],
        jobs: list[Job],
        images: int,
        worker: Worker,
        report: Report,
    ) -> None:
        self.is_done, self.jobs, self.images, self.worker, self.report = is_done, jobs, images, worker, report
        self.elsewhere, self.processes = 0, 1
        self.left = self.look()
        self.before = self._items()
        self.started, self.looked = time.perf_counter(), -math.inf  # the first report looks at the others
        self._took: dict[str, list[float]] = defaultdict(list)
        self._hand: tuple[Job, float] | None = None

    def look(self) -> list[Job]:
        """The seed sets that are not measured yet."""
        self.left = [job for job in self.jobs if not self.is_done(job)]
        return self.left

    def begin(self, job: Job) -> None:
        """Learn which seed set this process has in hand from now on."""
        self._hand = (job, time.perf_counter())

    def end(self) -> None:
        """Learn what the seed set in hand took."""
        if self._hand:
            job, started = self._hand
            self._took[job.point.id].append(time.perf_counter() - started)
        self._hand = None

    def tell(self) -> None:
        """Report; looks at the other processes only now and then."""
        if time.perf_counter() - self.looked >= INTERVAL:
            self.looked = time.perf_counter()
            self.look()
            others = self.worker.others()
            self.elsewhere, self.processes = sum(other.items for other in others), 1 + len(others)
        done, seconds = self._items(), time.perf_counter() - self.started
        speed = (done - self.before) / seconds if done > self.before and seconds > 0 else None
        sets = len(self.jobs)
        self.report(
            Progress(
                shards_done=sets - len(self.left),
                shards=sets,
                items_done=done,
                items=sets * self.images,
                processes=self.processes,
                items_per_second=speed,
                seconds_left=self.seconds_left(),
            )
        )

    def seconds_left(self) -> float | None:
        """From the weights of the points, and the seconds of what this process has done so far."""
        if not self.left:
            return 0.0
        rate = self._rate()
        if rate is None:
            return None
        share = self.worker.items / self.images
        total = 0.0
        for job in self.left:
            known = self._took.get(job.point.id)
            seconds = sum(known) / len(known) if known else rate * job.point.point.weight
            total += seconds * (1 - share if self._hand and job == self._hand[0] else 1)
        under_way = min(1.0, self.elsewhere / (len(self.left) * self.images))
        return total * (1 - under_way) / self.processes

    def _rate(self) -> float | None:
        """Seconds for each unit of weight, over the seed sets that are done and the one in hand."""
        weights = {job.point.id: job.point.point.weight for job in self.jobs}
        spent = sum(sum(found) for found in self._took.values())
        weight = sum(weights[id_] * len(found) for id_, found in self._took.items())
        if self._hand:
            job, started = self._hand
            spent += time.perf_counter() - started
            weight += weights[job.point.id] * self.worker.items / self.images
        return spent / weight if weight else None

    def _items(self) -> int:
        done = (len(self.jobs) - len(self.left)) * self.images
        return min(len(self.jobs) * self.images, done + self.worker.items + self.elsewhere)
