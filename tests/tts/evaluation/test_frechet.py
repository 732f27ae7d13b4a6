"""The Frechet distance against the reference's values, scipy's matrix root, and its own invariants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from tts.errors import ShapeError, UsageError
from tts.evaluation.frechet import FrechetStatistics, frechet_distance, frechet_parts

Golden = Callable[[str], dict[str, Tensor]]


def _features(count: int, dimensions: int, seed: int, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dimensions, dimensions, generator=generator, dtype=torch.float64)
    return torch.randn(count, dimensions, generator=generator, dtype=torch.float64) @ mixing + shift


def test_parts_equal_the_reference(golden: Golden) -> None:
    values = golden("metrics")
    parts = frechet_parts(
        FrechetStatistics.of(values["ref_features"]), FrechetStatistics.of(values["gen_features"])
    )
    assert parts.mean_diff2 == pytest.approx(float(values["mean_diff2"]), rel=1e-9)
    assert parts.trace_a == pytest.approx(float(values["trace_ref"]), rel=1e-9)
    assert parts.trace_b == pytest.approx(float(values["trace_gen"]), rel=1e-9)
    assert parts.two_trace_sqrt == pytest.approx(float(values["two_trace_sqrt"]), rel=1e-9)
    assert parts.distance == pytest.approx(float(values["fid"]), rel=1e-7)


def test_distance_equals_the_root_of_the_product() -> None:
    a, b = _features(300, 16, 0), _features(200, 16, 1, shift=0.5)
    covariance_a, covariance_b = np.cov(a.numpy().T), np.cov(b.numpy().T)
    difference = a.mean(0).numpy() - b.mean(0).numpy()
    root = sqrtm(covariance_a @ covariance_b)
    expected = difference @ difference + np.trace(covariance_a + covariance_b - 2 * np.real(root))
    found = frechet_distance(FrechetStatistics.of(a), FrechetStatistics.of(b))
    assert found == pytest.approx(expected, rel=1e-9)


def test_fewer_images_than_features() -> None:
    a, b = _features(5, 32, 2), _features(40, 32, 3)
    distance = frechet_distance(FrechetStatistics.of(a), FrechetStatistics.of(b))
    back = frechet_distance(FrechetStatistics.of(b), FrechetStatistics.of(a))
    assert np.isfinite(distance)
    assert distance == pytest.approx(back, rel=1e-6)


def test_a_set_has_no_distance_to_itself() -> None:
    statistics = FrechetStatistics.of(_features(500, 24, 4))
    assert frechet_distance(statistics, statistics) == pytest.approx(0.0, abs=1e-9)


def test_a_shift_is_the_distance() -> None:
    features = _features(100, 8, 5)
    found = frechet_distance(FrechetStatistics.of(features), FrechetStatistics.of(features + 2))
    assert found == pytest.approx(8 * 4.0)


@pytest.mark.parametrize("size", [1, 7, 100, 300])
def test_batches_do_not_matter(size: int) -> None:
    features = _features(300, 12, 6, shift=1e4)
    streamed = FrechetStatistics.over(features.split(size))
    assert streamed.count == 300
    np.testing.assert_allclose(streamed.mean, features.mean(0).numpy(), rtol=1e-12)
    np.testing.assert_allclose(streamed.covariance, np.cov(features.numpy().T), rtol=1e-9)


def test_half_precision_features_are_summed_in_float64() -> None:
    features = _features(64, 4, 7).half()
    expected = np.cov(features.double().numpy().T)
    np.testing.assert_allclose(FrechetStatistics.of(features).covariance, expected, rtol=1e-12)


def test_an_empty_batch_changes_nothing() -> None:
    features = _features(10, 3, 8)
    streamed = FrechetStatistics.over([features, features[:0]])
    np.testing.assert_array_equal(streamed.covariance, FrechetStatistics.of(features).covariance)


def test_too_few_images_and_other_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 2 images, got 1"):
        _ = FrechetStatistics.of(torch.zeros(1, 3)).covariance
    with pytest.raises(UsageError, match="no features"):
        FrechetStatistics.over([])
    with pytest.raises(ShapeError, match=r"\(4, 2\), expected \(N, 3\)"):
        FrechetStatistics(3).update(torch.zeros(4, 2))
