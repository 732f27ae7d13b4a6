"""Seconds of a batch with each number of candidates, in rounds of random order."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import torch

from tts.bench.model import BenchModel
from tts.fitting import out_of_memory

Clock = Callable[[], float]
AGAIN = -1
"""Stands for the second measurement of one candidate in a round, which shows the noise."""

GROWTH = 1.05
"""A batch is doubled while it makes so many times as many images a second."""


@dataclass(frozen=True)
class Spread:
    """A median with the middle half of what was seen."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Of one value or more."""
        if len(values) == 1:
            return Spread(values[0], values[0], values[0])
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        return Spread(middle, low, high)


@dataclass(frozen=True)
class Seconds:
    """Seconds of each round: up to the latent for every number of candidates, and of decoding once."""

    latent: dict[int, list[float]]
    decoder: list[float]

    def whole(self, count: int) -> list[float]:
        """With the decoder."""
        return [a + b for a, b in zip(self.latent[count], self.decoder, strict=True)]

    def overhead(self, count: int, decoder: bool) -> dict[str, object]:
        """Milliseconds and per cent beyond one candidate, round by round."""
        many, one = (self.whole(m) if decoder else self.latent[m] for m in (count, 1))
        pairs = list(zip(many, one, strict=True))
        return {
            "milliseconds": asdict(Spread.of([1000 * (a - b) for a, b in pairs])),
            "percent": asdict(Spread.of([100 * (a / b - 1) for a, b in pairs])),
        }


def measure(
    model: BenchModel,
    batch: int,
    counts: Sequence[int],
    rounds: int,
    report: Callable[[int, int], None] = lambda done, of: None,
    clock: Clock = time.perf_counter,
) -> Seconds:
    """Time everything ``rounds`` times, after one round that warms up and does not count."""
    order, names = random.Random(0), [*counts, AGAIN]
    tokens = model.run(batch, 1).tokens
    latent: dict[int, list[float]] = {name: [] for name in names}
    decoder: list[float] = []
    for number in range(rounds + 1):
        for name in order.sample(names, len(names)):
            work = partial(model.run, batch, 1 if name == AGAIN else name)
            latent[name].append(timed(model, work, clock))
        decoder.append(timed(model, partial(model.decode, tokens), clock))
        report(number + 1, rounds + 1)
    return Seconds({name: values[1:] for name, values in latent.items()}, decoder[1:])


def timed(model: BenchModel, work: Callable[[], object], clock: Clock) -> float:
    """Seconds of some work, with that of the device."""
    wait(model.device)
    started = clock()
    work()
    wait(model.device)
    return clock() - started


def wait(device: torch.device) -> None:
    """Let a GPU finish."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_bytes(model: BenchModel, batch: int, count: int) -> int | None:
    """Most bytes allocated on a GPU while a batch is made; other devices do not tell."""
    if model.device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(model.device)
    model.run(batch, count, decode=True)
    return torch.cuda.max_memory_allocated(model.device)


def best_batch(model: BenchModel, count: int, most: int = 1024, clock: Clock = time.perf_counter) -> int:
    """The batch size after which doubling no longer makes images notably faster, or does not fit."""
    best, speed, size = 1, 0.0, 1
    while size <= most:
        try:
            model.run(size, count, decode=True)  # warms up
            found = size / timed(model, partial(model.run, size, count, decode=True), clock)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not out_of_memory(error) or size == 1:
                raise
            return best
        if found < GROWTH * speed:
            return best
        best, speed, size = size, found, 2 * size
    return best
