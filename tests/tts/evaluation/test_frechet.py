"""The Frechet distance against the reference's values, scipy's matrix root, and its own invariants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from torch import Tensor

from tts.errors import ShapeError, UsageError
from tts.evaluation import frechet
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


A, B = _features(40, 10, 0), _features(50, 10, 1, shift=0.5)


def _distance(a: Tensor, b: Tensor) -> float:
    return frechet_distance(FrechetStatistics.of(a), FrechetStatistics.of(b))


def test_the_reference_features_agree_with_scipy(golden: Golden) -> None:
    values = golden("metrics")
    a, b = values["ref_features"].double(), values["gen_features"].double()
    covariance_a, covariance_b = np.cov(a.numpy().T), np.cov(b.numpy().T)
    shift = a.mean(dim=0) - b.mean(dim=0)
    root = np.real(sqrtm(covariance_a @ covariance_b))
    expected = float(shift @ shift) + np.trace(covariance_a + covariance_b - 2 * root)
    assert _distance(a, b) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("count", "dimensions"), [(500, 24), (5, 32), (33, 32), (400, 256)])
def test_a_set_has_no_distance_to_itself(count: int, dimensions: int) -> None:
    statistics = FrechetStatistics.of(_features(count, dimensions, 4))
    trace = float(np.trace(statistics.covariance))
    assert 0 <= frechet_distance(statistics, statistics) < 1e-12 * trace
    assert frechet_distance(statistics, statistics) == pytest.approx(0.0, abs=1e-9)


def test_the_order_of_the_images_does_not_matter() -> None:
    order = torch.randperm(len(A), generator=torch.Generator().manual_seed(0))
    assert _distance(A[order], A) < 1e-10
    assert _distance(A[order], B) == pytest.approx(_distance(A, B), rel=1e-12)


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


@pytest.mark.parametrize("cuts", [[1], [150], [2, 3, 299], [50, 100, 150, 200, 250]])
def test_processes_do_not_matter(cuts: list[int]) -> None:
    features, other = _features(300, 12, 6, shift=1e3), FrechetStatistics.of(_features(90, 12, 7))
    whole = FrechetStatistics.of(features)
    parts = [FrechetStatistics.of(part) for part in features.tensor_split(cuts)]
    for order in (parts, parts[::-1]):
        merged = FrechetStatistics.merged(order)
        assert merged.count == 300
        np.testing.assert_allclose(merged.covariance, whole.covariance, rtol=1e-9)
        assert frechet_distance(merged, other) == pytest.approx(frechet_distance(whole, other), rel=1e-9)
    assert parts[0].count == cuts[0]


def test_blocks_of_a_long_set_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    features = _features(300, 12, 6, shift=1e4)
    whole = FrechetStatistics.of(features)
    monkeypatch.setattr(frechet, "BLOCK", 17)
    np.testing.assert_allclose(FrechetStatistics.of(features).covariance, whole.covariance, rtol=1e-9)


def test_stored_statistics_serve_as_the_images_do() -> None:
    made = FrechetStatistics.of(A)
    for count in (None, len(A)):
        stored = FrechetStatistics.stored(A.numpy().mean(axis=0), np.cov(A.numpy().T), count)
        assert stored.count == count
        np.testing.assert_allclose(stored.covariance, made.covariance, rtol=1e-12)
        assert frechet_distance(stored, FrechetStatistics.of(B)) == pytest.approx(_distance(A, B), rel=1e-12)


def test_statistics_stored_with_their_count_take_more_images() -> None:
    stored = FrechetStatistics.stored(A.numpy().mean(axis=0), np.cov(A.numpy().T), len(A))
    together = FrechetStatistics.of(torch.cat((A, B)))
    np.testing.assert_allclose(stored.update(B).covariance, together.covariance, rtol=1e-9)


def test_stored_statistics_of_single_precision_are_near() -> None:
    mean, covariance = A.numpy().mean(axis=0).astype(np.float32), np.cov(A.numpy().T).astype(np.float32)
    found = frechet_distance(FrechetStatistics.stored(mean, covariance), FrechetStatistics.of(B))
    assert found == pytest.approx(_distance(A, B), rel=1e-5)


def test_the_callers_arrays_stay_as_they_are() -> None:
    mean, covariance, features = np.zeros(3), np.eye(3), A[:, :3].clone()
    stored = FrechetStatistics.stored(mean, covariance, 5).update(features)
    _ = frechet_distance(stored, FrechetStatistics.of(features))
    assert not mean.any()
    np.testing.assert_array_equal(covariance, np.eye(3))
    torch.testing.assert_close(features, A[:, :3])


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


def test_an_unknown_count_takes_nothing() -> None:
    stored = FrechetStatistics.stored(np.zeros(10), np.eye(10))
    with pytest.raises(UsageError, match="take no more"):
        stored.update(A)
    with pytest.raises(UsageError, match="cannot be merged"):
        FrechetStatistics.of(A).merge(stored)


@pytest.mark.parametrize(
    ("mean", "covariance", "count", "message"),
    [
        (np.zeros(3), np.eye(4), None, r"mean \(3,\) and a covariance \(4, 4\)"),
        (np.zeros((3, 3)), np.eye(3), None, r"expected \(D,\) and \(D, D\)"),
        (np.array([0.0, np.nan]), np.eye(2), None, "NaN, infinity or numbers above"),
        (np.zeros(2), np.full((2, 2), 1e300), None, "numbers above 1e\\+30"),
        (np.zeros(2), -np.eye(2), None, "negative variances"),
        (np.zeros(2), np.array([[1.0, 0.5], [0.0, 1.0]]), None, "not symmetric"),
        (np.zeros(2), np.eye(2), 1, "at least 2 images, got 1"),
    ],
)
def test_bad_stored_statistics_are_refused(
    mean: NDArray[np.float64], covariance: NDArray[np.float64], count: int | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        FrechetStatistics.stored(mean, covariance, count)


def test_what_is_no_covariance_is_refused() -> None:
    stored = FrechetStatistics.stored(np.zeros(2), np.array([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(UsageError, match="eigenvalues -1 to 3, none may be negative"):
        frechet_distance(stored, stored)


def test_other_dimensions_and_broken_features_are_refused() -> None:
    with pytest.raises(ShapeError, match="one set has 10 features, the other 4"):
        frechet_distance(FrechetStatistics.of(A), FrechetStatistics.of(B[:, :4]))
    with pytest.raises(ShapeError, match="statistics of 4 features, expected 10"):
        FrechetStatistics.of(A).merge(FrechetStatistics.of(B[:, :4]))
    with pytest.raises(UsageError, match="NaN or infinity"):
        FrechetStatistics.of(torch.full((3, 2), torch.nan))
