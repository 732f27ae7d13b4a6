"""Precision and recall against the reference's values, all distances in float64, and their invariants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tts.errors import ShapeError, UsageError
from tts.evaluation import manifold
from tts.evaluation.distances import Distances, HalfDistances
from tts.evaluation.manifold import coverage, radii, within

Golden = Callable[[str], dict[str, Tensor]]


def _features(count: int, dimensions: int, seed: int, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dimensions, generator=generator) + shift


def _all_distances(a: Tensor, b: Tensor) -> Tensor:
    """Every distance (N, M) in float64."""
    return (a.double()[:, None] - b.double()).square().sum(dim=2)


def _plain(reference: Tensor, samples: Tensor, neighbours: int) -> tuple[float, float]:
    """Precision and recall from matrices of all distances."""
    shares = []
    for points, centres in ((samples, reference), (reference, samples)):
        reach = _all_distances(centres, centres).sort(dim=1).values[:, neighbours]
        shares.append(float((_all_distances(points, centres) <= reach).any(dim=1).double().mean()))
    return shares[0], shares[1]


def _gridded(count: int, seed: int) -> Tensor:
    """Few different values: many distances are equal, and many points too."""
    return torch.randint(0, 3, (count, 4), generator=torch.Generator().manual_seed(seed)).float()


A, B = _features(150, 6, 0), _features(120, 6, 1, shift=0.4)
SETS = {
    "plain": (A, B),
    "far from the origin": (A + 3e4, B + 3e4),
    "tiny": (1e-30 * A, 1e-30 * B),
    "huge": (1e18 * A, 1e18 * B),
    "of very different sizes": (A * torch.logspace(0, -12, 6), B * torch.logspace(0, -12, 6)),
    "with many ties": (_gridded(150, 2), _gridded(120, 3)),
    "with copies of the reference": (A, torch.cat((A[:60], B[:40]))),
    "with one image over and over": (A, A[:1].expand(50, -1)),
    "in a tight cluster": (A, 1 + 1e-5 * B),
    "in double precision": (A.double(), B.double()),
}


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("block", [7, 100, 4096])
def test_shares_equal_the_reference(golden: Golden, block: int, half: bool) -> None:
    values = golden("metrics")
    found = coverage(values["ref_features"], values["gen_features"], half=half, block=block)
    tolerance = 0.01 if half else 1e-12  # 6 of 600 images whose distance is that of the edge to 3 digits
    assert found.precision == pytest.approx(float(values["precision"]), abs=tolerance)
    assert found.recall == pytest.approx(float(values["recall"]), abs=tolerance)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("neighbours", [1, 3, 20])
def test_shares_equal_those_of_all_distances(name: str, neighbours: int) -> None:
    reference, samples = SETS[name]
    precision, recall = _plain(reference, samples, neighbours)
    for block in (13, 64, 1000):
        found = coverage(reference, samples, neighbours, block=block)
        assert (found.precision, found.recall) == (precision, recall)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("half", [False, True])
def test_the_order_of_the_images_does_not_matter(name: str, half: bool) -> None:
    reference, samples = SETS[name]
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))
    found, other = coverage(reference, samples, half=half), coverage(reference, samples[order], half=half)
    torch.testing.assert_close(other.inside, found.inside[order])
    torch.testing.assert_close(other.covered, found.covered)


def test_exchanged_sets_exchange_the_shares() -> None:
    found, back = coverage(A, B), coverage(B, A)
    assert (found.precision, found.recall) == (back.recall, back.precision)


def test_a_set_covers_itself() -> None:
    for reference, _ in SETS.values():
        found = coverage(reference, reference.clone())
        assert (found.precision, found.recall) == (1.0, 1.0)


def test_one_mode_is_precise_and_recalls_little() -> None:
    modes = torch.cat((_features(100, 4, 5), _features(100, 4, 6, shift=20)))
    found = coverage(modes, _features(100, 4, 7))
    assert found.precision > 0.8
    assert found.recall < 0.55


@pytest.mark.parametrize("name", SETS)
def test_bounds_hold_the_distances(name: str) -> None:
    reference, samples = SETS[name]
    distances = Distances(samples, reference)
    lower, upper = distances.bounds(slice(None), slice(None))
    exact = _all_distances(samples, reference) / distances.scale
    assert bool((lower.double() <= exact).all())
    assert bool((upper.double() >= exact).all())


def test_a_pair_has_one_distance_wherever_it_stands() -> None:
    features = _features(300, 2048, 8)
    distances = Distances(features, features)
    i, j = torch.arange(300), torch.arange(300).flip(0)
    together = distances.exact(i, j)
    alone = torch.cat([distances.exact(i[n : n + 1], j[n : n + 1]) for n in range(300)])
    torch.testing.assert_close(alone, together, rtol=0, atol=0)
    torch.testing.assert_close(distances.exact(j, i), together, rtol=0, atol=0)


def test_a_point_on_the_rim_lies_inside() -> None:
    centres = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    reach = torch.tensor([25.0, 0.0], dtype=torch.float64)
    points = torch.tensor([[3.0, 4.0], [0.0, 5.0], [0.0, 5.0001], [-3.0, 4.0]])
    assert within(points, centres, reach).tolist() == [True, True, False, True]


def test_few_pairs_are_looked_at_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    exact = Distances.exact

    def counted(self: Distances, rows: Tensor, columns: Tensor) -> Tensor:
        looked.append(len(rows))
        return exact(self, rows, columns)

    monkeypatch.setattr(Distances, "exact", counted)
    a, b = _features(1000, 64, 9), _features(1000, 64, 10)
    coverage(a, b)
    assert sum(looked) < 0.01 * (len(a) + len(b)) ** 2


def _evaluator_distances(a: Tensor, b: Tensor) -> np.ndarray:
    """|a|^2 - 2 a b + |b|^2 in NumPy's half precision, inner sums apart."""
    x, y = a.numpy().astype(np.float16), b.numpy().astype(np.float16)
    norms_x, norms_y = (np.square(z).astype(np.float64).sum(axis=1).astype(np.float16) for z in (x, y))
    products = (x.astype(np.float64) @ y.astype(np.float64).T).astype(np.float16)
    return np.maximum(norms_x[:, None] - np.float16(2) * products + norms_y, 0).astype(np.float32)


