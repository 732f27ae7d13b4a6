"""The Frechet distance of singular covariances against exact values and scipy's matrix root.

``scipy.linalg.sqrtm`` is good to about 1e-8 where the product of the covariances is singular, and warns; the
exact values are computed with 60 digits.
"""

from __future__ import annotations

import warnings

import mpmath
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from torch import Tensor

from tts.evaluation.frechet import FrechetStatistics, frechet_distance


def _features(count: int, dimensions: int, seed: int, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dimensions, dimensions, generator=generator, dtype=torch.float64)
    return torch.randn(count, dimensions, generator=generator, dtype=torch.float64) @ mixing + shift


def _constant(features: Tensor) -> Tensor:
    """One feature is 0.3, another 1000, for all images."""
    changed = features.clone()
    changed[:, 2], changed[:, 7] = 0.3, 1e3
    return changed


def _duplicated(features: Tensor) -> Tensor:
    return torch.cat((features[:, :5], features[:, :5]), dim=1)


def _graded(features: Tensor) -> Tensor:
    """Standard deviations from 1 to 1e-9."""
    return features * torch.logspace(0, -9, features.shape[1], dtype=features.dtype)


A, B = _features(40, 10, 0), _features(50, 10, 1, shift=0.5)
CASES: dict[str, tuple[Tensor, Tensor]] = {
    "regular": (A, B),
    "fewer images than features": (A[:5], B),
    "few images on both sides": (A[:5], B[:6]),
    "constant features": (_constant(A), B),
    "constant features on both sides": (_constant(A), _constant(B)),
    "duplicated columns": (_duplicated(A), B),
    "duplicated columns on both sides": (_duplicated(A), _duplicated(B)),
    "tiny variances": (_graded(A), B),
    "tiny variances on both sides": (_graded(A), _graded(B)),
    "all variances tiny": (1e-6 * A, 1e-6 * B),
    "far from the origin": (A + 1e3, B + 1e3),
}


def _exact(a: Tensor, b: Tensor) -> float:
    """The distance with 60 digits."""
    with mpmath.workdps(60):
        (mean_a, covariance_a), (mean_b, covariance_b) = map(_exact_statistics, (a, b))
        values, vectors = mpmath.eigsy(covariance_a)
        root = vectors * mpmath.diag([mpmath.sqrt(max(value, 0)) for value in values]) * vectors.T
        product = root * covariance_b * root
        values = mpmath.eigsy((product + product.T) / 2, eigvals_only=True)
        root_trace = mpmath.fsum(mpmath.sqrt(max(value, 0)) for value in values)
        traces = sum(covariance_a[i, i] + covariance_b[i, i] for i in range(len(mean_a)))
        shift = mpmath.fsum((x - y) ** 2 for x, y in zip(mean_a, mean_b, strict=True))
        return float(shift + traces - 2 * root_trace)


def _exact_statistics(features: Tensor) -> tuple[list[mpmath.mpf], mpmath.matrix]:
    rows = mpmath.matrix(features.tolist())
    mean = [mpmath.fsum(rows[:, j]) / rows.rows for j in range(rows.cols)]
    centred = mpmath.matrix(rows.rows, rows.cols)
    for i in range(rows.rows):
        for j in range(rows.cols):
            centred[i, j] = rows[i, j] - mean[j]
    return mean, centred.T * centred / (rows.rows - 1)


def _by_scipy(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    covariance_a, covariance_b = np.cov(a.T), np.cov(b.T)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = np.real(sqrtm(covariance_a @ covariance_b))
    shift = a.mean(axis=0) - b.mean(axis=0)
    return float(shift @ shift + np.trace(covariance_a + covariance_b - 2 * root))


def _distance(a: Tensor, b: Tensor) -> float:
    return frechet_distance(FrechetStatistics.of(a), FrechetStatistics.of(b))


@pytest.mark.parametrize("case", CASES)
def test_singular_covariances_lose_no_digits(case: str) -> None:
    a, b = CASES[case]
    expected = _exact(a, b)
    assert _distance(a, b) == pytest.approx(expected, rel=1e-8)
    assert _distance(b, a) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_distance_equals_the_root_of_the_product(case: str) -> None:
    a, b = CASES[case]
    assert _distance(a, b) == pytest.approx(_by_scipy(a.numpy(), b.numpy()), rel=1e-6)


def test_copies_of_the_features_multiply_the_distance() -> None:
    a, b = A[:8], B[:30]
    assert _distance(a.repeat(1, 3), b.repeat(1, 3)) == pytest.approx(3 * _distance(a, b), rel=1e-9)


def test_a_feature_that_never_varies_adds_nothing() -> None:
    padded = [torch.cat((x, torch.full((len(x), 4), 7.7, dtype=x.dtype)), dim=1) for x in (A, B)]
    assert _distance(padded[0], padded[1]) == pytest.approx(_distance(A, B), rel=1e-9)


def test_a_rotation_changes_nothing() -> None:
    rotation = torch.linalg.qr(_features(10, 10, 9))[0]
    assert _distance(A @ rotation, B @ rotation) == pytest.approx(_distance(A, B), rel=1e-9)
