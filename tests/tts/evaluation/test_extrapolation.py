"""Figures at infinity where the true ones are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tts.errors import UsageError
from tts.evaluation.extrapolation import at_infinity, fid_infinity, inception_score_infinity
from tts.evaluation.frechet import FrechetStatistics, frechet_distance
from tts.evaluation.inception_score import inception_score

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

    def measure(chosen: Tensor) -> float:
        seen.append(chosen)
        return 3.0 + 50.0 / len(chosen)

    assert at_infinity(measure, 1203, 100, 0) == pytest.approx(3.0, rel=1e-9)
    assert len(seen) == 1 + 2 + 3 + 4 + 5
    for first, count in ((0, 1), (1, 2), (3, 3), (6, 4), (10, 5)):
        assert torch.cat(seen[first : first + count]).sort().values.tolist() == list(range(1203))


@pytest.mark.parametrize(("least", "parts"), [(1, 5), (300, 3), (400, 2), (5000, 2)])
def test_parts_are_large_enough(least: int, parts: int) -> None:
    calls: list[int] = []
    at_infinity(lambda chosen: calls.append(len(chosen)) or float(len(chosen)), 1000, least, 0)
    assert len(calls) == parts * (parts + 1) // 2


def test_the_seed_decides() -> None:
    samples = _normal(200, 9)
    assert fid_infinity(samples, STANDARD, 1) == fid_infinity(samples, STANDARD, 1)
    assert fid_infinity(samples, STANDARD, 1) != fid_infinity(samples, STANDARD, 2)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 4 images, got 3"):
        fid_infinity(_normal(3, 0), STANDARD)
