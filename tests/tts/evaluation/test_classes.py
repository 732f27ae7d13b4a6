"""Accuracy and variance within classes, of all images and of resamples."""

from __future__ import annotations

import pytest
import torch

from tts.errors import UsageError
from tts.evaluation.classes import accuracy, resampled_variance, within_class_variance


def _features(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def test_accuracy_counts_the_classes_that_are_right() -> None:
    logits = torch.eye(4).repeat(2, 1)
    assert accuracy(logits, torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])) == 1.0
    assert accuracy(logits, torch.tensor([0, 1, 2, 3, 1, 2, 3, 0])) == 0.5


def test_variance_is_the_mean_over_the_classes() -> None:
    features, labels = _features(90, 0), torch.arange(90) % 4
    parts = [features[labels == label].double().var(dim=0, correction=0).sum() for label in range(4)]
    expected = float(torch.stack(parts).mean())
    assert within_class_variance(features, labels) == pytest.approx(expected, rel=1e-12)
    assert within_class_variance(features, 7 * labels + 3) == pytest.approx(expected, rel=1e-12)


def test_labels_below_zero_are_refused() -> None:
    labels = torch.arange(90) % 4 - 3
    with pytest.raises(UsageError, match="labels must be at least 0, got -3"):
        within_class_variance(_features(90, 0), labels)
    with pytest.raises(UsageError, match="labels must be at least 0, got -3"):
        accuracy(torch.eye(4)[labels], labels)


def test_variance_does_not_see_where_the_classes_are() -> None:
    features, labels = _features(60, 1), torch.arange(60) % 3
    moved = features.double() + 1e3 * labels[:, None]
    assert within_class_variance(moved, labels) == pytest.approx(within_class_variance(features, labels))


def test_repeated_images_lower_the_variance() -> None:
    features, labels = _features(60, 2), torch.arange(60) % 3
    collapsed = features[labels]
    assert within_class_variance(collapsed, labels) == pytest.approx(0.0, abs=1e-12)


def test_weights_repeat_images() -> None:
    features, labels = _features(40, 3), torch.arange(40) % 3
    weights = torch.randint(0, 3, (5, 40), generator=torch.Generator().manual_seed(0))
    weights[4, labels == 1] = 0  # a class that a resample lacks
    found = resampled_variance(features, labels, weights)
    for number, chosen in enumerate(weights):
        repeated = features.repeat_interleave(chosen, dim=0), labels.repeat_interleave(chosen)
        assert float(found[number]) == pytest.approx(within_class_variance(*repeated), rel=1e-10)
