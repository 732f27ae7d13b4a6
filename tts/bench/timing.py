"""Timing batches: every number of candidates in rounds of random order, the plain model twice.

Whatever slows the machine for a while then slows all alike, and ratios within a round are fair; the plain
model against itself shows the noise.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from tts.fitting import out_of_memory
from tts.interfaces import Backbone, BackboneState
from tts.pipeline import Generator
from tts.search import search

T = TypeVar("T")
Clock = Callable[[], float]

ORDER = 0
"""Seed of the order within rounds."""


@dataclass(frozen=True)
class Taken:
    """Seconds until the last map is chosen, and until the images are there too, where they are decoded."""

    latent: float
    whole: float | None


@dataclass
class Arm:
    """So many candidates, in a batch; ``again`` is the second arm of the plain model.

    ``lost`` says that the device had too little memory. ``peak`` is its allocator's, which includes weights.
    """

    candidates: int
    generator: Generator
    again: bool = False
    lost: bool = False
    peak: int | None = None
    rounds: list[Taken] = field(default_factory=list)


class Marked:
    """Stands for a backbone or its state, and marks when the decoder starts."""

    def __init__(self, part: Backbone | BackboneState, mark: Callable[[], None]) -> None:
        self._part: Any = part
        self._mark = mark

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)

    def begin(self, labels: Tensor, cfg: float) -> Any:
        """Start a batch whose decoder is marked."""
        return Marked(self._part.begin(labels, cfg), self._mark)

    def decode(self, *tokens: Tensor) -> Tensor:
        """Images; of the state there are no arguments."""
        self._mark()
        images: Tensor = self._part.decode(*tokens)
        return images


@dataclass(frozen=True)
class Stopwatch:
    """Times batches on a device."""

    device: torch.device
    clock: Clock = time.perf_counter

    def now(self) -> float:
        """The time when the device has done all that it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()
        return self.clock()

    def time(self, generator: Generator, batch: int) -> Taken:
        """Make one batch; the images stay on the device."""
        labels, seeds = first_items(generator.backbone.info.classes, batch, self.device)
        marks: list[float] = []
        backbone: Any = Marked(generator.backbone, lambda: marks.append(self.now()))
        started = self.now()
        search(backbone, generator.scorer, generator.selector, generator.settings, labels, seeds)
        ended = self.now()
        return Taken((marks or [ended])[0] - started, ended - started if marks else None)

    def attempt(self, arm: Arm, batch: int) -> Taken | None:
        """Make one batch of an arm, and note its memory; ``None`` where there is too little of it."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        taken = attempt(lambda: self.time(arm.generator, batch))
        arm.lost = arm.lost or taken is None
        if self.device.type == "cuda":
            arm.peak = max(arm.peak or 0, torch.cuda.max_memory_allocated(self.device))
        return taken


def first_items(classes: int, batch: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Labels (B,) and seeds (B,) of a batch: class after class."""
    seeds = torch.arange(batch, device=device)
    return seeds % classes, seeds


def attempt(work: Callable[[], T]) -> T | None:
    """The result of some work, or ``None`` where the device has too little memory for it."""
    try:
        return work()
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
    if torch.cuda.is_available():  # after the except block, with which the traceback's tensors go
        torch.cuda.empty_cache()
    return None


def time_arms(
    arms: list[Arm], batch: int, rounds: int, watch: Stopwatch, tick: Callable[[], None] = lambda: None
) -> None:
    """Warm up every arm, then time all that fit the memory, round by round; ``tick`` hears of each batch.

    The first arm is the plain model: where it does not fit there is nothing to compare with.
    """
    base = arms[0]
    for arm in arms:
        watch.attempt(arm, batch)
        arm.peak = None
        tick()
    order = random.Random(ORDER)
    for _ in range(rounds):
        for arm in order.sample(arms, len(arms)):
            taken = None if arm.lost or base.lost else watch.attempt(arm, batch)
            if taken is not None:
                arm.rounds.append(taken)
            tick()
