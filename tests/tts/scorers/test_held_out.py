"""Held-out figures of a network."""

from __future__ import annotations

import math

import pytest
import torch

from tts.errors import RunError
from tts.scorers.held_out import evaluate, mean
from tts.scorers.losses import pairwise
from tts.scorers.network import ScorerNetwork, default_config
from tts.scorers.pair_data import split_pairs
from tts.scorers.pair_scores import PairScores
from tts.scorers.settings import TrainSettings

SETTINGS = TrainSettings("pairwise", (0, 3), held_out=0.25)


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return ScorerNetwork(default_config(16, 4, 10, 4))


@pytest.fixture
def figures(network, digit_stores, digits_backbone):
    held = split_pairs(*digit_stores, SETTINGS)[1]
    scores = PairScores(digits_backbone, SETTINGS.scales, torch.device("cpu"))
    return lambda loss=pairwise, batch=16: evaluate(network, scores, held, 50, batch, loss)


def test_figures_are_those_of_the_scores(figures, network):
    found = figures()
    assert not network.training
    assert found.real.shape == found.generated.shape == (50, 2)
    for scale in (0, 1):
        real, generated = found.real[:, scale], found.generated[:, scale]
        assert found.loss[scale] == float(pairwise(real, generated))
        assert found.accuracy[scale] == pytest.approx(float((real > generated).float().mean()))
    assert mean(found.loss) == pytest.approx(sum(found.loss) / 2)


def test_they_are_the_same_every_time_and_draw_nothing(figures):
    before = torch.get_rng_state()
    first, second = figures(), figures()
    assert torch.equal(first.real, second.real)
    assert torch.equal(torch.get_rng_state(), before)


def test_they_do_not_depend_on_how_many_go_through_the_network_at_a_time(figures):
    torch.testing.assert_close(figures(batch=7).real, figures().real, rtol=1e-4, atol=1e-5)


def test_scores_that_are_not_finite_end_the_run(figures, network, refused):
    network.out_proj.bias.data.fill_(math.inf)
    with refused("held-out scores are not finite", "lower --lr", kind=RunError, code=1):
        figures()


def test_a_loss_that_is_not_finite_ends_the_run(figures, refused):
    with refused("the held-out loss is nan at finite scores", "--loss", kind=RunError, code=1):
        figures(lambda real, generated: pairwise(real, generated) * math.nan)
