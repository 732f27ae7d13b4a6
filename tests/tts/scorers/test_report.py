"""Figures of known distributions, and pictures that are written."""

from __future__ import annotations

import sys

import pytest
import torch
from PIL import Image

from tts.scorers.network import ScorerNetwork, default_config
from tts.scorers.report import beyond_first, draw, score_gap
from tts.scorers.train import TrainResult

SCALES = (0, 1, 3)


def normal(mean, count=200_000, seed=0):
    return torch.randn(count, generator=torch.Generator().manual_seed(seed)) + mean


@pytest.fixture
def result():
    generator = torch.Generator().manual_seed(0)
    history = [
        {"epoch": epoch, "train_loss": 0.6, "loss": (0.7, 0.5, 0.4), "accuracy": (0.5, 0.7, 0.8)}
        for epoch in (1, 2)
    ]
    real, generated = (torch.randn(50, 3, generator=generator) + shift for shift in (1, 0))
    return TrainResult(ScorerNetwork(default_config(4, 4, 3, 4)), history, real, generated)


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_the_gap_of_two_gaussians(shift):
    gap = score_gap(normal(shift, seed=1), normal(0.0, seed=2))
    assert gap.mean_real == pytest.approx(shift, abs=0.01)
    assert gap.mean_generated == pytest.approx(0, abs=0.01)
    assert gap.gap == pytest.approx(shift, abs=0.02)
    assert gap.kl == pytest.approx(shift**2 / 2, rel=0.05)


def test_equal_scores_have_no_gap():
    scores = normal(3.0)
    gap = score_gap(scores, scores)
    assert (gap.gap, gap.kl) == (0, 0)
    constant = score_gap(torch.zeros(10), torch.zeros(20))
    assert constant.gap == 0
    assert constant.kl == pytest.approx(0, abs=0.05)


def test_the_divergence_has_a_direction():
    wide, narrow = 3 * normal(0.0, seed=1), normal(0.0, seed=2)
    assert score_gap(wide, narrow).kl > score_gap(narrow, wide).kl > 0.3


def test_scores_that_never_meet_have_a_finite_divergence():
    gap = score_gap(normal(100.0, 1000), normal(-100.0, 1000))
    assert gap.gap == pytest.approx(200, abs=1)
    assert 3 < gap.kl < 10


def test_shapes_do_not_matter():
    real, generated = normal(1.0, 600), normal(0.0, 600, seed=4)
    assert score_gap(real.view(200, 3), generated.view(60, 10)) == score_gap(real, generated)


def test_the_first_scale_is_left_out():
    scores = torch.arange(12).view(4, 3)
    assert torch.equal(beyond_first(scores, (0, 1, 3)), scores[:, 1:])
    assert torch.equal(beyond_first(scores, (3, 0, 1)), scores[:, [0, 2]])
    assert torch.equal(beyond_first(scores, (1, 2, 3)), scores)
    assert torch.equal(beyond_first(scores[:, :1], (0,)), scores[:, :1])


def test_pictures_are_written(result, tmp_path):
    paths = draw(result, SCALES, tmp_path)
    assert paths == [tmp_path / "curves.png", tmp_path / "scores.png"]
    for path in paths:
        with Image.open(path) as image:
            image.verify()
            assert image.format == "PNG"
            assert min(image.size) > 300
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "scores.png"]


def test_pictures_of_one_scale_and_one_epoch(result, tmp_path):
    one = TrainResult(
        result.network,
        [{"epoch": 1, "train_loss": 0.6, "loss": (0.7,), "accuracy": (0.5,)}],
        result.real_scores[:, :1],
        result.generated_scores[:, :1],
    )
    assert all(path.is_file() for path in draw(one, (0,), tmp_path))


def test_no_pictures_without_matplotlib(result, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert draw(result, SCALES, tmp_path) == []
    assert not list(tmp_path.iterdir())
