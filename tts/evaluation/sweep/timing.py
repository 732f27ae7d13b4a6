"""Timing the points of a sweep: one process, the same images for all, in rounds of random order.

Whatever slows the machine for a while then slows all points alike, and ratios within a round are fair.
"""

from __future__ import annotations

import os
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tts.building import PartsCache, build_generator
from tts.engine.launch import Launch
from tts.engine.progress import Progress, Report
from tts.engine.stopping import Stop
from tts.engine.worker import Worker
from tts.errors import UsageError
from tts.evaluation.sweep.config import SweepConfig
from tts.evaluation.sweep.lab import Clock, batch_size, pixels_of, seed_items
from tts.evaluation.sweep.plan import judges
from tts.evaluation.sweep.point import config_of
from tts.evaluation.sweep.reading import base_config
from tts.evaluation.sweep.record import SweepRecord
from tts.evaluation.sweep.shift import Say
from tts.evaluation.sweep.store import Named, Store
from tts.evaluation.sweep.timed import Load, Timing, write_timing
from tts.fitting import Fit
from tts.images import Pixels
from tts.pipeline import Generator, Item
from tts.runinfo import environment
from tts.sample_config import SampleConfig

LOCK = "time"
ORDER = 0
"""Seed of the order within rounds."""


@dataclass(frozen=True)
class Arm:
    """A point that is ready to be timed; the ``again`` one is a second arm of its point."""

    id: str
    generator: Generator
    batch: int
    rule: str
    again: bool = False

    def images(self, items: list[Item], say: Say) -> Iterator[Pixels]:
        """Make them, batch by batch."""
        return pixels_of(self.generator, items, Fit(self.batch, say=say), self.rule)


@dataclass
class Timer:
    """Times arms round by round and writes what is finished after each."""

    folder: Path
    arms: list[Arm]
    items: list[Item]
    rounds: int
    stop: Stop
    report: Report
    say: Say
    batch_size: int | None
    finished: int = 0
    made: int = 0
    found: dict[tuple[str, bool], list[float]] = field(default_factory=lambda: defaultdict(list))

    def run(self) -> None:
        """Warm up, then time all rounds."""
        before, order = load_average(), random.Random(ORDER)
        for arm in self.arms:
            self._seconds(arm, self.items[: arm.batch])
        self.made, started = 0, time.perf_counter()
        for _ in range(self.rounds):
            taken = {}
            for arm in order.sample(self.arms, len(self.arms)):
                taken[arm.id, arm.again] = self._seconds(arm, self.items)
                self._tell(started)
            for key, seconds in taken.items():
                self.found[key].append(seconds)
            self.finished += 1
            write_timing(self.folder, self._timing(before))
        self._tell(started)

    def _seconds(self, arm: Arm, items: list[Item]) -> float:
        """Seconds that images of an arm take; a signal ends it after the batch in hand."""
        clock = Clock()
        for pixels in clock.over(arm.images(items, self.say)):
            self.made += len(pixels)
            self.stop.check(
                f"{self.finished} of {self.rounds} rounds are timed and kept, the same command times anew"
            )
        return clock.seconds

    def _timing(self, before: Load) -> Timing:
        device = self.arms[0].generator.device
        seconds = {id_: tuple(values) for (id_, again), values in self.found.items() if not again}
        (again,) = (arm for arm in self.arms if arm.again)
        return Timing(
            rounds=self.finished,
            images=len(self.items),
            threads=torch.get_num_threads(),
            batch_size=self.batch_size,
            environment=environment(device),
            load_average={"before": before, "after": load_average()},
            seconds={arm.id: seconds[arm.id] for arm in self.arms},
            again=tuple(self.found[again.id, True]),
            again_of=again.id,
        )

    def _tell(self, started: float) -> None:
        """Report; the time left is known once a round, which has all kinds of points, is over."""
        spent, images = time.perf_counter() - started, len(self.items) * len(self.arms) * self.rounds
        left = max(0.0, spent * (images / self.made - 1)) if self.finished else None
        speed = self.made / spent if spent > 0 else None
        self.report(Progress(self.finished, self.rounds, self.made, images, 1, speed, left))


def check_timing(config: SweepConfig, launch: Launch) -> None:
    """Refuse to time together with anything else."""
    if config.time is None:
        return
    if config.grids or config.further:
        raise UsageError("--time does not go with --grid; measure first, then time with --out and --time")
    if launch.together:
        raise UsageError(
            f"--time is for one process, torchrun started {launch.world}; run tts sweep without torchrun"
        )


def time_points(
    config: SweepConfig, store: Store, worker: Worker, stop: Stop, report: Report, say: Say
) -> None:
    """Time all points of a folder that have figures, and write ``timing.json``."""
    record = store.record()
    if config.time is None or record is None:
        return
    with worker.holding(LOCK) as alone:
        _check_alone(store, worker, alone)
        base = base_config(record.base)
        arms = make_arms(store, record, base)
        items = seed_items(1 + max(record.seed_sets), config.time_images, record.backbone["classes"])
        timer = Timer(store.folder, arms, items, config.time, stop, report, say, base.batch_size)
        timer.run()
        if worker.others():
            say("another process came to work in this folder, so the times are of a shared machine")


def _check_alone(store: Store, worker: Worker, alone: bool) -> None:
    if not alone or worker.others():
        raise UsageError(f"other processes are at work in {store.folder}; time it when they have ended")


def make_arms(store: Store, record: SweepRecord, base: SampleConfig) -> list[Arm]:
    """An arm a point, and a second one of the plain model, or of the first point."""
    points = [store.point(id_) for id_ in record.points if store.numbers(id_)]
    cache = PartsCache(most=len(points) + 1)  # points come in random order: nothing is built twice
    hashed = cache.model(base).backbone.weights_hash()
    if hashed != record.backbone["weights_sha256"]:
        raise UsageError(f"the weights of {base.backbone} are not those of the sweep in {store.folder}")
    arms = [_arm(point, record, base, cache) for point in points]
    twice = next((i for i, point in enumerate(points) if point.setting.plain), 0)
    one = arms[twice]
    return [*arms, Arm(one.id, one.generator, one.batch, one.rule, again=True)]


def _arm(point: Named, record: SweepRecord, base: SampleConfig, cache: PartsCache) -> Arm:
    config = config_of(point.setting, base, cache.model(base).info)
    generator = build_generator(config, cache)
    for name, found in judges(point.setting, generator).items():
        if record.judges.get(name) != found:
            raise UsageError(f"{name} is not the one that was measured; put its file back and time again")
    rule = base.uint8 or generator.backbone.info.uint8
    return Arm(point.id, generator, base.batch_size or batch_size(generator), rule)


def load_average() -> Load:
    """The system's load over 1, 5 and 15 minutes, where it tells."""
    try:
        return os.getloadavg()
    except (AttributeError, OSError):
        return None
