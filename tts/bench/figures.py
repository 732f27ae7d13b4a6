"""From the seconds of rounds to figures: what candidates add to the plain model, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
SEED = 0


@dataclass(frozen=True)
class Estimate:
    """A median over rounds with the 95 % interval of a bootstrap, which one round does not have."""

    median: float
    low: float | None
    high: float | None

    @staticmethod
    def of(values: Sequence[float]) -> Estimate:
        """The median of at least one value; equal values always have equal intervals."""
        found = np.asarray(values, dtype=np.float64)
        median = float(np.median(found))
        if len(found) < 2:
            return Estimate(median, None, None)
        rows = np.random.default_rng(SEED).integers(len(found), size=(RESAMPLES, len(found)))
        low, high = np.quantile(np.median(found[rows], axis=1), (0.025, 0.975))
        return Estimate(median, float(low), float(high))


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
