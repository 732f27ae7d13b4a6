"""Densities agree with a direct loop and with scipy, and do not change with what must not matter."""

from __future__ import annotations

import math

import pytest
import torch
import tts_select_density_estimate as estimate
from tts_select_density_estimate import (
    bandwidths,
    kernel_density,
    log_density,
    map_density,
    position_density,
    token_density,
)

RULES = ["median", "silverman", 0.7]


def points(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def direct(rows, width):
    """Density of each of M points (M, D) by definition."""
    rows = rows.double().tolist()
    return [
        sum(math.exp(-(math.dist(one, other) ** 2) / (2 * width**2)) for other in rows) / len(rows)
        for one in rows
    ]


def width_of(rows, rule):
    """Bandwidth of points (M, D) by definition."""
    count, dimensions = rows.shape
    if rule == "median":
        pairs = sorted(math.dist(rows[i], rows[j]) for i in range(count) for j in range(i + 1, count))
        return pairs[(len(pairs) - 1) // 2]
    if rule == "silverman":
        deviation = rows.var(dim=0).mean().sqrt().item()
        return deviation * (4 / ((dimensions + 2) * count)) ** (1 / (dimensions + 4))
    return rule


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", [(2, 1), (5, 3), (9, 8)])
def test_densities_are_those_of_a_direct_loop(shape, rule):
    sets = points(4, *shape)
    found = log_density(sets, rule).exp()
    expected = torch.tensor([direct(rows, width_of(rows, rule)) for rows in sets])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dimensions", [1, 3])
def test_densities_are_those_of_scipy(dimensions):
    stats = pytest.importorskip("scipy.stats")
    rows = points(12, dimensions).double()
    rows = rows - rows.mean(dim=0)
    covariance = rows.T @ rows / (len(rows) - 1)
    rows = rows @ torch.linalg.inv(torch.linalg.cholesky(covariance)).T  # unit covariance: one kernel width
    theirs = stats.gaussian_kde(rows.T.numpy(), bw_method="silverman")
    found = log_density(rows[None], "silverman")[0].double()
    factor = -dimensions / 2 * math.log(2 * math.pi * theirs.factor**2)
    expected = torch.as_tensor(theirs.logpdf(rows.T.numpy()))
    torch.testing.assert_close(found + factor, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_an_order_of_candidates_is_carried_along(rule):
    sets, order = points(3, 7, 4), torch.tensor([4, 0, 6, 1, 5, 3, 2])
    torch.testing.assert_close(log_density(sets[:, order], rule), log_density(sets, rule)[:, order])


@pytest.mark.parametrize("rule", RULES)
def test_a_shift_of_all_candidates_changes_nothing(rule):
    maps, shift = points(3, 6, 2, 4, 4), 5 * points(3, 1, 2, 4, 4, seed=1)
    for density in (map_density, position_density):
        torch.testing.assert_close(density(maps + shift, rule), density(maps, rule), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("rule", ["median", "silverman"])
def test_units_do_not_matter_to_the_rules(rule):
    sets = points(3, 6, 5)
    torch.testing.assert_close(log_density(1000 * sets, rule), log_density(sets, rule), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("budget", [1, 10_000, 2**26])
def test_images_do_not_depend_on_their_batch_or_on_chunks(monkeypatch, budget):
    maps, tokens = points(5, 6, 2, 4, 4), torch.randint(0, 3, (5, 6, 9), generator=torch.Generator())
    whole = map_density(maps, "median"), position_density(maps, "silverman"), token_density(tokens, 1.0)
    monkeypatch.setattr(estimate, "BUDGET", budget)
    for i in range(5):
        alone = (
            map_density(maps[i : i + 1], "median"),
            position_density(maps[i : i + 1], "silverman"),
            token_density(tokens[i : i + 1], 1.0),
        )
        for all_images, one in zip(whole, alone, strict=True):
            assert torch.equal(all_images[i : i + 1], one)
    assert torch.equal(map_density(maps, "median"), whole[0])
    assert torch.equal(position_density(maps, "silverman"), whole[1])
    assert torch.equal(token_density(tokens, 1.0), whole[2])


@pytest.mark.parametrize("rule", [*RULES, 0.0])
def test_equal_candidates_are_equally_dense(rule):
    sets = points(2, 1, 4000).expand(-1, 6, -1)
    assert torch.equal(log_density(sets, rule), torch.zeros(2, 6))


def test_repeated_candidates_are_denser_than_single_ones():
    rows = points(4, 3)[[0, 1, 1, 2, 1, 3]]
    found = log_density(rows[None], "silverman")[0]
    assert found[1] == found[2] == found[4]
    assert bool((found[[1]] > found[[0, 3, 5]]).all())


@pytest.mark.parametrize("rule", [0.0, 1e-45, "median"])
def test_a_bandwidth_of_zero_counts_equal_candidates(rule):
    rows = torch.tensor([[1.0], [1.0], [1.0], [1.0], [2.0]])  # the median distance is 0
    torch.testing.assert_close(log_density(rows[None], rule)[0].exp(), torch.tensor([0.8] * 4 + [0.2]))


@pytest.mark.parametrize("rule", [*RULES, 0.0])
def test_a_candidate_alone_has_density_one(rule):
    assert log_density(points(3, 1, 4), rule).tolist() == [[0.0]] * 3
    assert position_density(points(2, 1, 3, 2, 2), rule).tolist() == [[0.0]] * 2


def test_the_density_of_positions_is_the_mean_of_their_densities():
    maps = points(2, 5, 3, 2, 2)
    each = [log_density(maps[:, :, :, i, j], "silverman").exp() for i in range(2) for j in range(2)]
    torch.testing.assert_close(position_density(maps, "silverman").exp(), torch.stack(each).mean(dim=0))


def test_tokens_are_as_far_apart_as_tokens_differ():
    tokens = torch.tensor([[[1, 2, 3], [1, 2, 4], [1, 5, 6]]])
    squares = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 2.0], [2.0, 2.0, 0.0]])
    expected = (-squares / (2 * 0.5**2)).exp().mean(dim=1)[None]
    torch.testing.assert_close(token_density(tokens, 0.5).exp(), expected)


def test_far_points_and_many_dimensions_stay_finite():
    sets = points(2, 6, 8192) * 1e4
    for rule in RULES:
        found = log_density(sets, rule)
        assert bool(torch.isfinite(found).all())
        assert float(found.min()) >= -math.log(6) - 1e-6


def test_without_pairs_the_bandwidth_is_zero():
    distances = torch.zeros(2, 1, 1)
    assert bandwidths(distances, "median", 3).tolist() == [0.0, 0.0]
    assert kernel_density(distances, "median").tolist() == [[0.0], [0.0]]
