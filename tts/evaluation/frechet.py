"""The Frechet distance between two sets of features, taken as Gaussians (Heusel et al. 2017, section 3.2).

Axis letters: N feature vectors, D features, R rank. Everything is float64: the distance is a small
difference of large traces.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tts.checks import check_matrix
from tts.errors import ShapeError, UsageError

Matrix = NDArray[np.float64]
BLOCK = 8192  # rows in float64 at a time
_ASYMMETRY = 1e-4  # of a stored covariance, relative to its largest entry: float32 files are not exact
_LARGEST = 1e30  # of what stored statistics hold: squares of it still fit
_NEGATIVE = -1e-3  # the lowest eigenvalue relative to the highest that rounding explains


@dataclass(frozen=True)
class FrechetParts:
    """|mu_a - mu_b|^2, tr S_a, tr S_b and 2 tr (S_a S_b)^1/2, which make up the distance."""

    mean_diff2: float
    trace_a: float
    trace_b: float
    two_trace_sqrt: float

    @property
    def signed(self) -> float:
        """The sum of the parts, which rounding may bring below zero."""
        return self.mean_diff2 + self.trace_a + self.trace_b - self.two_trace_sqrt

    @property
    def distance(self) -> float:
        """The Frechet distance, which is a squared length; rounding below zero counts as zero."""
        return max(0.0, self.signed)


class FrechetStatistics:
    """Mean (D,) and covariance (D, D) of features: gathered batch by batch, merged, or read from a file.

    ``count`` is the number of feature vectors N; ``None`` for stored statistics that do not tell it, to which
    nothing can be added.
    """

    def __init__(self, dimensions: int) -> None:
        self.count: int | None = 0
        self.mean: Matrix = np.zeros(dimensions)
        self._scatter: Matrix = np.zeros((dimensions, dimensions))  # (N - 1) S; S where the count is unknown

    @staticmethod
    def of(features: Tensor) -> FrechetStatistics:
        """Statistics of features (N, D) that are all at hand."""
        check_matrix(features, "features")
        return FrechetStatistics(features.shape[-1]).update(features)

    @staticmethod
    def over(batches: Iterable[Tensor]) -> FrechetStatistics:
        """Statistics of batches of features (N, D)."""
        statistics: FrechetStatistics | None = None
        for batch in batches:
            statistics = statistics.update(batch) if statistics else FrechetStatistics.of(batch)
        return _some(statistics)

    @staticmethod
    def merged(parts: Iterable[FrechetStatistics]) -> FrechetStatistics:
        """Statistics of several sets together, as of several processes; the parts stay as they are."""
        statistics: FrechetStatistics | None = None
        for part in parts:
            statistics = (statistics or FrechetStatistics(len(part.mean))).merge(part)
        return _some(statistics)

    @staticmethod
    def stored(mean: NDArray[Any], covariance: NDArray[Any], count: int | None = None) -> FrechetStatistics:
        """Statistics from a mean (D,) and a covariance (D, D) with the divisor N - 1, copied.

        Raises ``UsageError`` for other shapes, NaN or infinity, and matrices that are not symmetric.
        """
        _check_stored(mean, covariance, count)
        statistics = FrechetStatistics(len(mean))
        statistics.count, statistics.mean = count, mean.astype(np.float64)
        matrix = covariance.astype(np.float64)
        statistics._scatter = (matrix + matrix.T) * (0.5 if count is None else 0.5 * (count - 1))
        return statistics

    def update(self, features: Tensor) -> FrechetStatistics:
        """Add features (N, D), by blocks about their own mean, so that nothing large cancels."""
        check_matrix(features, "features")
        if features.shape[1] != len(self.mean):
            raise ShapeError(f"features are {tuple(features.shape)}, expected (N, {len(self.mean)})")
        for block in features.detach().split(BLOCK):
            if len(block):
                rows = block.to("cpu", torch.float64)
                mean = rows.mean(dim=0)
                if not bool(mean.isfinite().all()):
                    raise UsageError(
                        "features hold NaN or infinity; check the images and the extractor's weights"
                    )
                centred = rows - mean
                self._add(len(rows), mean.numpy(), (centred.T @ centred).numpy())
        return self

    def merge(self, other: FrechetStatistics) -> FrechetStatistics:
        """Add the vectors of other statistics, which stay as they are (Chan et al. 1979)."""
        if len(other.mean) != len(self.mean):
            raise ShapeError(f"statistics of {len(other.mean)} features, expected {len(self.mean)}")
        if other.count is None:
            raise UsageError(
                "stored statistics of an unknown number of images cannot be merged; keep the images"
            )
        if other.count:
            self._add(other.count, other.mean, other._scatter)
        return self

    def _add(self, count: int, mean: Matrix, scatter: Matrix) -> None:
        if self.count is None:
            raise UsageError("stored statistics of an unknown number of images take no more; start new ones")
        total = self.count + count
        shift = mean - self.mean
        self._scatter = self._scatter + scatter + np.outer(shift, shift) * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total

    @property
    def covariance(self) -> Matrix:
        """Covariance (D, D) with the divisor N - 1."""
        if self.count is None:
            return self._scatter.copy()
        if self.count < 2:
            raise UsageError(f"a covariance needs at least 2 images, got {self.count}; generate more")
        return self._scatter / (self.count - 1)

    @property
    def rank(self) -> int:
        """The highest rank that the covariance can have: N vectors span N - 1 dimensions about their mean."""
        return len(self.mean) if self.count is None else min(len(self.mean), self.count - 1)


def _some(statistics: FrechetStatistics | None) -> FrechetStatistics:
    if statistics is None:
        raise UsageError("no features to take statistics of; give at least two images")
    return statistics


def _check_stored(mean: NDArray[Any], covariance: NDArray[Any], count: int | None) -> None:
    shape = (*mean.shape, *mean.shape)
    if mean.ndim != 1 or covariance.shape != shape:
        raise UsageError(
            f"stored statistics have a mean {mean.shape} and a covariance {covariance.shape}, expected"
            " (D,) and (D, D); use a file with mu and sigma of one extractor"
        )
    if not all((np.abs(part) < _LARGEST).all() for part in (mean, covariance)):  # neither is NaN
        raise UsageError(
            f"stored statistics hold NaN, infinity or numbers above {_LARGEST:g};"
            " fetch or compute the file again"
        )
    if np.abs(covariance - covariance.T).max(initial=0) > _ASYMMETRY * np.abs(covariance).max(initial=0):
        raise UsageError("a stored covariance is not symmetric; fetch or compute the file again")
    if (covariance.diagonal() < 0).any():
        raise UsageError("a stored covariance has negative variances; fetch or compute the file again")
    if count is not None and count < 2:
        raise UsageError(f"stored statistics need at least 2 images, got {count}; compute them of more")


def covariance_factor(covariance: Matrix, rank: int) -> Tensor:
    """F (R, D) with F^T F equal to a positive semi-definite matrix (D, D) of at most the given rank.

    A Cholesky factor where there is one, as it is quick and keeps features of very different sizes exact;
    else the eigenvectors of the ``rank`` highest eigenvalues, those of rounding alone left out.
    """
    matrix = torch.from_numpy(covariance)
    if rank >= len(matrix):
        lower, failed = torch.linalg.cholesky_ex(matrix)
        if not int(failed):
            return lower.mT
    values, vectors = torch.linalg.eigh(matrix)
    if len(values) and float(values[0]) < _NEGATIVE * float(values[-1]):
        raise UsageError(
            f"a covariance has the eigenvalues {float(values[0]):.3g} to {float(values[-1]):.3g}, none may be"
            " negative; fetch or compute the file again"
        )
    first = max(len(values) - rank, int((values <= 0).sum()))
    return (vectors[:, first:] * values[first:].sqrt()).mT


def trace_sqrt(a: FrechetStatistics, b: FrechetStatistics) -> float:
    """tr (S_a S_b)^1/2, as the sum of the singular values of F_a F_b^T, with S = F^T F.

    The eigenvalues of S_a S_b are the squares of these singular values. Without squaring, small ones keep
    their digits, where a root of the product has half of them; F F^T of equal matrices is symmetric, and its
    singular values sum to its trace, so that a set has no distance to itself. Nothing is complex, and
    nothing is added to diagonals. Features that are constant in one set cannot add, and are left out.
    """
    covariance_a, covariance_b = a.covariance, b.covariance
    varies = (covariance_a.diagonal() > 0) & (covariance_b.diagonal() > 0)
    if not varies.any():
        return 0.0
    within = np.ix_(varies, varies)
    factor_a = covariance_factor(covariance_a[within], a.rank)
    factor_b = covariance_factor(covariance_b[within], b.rank)
    return float(torch.linalg.svdvals(factor_a @ factor_b.mT).sum())


def frechet_parts(a: FrechetStatistics, b: FrechetStatistics) -> FrechetParts:
    """The parts of the distance; ``ShapeError`` where the sets have different numbers of features."""
    if len(a.mean) != len(b.mean):
        raise ShapeError(
            f"one set has {len(a.mean)} features, the other {len(b.mean)}; use one extractor for both"
        )
    difference = a.mean - b.mean
    return FrechetParts(
        mean_diff2=float(difference @ difference),
        trace_a=float(np.trace(a.covariance)),
        trace_b=float(np.trace(b.covariance)),
        two_trace_sqrt=2 * trace_sqrt(a, b),
    )


def frechet_distance(a: FrechetStatistics, b: FrechetStatistics) -> float:
    """The Frechet distance between two sets of features."""
    return frechet_parts(a, b).distance
