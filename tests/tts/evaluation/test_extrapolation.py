"""Figures at infinity where the true ones are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tts.errors import UsageError
from tts.evaluation.extrapolation import (
    at_infinity,
    fid_infinity,
    inception_score_infinity,
    resampled_fid_infinity,
    resampled_score_infinity,
)
from tts.evaluation.frechet import FrechetStatistics, frechet_distance
from tts.evaluation.frechet_spread import resampled_parts
from tts.evaluation.inception_score import inception_score
from tts.evaluation.resampling import halves

D = 32
STANDARD = FrechetStatistics.stored(np.zeros(D), np.eye(D))


def _normal(count: int, seed: int) -> Tensor:
    return torch.randn(count, D, generator=torch.Generator().manual_seed(seed))


def test_equal_distributions_have_no_distance_at_infinity() -> None:
    plain, infinite = [], []
    for seed in range(8):
        samples = _normal(400, seed)
        plain.append(frechet_distance(STANDARD, FrechetStatistics.of(samples)))
        infinite.append(fid_infinity(samples, STANDARD))
    error = np.std(infinite, ddof=1) / len(infinite) ** 0.5
    assert min(plain) > 0.6
    assert abs(np.mean(infinite)) < 4 * error + 0.05 * np.mean(plain)
    assert max(map(abs, infinite)) < 0.3


def test_a_true_distance_stays() -> None:
    found = [fid_infinity(1.2 * _normal(1000, seed) + 0.25, STANDARD) for seed in range(4)]
    assert np.mean(found) == pytest.approx(D * (0.25**2 + 0.2**2), abs=0.15)


def test_sets_of_different_sizes_agree() -> None:
    few, many = 1.1 * _normal(300, 0), 1.1 * _normal(3000, 1)
    plain = [frechet_distance(STANDARD, FrechetStatistics.of(samples)) for samples in (few, many)]
    infinite = [fid_infinity(samples, STANDARD) for samples in (few, many)]
    assert plain[0] - plain[1] > 0.6
    assert abs(infinite[0] - infinite[1]) < 0.35 * (plain[0] - plain[1])


def test_the_inception_score_of_few_images_is_too_low() -> None:
    def logits(count: int, seed: int) -> Tensor:
        return 3 * torch.randn(count, 20, generator=torch.Generator().manual_seed(seed))

    true = inception_score(logits(100_000, 0))
    few = [logits(400, seed) for seed in range(1, 101)]
    plain = np.mean([inception_score(one) for one in few])
    infinite = np.mean([inception_score_infinity(one) for one in few])
    assert plain < true
    assert abs(infinite - true) < 0.5 * (true - plain)


def test_a_line_is_found_exactly_and_with_every_image() -> None:
    seen: list[Tensor] = []

    def measure(chosen: Tensor) -> Tensor:
        seen.append(chosen)
        return torch.tensor([3.0, -2.0], dtype=torch.float64) + 50.0 / len(chosen)

    assert at_infinity(measure, 1203, 100, 0).tolist() == pytest.approx([3.0, -2.0], rel=1e-9)
    assert len(seen) == 1 + 2 + 3 + 4 + 5
    for first, count in ((0, 1), (1, 2), (3, 3), (6, 4), (10, 5)):
        assert torch.cat(seen[first : first + count]).sort().values.tolist() == list(range(1203))


@pytest.mark.parametrize(("least", "parts"), [(1, 5), (300, 3), (400, 2), (5000, 2)])
def test_parts_are_large_enough(least: int, parts: int) -> None:
    calls: list[int] = []

    def measure(chosen: Tensor) -> Tensor:
        calls.append(len(chosen))
        return torch.tensor(1.0, dtype=torch.float64)

    at_infinity(measure, 1000, least, 0)
    assert len(calls) == parts * (parts + 1) // 2


def test_the_seed_decides() -> None:
    samples = _normal(200, 9)
    assert fid_infinity(samples, STANDARD, 1) == fid_infinity(samples, STANDARD, 1)
    assert fid_infinity(samples, STANDARD, 1) != fid_infinity(samples, STANDARD, 2)


def test_weights_serve_as_copies_do() -> None:
    """Drawn once each, the images are those of the figure itself; drawn twice each, a set twice as large."""
    samples, logits = _normal(400, 3), 2 * _normal(400, 4)
    weights = torch.ones(2, 400, dtype=torch.int16)
    weights[1] = 2
    once, twice = resampled_fid_infinity(samples, STANDARD, weights, 5).tolist()
    assert once == pytest.approx(fid_infinity(samples, STANDARD, 5), abs=1e-9)
    plain = frechet_distance(STANDARD, FrechetStatistics.of(samples))
    assert abs(twice - once) < 0.01 * plain  # by the divisors of the covariances alone
    scores = resampled_score_infinity(logits, weights, 5).tolist()
    assert scores == pytest.approx([inception_score_infinity(logits, 5)] * 2, rel=1e-12)


def test_halves_do_not_move_the_figure_at_infinity() -> None:
    """The FID of a half is higher; at infinity that is gone with the rest of the bias."""
    samples = _normal(400, 6)
    weights = halves(400, 100, 0).to(torch.int16)
    at_all = resampled_parts(samples, STANDARD, weights)
    plain = frechet_distance(STANDARD, FrechetStatistics.of(samples))
    risen = np.mean([parts.distance for parts in at_all]) - plain
    moved = float(resampled_fid_infinity(samples, STANDARD, weights).mean()) - fid_infinity(samples, STANDARD)
    assert risen > 0.5 * plain
    assert abs(moved) < 0.2 * risen


def test_too_few_images_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 4 images, got 3"):
        fid_infinity(_normal(3, 0), STANDARD)
