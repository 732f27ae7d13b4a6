"""Finding a batch size: twice as many images at once for as long as that makes more of them a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tts.bench.timing import Stopwatch, attempt
from tts.errors import RunError
from tts.pipeline import Generator

GROWTH = 0.05
"""What a batch twice as large must bring at least."""

MOST = 4096
TIMES = 2


@dataclass(frozen=True)
class Tried:
    """A batch size and its images a second, ``None`` where it did not fit."""

    batch: int
    images_per_second: float | None


@dataclass(frozen=True)
class Choice:
    """The batch size with the most images a second, all that were tried, and why the search ended."""

    batch: int
    tried: tuple[Tried, ...]
    stopped: str


def choose_batch(speed: Callable[[int], float | None], most: int = MOST) -> Choice:
    """Double the batch from 1; ``speed`` gives images a second, or ``None`` where memory is too small."""
    tried: list[Tried] = []
    batch, stopped = 1, f"{most} images are the most that are tried"
    while batch <= most:
        tried.append(Tried(batch, speed(batch)))
        found = tried[-1].images_per_second
        if found is None:
            stopped = f"the device has too little memory for {batch} images"
            break
        if len(tried) > 1 and found < (1 + GROWTH) * (tried[-2].images_per_second or 0):
            stopped = f"{batch} images at once make less than {GROWTH:.0%} more a second"
            break
        batch *= 2
    fitting = [one for one in tried if one.images_per_second is not None]
    if not fitting:
        raise RunError(
            "the device has too little memory for one image;"
            " use a smaller backbone, --dtype bfloat16 or another --device"
        )
    best = max(fitting, key=lambda one: one.images_per_second or 0)
    return Choice(best.batch, tuple(tried), stopped)


def measured_speed(plain: Generator, watch: Stopwatch) -> Callable[[int], float | None]:
    """Images a second of the plain model: of a few batches the fastest, after one to warm up."""

    def speed(batch: int) -> float | None:
        taken = [attempt(lambda: watch.time(plain, batch)) for _ in range(1 + TIMES)]
        seconds = [one.latent if one.whole is None else one.whole for one in taken[1:] if one is not None]
        return batch / min(seconds) if len(seconds) == TIMES else None

    return speed
