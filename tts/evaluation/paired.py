"""The mean of paired differences, with a widened interval of Student's t; the quantiles need no SciPy.

Two settings that are measured with the same seed sets share much of their noise, so the differences of the
pairs say more than the two means. The t interval is that of normal differences: of skewed ones it holds the
mean too seldom (in 87 % of cases of three exponential ones), and few differences do not show that they are
skewed. So the interval at 95 % is Student's at 99 %, which holds the mean in 95 % of cases even of
exponential differences, for any number of them (``benchmarks/coverage.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from tts.errors import UsageError

FEWEST = 3
"""Differences that an interval needs."""

CAUTION = 5
"""By so much the share of misses of Student's interval is lowered, for skewed differences."""


@dataclass(frozen=True)
class Interval:
    """A mean of ``count`` values and the range (low, high) that holds the true one at ``confidence``."""

    mean: float
    low: float
    high: float
    count: int
    confidence: float = 0.95

    @property
    def half_width(self) -> float:
        """Half the length of the range."""
        return (self.high - self.low) / 2


def paired_interval(differences: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """The mean of differences and a range that holds the true mean with at least that ``confidence``.

    ``None`` for fewer than ``FEWEST`` (two have a range, but 45 standard deviations to each side), and for
    equal ones, whose spread of nothing would make them look sure.
    """
    count = len(differences)
    if not all(map(math.isfinite, differences)):
        raise UsageError("a difference is no finite number; look at the figures of its seed set")
    if count < FEWEST or min(differences) == max(differences):
        return None
    mean = math.fsum(differences) / count
    variance = math.fsum((value - mean) ** 2 for value in differences) / (count - 1)
    half = t_quantile(1 - (1 - confidence) / 2 / CAUTION, count - 1) * math.sqrt(variance / count)
    return Interval(mean, mean - half, mean + half, count, confidence)


@cache
def t_quantile(probability: float, freedom: int) -> float:
    """The value that Student's t with ``freedom`` degrees stays below with a probability in [0.5, 1).

    Found by halving an interval of the angle arctan(t / sqrt(freedom)), which is bounded.
    """
    if freedom < 1 or not 0.5 <= probability < 1:
        raise UsageError(
            f"no quantile of t at probability {probability} with {freedom} degrees of freedom;"
            " the probability is at least 0.5 and below 1, the degrees are 1 or more"
        )
    low, high = 0.0, math.pi / 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if _below(middle, freedom) >= probability else (middle, high)
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def _below(angle: float, freedom: int) -> float:
    """P(t <= sqrt(freedom) tan angle): the finite series for whole degrees (Abramowitz, Stegun 26.7.3-4)."""
    cos, sin = math.cos(angle), math.sin(angle)
    odd = freedom % 2
    term = cos if odd else 1.0
    total = 0.0
    for index in range(freedom // 2):
        total += term
        term *= cos * cos * (2 * index + 1 + odd) / (2 * index + 2 + odd)
    within = 2 / math.pi * (angle + sin * total) if odd else sin * total
    return (1 + within) / 2
