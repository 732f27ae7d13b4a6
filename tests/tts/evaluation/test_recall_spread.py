"""Recall of parts of the samples against recall computed anew."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tts.errors import UsageError
from tts.evaluation.manifold import coverage
from tts.evaluation.recall_spread import nearest, recall_of_parts
from tts.evaluation.resampling import halves


def _features(count: int, seed: int, shift: float = 0.0) -> Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed)) + shift


def _halves(images: int, count: int) -> Tensor:
    return halves(images, count, 0)


@pytest.mark.parametrize("block", [17, 4096])
@pytest.mark.parametrize("neighbours", [1, 3])
def test_a_half_is_a_set_of_its_own(neighbours: int, block: int) -> None:
    reference, samples = _features(150, 0), _features(120, 1, shift=0.4)
    chosen = _halves(len(samples), 6)
    found = recall_of_parts(reference, samples, chosen, neighbours, block)
    expected = [coverage(reference, samples[half], neighbours).recall for half in chosen]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_copies_are_neighbours_at_no_distance() -> None:
    samples = torch.cat((_features(40, 2), _features(1, 3).expand(40, -1)))
    chosen = _halves(len(samples), 4)
    found = recall_of_parts(_features(50, 4), samples, chosen)
    expected = [coverage(_features(50, 4), samples[half]).recall for half in chosen]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_the_nearest_are_those_of_all_distances() -> None:
    features = _features(90, 5)
    every = (features[:, None] - features).square().sum(dim=2).fill_diagonal_(torch.inf)
    expected, columns = every.topk(10, largest=False)
    found, numbers = nearest(features, 10, block=23)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(numbers, columns)
    assert nearest(features[:4], 10)[0].shape == (4, 3)


def test_a_half_that_is_too_small_is_refused() -> None:
    with pytest.raises(UsageError, match="more than 3 images on each side, got 3"):
        recall_of_parts(_features(20, 0), _features(6, 1), _halves(6, 2))
