"""What makes a trained scorer doubtful."""

from __future__ import annotations

import pytest

from tts.scorers.doubts import doubts
from tts.scorers.settings import TrainSettings

SETTINGS = TrainSettings("pairwise", (0, 1, 2))


def said(accuracy: tuple[float, ...], items: int = 1000, **changes: float) -> list[str]:
    settings = TrainSettings("pairwise", SETTINGS.scales, **changes)  # type: ignore[arg-type]
    return list(doubts(settings, 80, accuracy, items))


def test_a_good_scorer_is_not_doubted() -> None:
    assert said((0.5, 0.8, 0.9)) == []


def test_a_scorer_at_chance_is_doubted() -> None:
    (line,) = said((0.49, 0.51, 0.54))
    assert line.startswith("the scorer ranks held-out pairs no better than chance: accuracy below 0.55")
    assert "--epoch-pairs" in line


def test_a_scale_at_chance_is_named() -> None:
    (line,) = said((0.5, 0.53, 0.9))
    assert line.startswith("the scorer at scale 2 (0.530) ranks")


def test_the_first_scale_counts_only_where_there_is_no_other() -> None:
    only = TrainSettings("pairwise", (0,))
    assert len(list(doubts(only, 80, (0.5,), 1000))) == 1


def test_few_images_must_show_more() -> None:
    assert said((0.5, 0.6, 0.6), items=1000) == []
    (line,) = said((0.5, 0.6, 0.6), items=20)
    assert "accuracy below 0.72, of 20 images a side" in line


@pytest.mark.parametrize(("ema", "many"), [(0.0, 0), (0.9, 0), (0.987, 0), (0.99, 1), (0.998, 1)])
def test_a_moving_average_longer_than_the_training_is_doubted(ema: float, many: int) -> None:
    lines = said((0.5, 0.8, 0.9), ema=ema)
    assert len(lines) == many
    for line in lines:
        assert f"--ema {ema:g} spans {1 / (1 - ema):.0f} steps, the training has 80" in line
        assert "pass --ema 0.987 or less" in line
