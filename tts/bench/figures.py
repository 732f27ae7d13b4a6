"""From the seconds of rounds to figures: what candidates add to the plain model, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

CONFIDENCE = 0.95
FEWEST = 6
"""Rounds of which an interval can be told: the lowest to the highest of five holds the median in 94 %."""


@dataclass(frozen=True)
class Estimate:
    """A median over rounds with its 95 % interval, which fewer than six rounds and equal values have not."""

    median: float
    low: float | None
    high: float | None

    @staticmethod
    def of(values: Sequence[float]) -> Estimate:
        """The median of at least one value; the interval is from one of the sorted values to another.

        Whatever their distribution, each value is above the true median with a probability of a half, so that
        the binomial distribution tells how many of the lowest and highest may be left out.
        """
        ordered = sorted(values)
        count, median = len(ordered), float(np.median(ordered))
        beyond = _left_out(count)
        if beyond is None or ordered[beyond] == ordered[count - 1 - beyond]:
            return Estimate(median, None, None)
        return Estimate(median, ordered[beyond], ordered[count - 1 - beyond])


def _left_out(count: int) -> int | None:
    """How many of the lowest values, and of the highest, an interval of the median leaves out."""
    chances = accumulate(math.comb(count, below) / 2**count for below in range(count))
    fitting = sum(2 * chance <= 1 - CONFIDENCE for chance in chances)
    return fitting - 1 if fitting else None


@dataclass(frozen=True)
class Figures:
    """Times of a batch. All but the first two compare with the plain model of the same round.

    ``ms_per_1000_candidates`` is ``None`` where nothing is chosen.
    """

    seconds: Estimate
    images_per_second: float
    relative_time: Estimate
    overhead_ms: Estimate
    overhead_percent: Estimate
    ms_per_1000_candidates: Estimate | None


def figures(seconds: Sequence[float], base: Sequence[float], batch: int, candidates: int) -> Figures:
    """Figures of the seconds of rounds, beside those of the plain model in the same rounds.

    ``candidates`` is the number of maps among which a batch is chosen: images x scales x M.
    """
    pairs = list(zip(seconds, base, strict=True))
    more = [1000 * (ours - plain) for ours, plain in pairs]
    taken = Estimate.of(seconds)
    return Figures(
        seconds=taken,
        images_per_second=batch / taken.median,
        relative_time=Estimate.of([ours / plain for ours, plain in pairs]),
        overhead_ms=Estimate.of(more),
        overhead_percent=Estimate.of([100 * (ours / plain - 1) for ours, plain in pairs]),
        ms_per_1000_candidates=Estimate.of([1000 * ms / candidates for ms in more]) if candidates else None,
    )
