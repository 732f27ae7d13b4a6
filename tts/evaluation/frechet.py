"""The Frechet distance between two sets of features, taken as Gaussians (Heusel et al. 2017, section 3.2).

Axis letters: N feature vectors, D features. Everything is float64: the distance is a small difference of
large traces.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tts.errors import ShapeError, UsageError

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class FrechetParts:
    """|mu_a - mu_b|^2, tr S_a, tr S_b and 2 tr (S_a S_b)^1/2, which make up the distance."""

    mean_diff2: float
    trace_a: float
    trace_b: float
    two_trace_sqrt: float

    @property
    def distance(self) -> float:
        """The Frechet distance, which is a squared length."""
        return self.mean_diff2 + self.trace_a + self.trace_b - self.two_trace_sqrt


class FrechetStatistics:
    """Mean and covariance of features, gathered batch by batch."""

    def __init__(self, dimensions: int) -> None:
        self.count = 0
        self.mean: Matrix = np.zeros(dimensions)
        self._scatter: Matrix = np.zeros((dimensions, dimensions))

    @staticmethod
    def of(features: Tensor) -> FrechetStatistics:
        """Statistics of features (N, D) that are all at hand."""
        return FrechetStatistics(features.shape[-1]).update(features)

    @staticmethod
    def over(batches: Iterable[Tensor]) -> FrechetStatistics:
        """Statistics of batches of features (N, D)."""
        statistics: FrechetStatistics | None = None
        for batch in batches:
            statistics = (statistics or FrechetStatistics(batch.shape[-1])).update(batch)
        if statistics is None:
            raise UsageError("no features to take statistics of; give at least two images")
        return statistics

    def update(self, features: Tensor) -> FrechetStatistics:
        """Add features (N, D); sums are kept about the running mean, so nothing large cancels."""
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise ShapeError(f"features are {tuple(features.shape)}, expected (N, {len(self.mean)})")
        if not len(features):
            return self
        batch: Matrix = features.detach().to("cpu", torch.float64).numpy()
        total = self.count + len(batch)
        mean = batch.mean(axis=0)
        shift = mean - self.mean
        centred = batch - mean
        self._scatter += centred.T @ centred + np.outer(shift, shift) * (self.count * len(batch) / total)
        self.mean = self.mean + shift * (len(batch) / total)
        self.count = total
        return self

    @property
    def covariance(self) -> Matrix:
        """Covariance (D, D) with the divisor N - 1."""
        if self.count < 2:
            raise UsageError(f"a covariance needs at least 2 images, got {self.count}; generate more")
        return self._scatter / (self.count - 1)


def _root(symmetric: Matrix) -> Matrix:
    """Square root of a symmetric, positive semi-definite matrix; rounding below zero counts as zero."""
    values, vectors = np.linalg.eigh(symmetric)
    scaled: Matrix = vectors * np.sqrt(values.clip(min=0))
    return scaled @ vectors.T


def frechet_parts(a: FrechetStatistics, b: FrechetStatistics) -> FrechetParts:
    """The parts of the distance.

    tr (S_a S_b)^1/2 is the sum of the square roots of the eigenvalues of S_a^1/2 S_b S_a^1/2: symmetric and
    never complex, unlike the root of the product itself, and in no need of an epsilon on the diagonals.
    """
    root, covariance_a, covariance_b = _root(a.covariance), a.covariance, b.covariance
    values = np.linalg.eigvalsh(root @ covariance_b @ root).clip(min=0)
    difference = a.mean - b.mean
    return FrechetParts(
        mean_diff2=float(difference @ difference),
        trace_a=float(np.trace(covariance_a)),
        trace_b=float(np.trace(covariance_b)),
        two_trace_sqrt=float(2 * np.sqrt(values).sum()),
    )


def frechet_distance(a: FrechetStatistics, b: FrechetStatistics) -> float:
    """The Frechet distance between two sets of features."""
    return frechet_parts(a, b).distance