def test_half_precision_distances_are_the_evaluators() -> None:
    a, b = _features(40, 32, 11, shift=3), _features(30, 32, 12, shift=3)
    expected = _evaluator_distances(a, b)
    np.testing.assert_array_equal(HalfDistances(a, b).block(slice(None), slice(None)).numpy(), expected)
    assert not np.allclose(expected, _all_distances(a, b).numpy(), rtol=1e-3)
    own = np.sort(_evaluator_distances(a, a), axis=1)[:, 3]
    np.testing.assert_array_equal(radii(a, 3, half=True, block=9).numpy(), own)


def test_overflow_in_half_precision_falls_back_to_single() -> None:
    a = _features(20, 32, 13)
    a[5] = 100.0  # 32 * 100^2 is above 65504
    a[6] = 70000.0
    found = HalfDistances(a, a).block(slice(None), slice(None))
    assert bool(found.isfinite().all())
    rest = torch.tensor([n for n in range(20) if n not in (5, 6)])
    torch.testing.assert_close(found[5, rest], _all_distances(a, a)[5, rest].float(), rtol=1e-3, atol=0)
    torch.testing.assert_close(found[6, rest], _all_distances(a, a)[6, rest].float(), rtol=1e-3, atol=0)
    small = HalfDistances(a[rest], a[rest]).block(slice(None), slice(None))
    torch.testing.assert_close(found[rest][:, rest], small, rtol=0, atol=0)


def test_bad_sets_are_refused() -> None:
    with pytest.raises(UsageError, match="more than 3 images on each side, got 3"):
        coverage(A, B[:3])
    with pytest.raises(UsageError, match="0 neighbours make no manifold"):
        coverage(A, B, neighbours=0)
    with pytest.raises(ShapeError, match="samples have 5 features, the reference 6"):
        coverage(A, B[:, :5])


def test_inputs_stay_as_they_are() -> None:
    a, b = A.clone(), B.clone()
    coverage(a, b)
    coverage(a, b, half=True)
    torch.testing.assert_close(a, A, rtol=0, atol=0)
    torch.testing.assert_close(b, B, rtol=0, atol=0)


def test_the_exact_look_goes_on_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    reference, samples = SETS["with many ties"]
    expected = coverage(reference, samples)
    monkeypatch.setattr(manifold, "_PAIRS", 3)
    found = coverage(reference, samples)
    torch.testing.assert_close(found.inside, expected.inside)
    torch.testing.assert_close(found.covered, expected.covered)
