"""The Inception Score against the reference's values and cases that are known."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tts.errors import ShapeError, UsageError
from tts.evaluation.inception_score import inception_score

Golden = Callable[[str], dict[str, Tensor]]


@pytest.mark.parametrize("split", [250, 600])
def test_score_equals_the_reference(golden: Golden, split: int) -> None:
    values = golden("metrics")
    logits = values["class_probabilities"].log()
    expected = float(values[f"inception_score_split{split}"])
    assert inception_score(logits, split) == pytest.approx(expected, rel=1e-12)
    moved = logits + torch.linspace(-300, 300, len(logits), dtype=torch.float64)[:, None]
    assert inception_score(moved, split) == pytest.approx(expected, rel=1e-12)


def test_one_part_is_all_images(golden: Golden) -> None:
    values = golden("metrics")
    logits = values["class_probabilities"].log()
    for split in (None, 600, 10_000):
        found = inception_score(logits, split)
        assert found == pytest.approx(float(values["inception_score_split600"]), rel=1e-12)


@pytest.mark.parametrize("classes", [2, 10, 1008])
def test_sure_and_even_predictions_score_the_number_of_classes(classes: int) -> None:
    sure = torch.full((classes, classes), -torch.inf).fill_diagonal_(0.0)
    assert inception_score(sure) == pytest.approx(classes, rel=1e-12)
    assert inception_score(1e4 * torch.eye(classes)) == pytest.approx(classes, rel=1e-12)


def test_equal_images_score_one() -> None:
    logits = torch.randn(1, 20, generator=torch.Generator().manual_seed(0)).expand(50, -1)
    assert inception_score(logits) == pytest.approx(1.0, abs=1e-12)


def test_the_mean_of_divergences_is_meant() -> None:
    logits = torch.randn(40, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    p = logits.softmax(dim=1)
    divergences = (p * (p / p.mean(dim=0)).log()).sum(dim=1)
    assert inception_score(logits) == pytest.approx(math.exp(float(divergences.mean())), rel=1e-12)


def test_a_short_tail_counts_as_a_full_part() -> None:
    logits = torch.randn(25, 7, generator=torch.Generator().manual_seed(2))
    parts = [inception_score(logits[:10]), inception_score(logits[10:20]), inception_score(logits[20:])]
    assert inception_score(logits, 10) == pytest.approx(sum(parts) / 3, rel=1e-12)


def test_images_in_the_order_of_their_classes_score_low() -> None:
    logits = 20 * torch.eye(10).repeat_interleave(50, dim=0)
    shuffled = logits[torch.randperm(500, generator=torch.Generator().manual_seed(3))]
    assert inception_score(logits, 100) == pytest.approx(2.0, rel=1e-4)
    assert inception_score(shuffled, 100) > 9


def test_the_order_within_a_part_does_not_matter() -> None:
    logits = torch.randn(60, 5, generator=torch.Generator().manual_seed(4))
    assert inception_score(logits.flip(0), 30) == pytest.approx(inception_score(logits, 30), rel=1e-12)


def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"logits are \(0, 5\)"):
        inception_score(torch.zeros(0, 5))
    with pytest.raises(ShapeError, match=r"of shape \(N, D\), got float32 \(5,\)"):
        inception_score(torch.zeros(5))
    with pytest.raises(UsageError, match="parts of 0 images"):
        inception_score(torch.zeros(5, 5), 0)
