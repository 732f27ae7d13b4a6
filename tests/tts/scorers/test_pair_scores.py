"""Scores of pairs: each map's own, whatever the layout in between, and in float32 in any precision."""

from __future__ import annotations

import pytest
import torch

from tts.scorers.network import ScorerNetwork, default_config
from tts.scorers.pair_scores import PairScores

CPU = torch.device("cpu")
LABELS = torch.tensor([0, 3, 3, 9, 1], dtype=torch.int32)


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return ScorerNetwork(default_config(16, 4, 10, 4)).eval()


@pytest.fixture
def tokens(digit_stores):
    return [store.tokens[:5] for store in digit_stores]


@torch.no_grad()
def test_scores_of_a_pair_are_those_of_its_maps(network, tokens, digits_backbone):
    scores = PairScores(digits_backbone, (3, 0), CPU)(network, *tokens, LABELS)
    for side, found in zip(tokens, scores, strict=True):
        views = digits_backbone.views(side.long())
        for column, scale in enumerate((3, 0)):
            expected = network(views[scale], LABELS.long(), torch.full((5,), scale))
            torch.testing.assert_close(found[:, column], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close_and_comes_back_in_float32(network, tokens, digits_backbone, dtype):
    exact = PairScores(digits_backbone, (0, 3), CPU)(network, *tokens, LABELS)
    rough = PairScores(digits_backbone, (0, 3), CPU, dtype)(network, *tokens, LABELS)
    for a, b in zip(exact, rough, strict=True):
        assert b.dtype == torch.float32
        assert not torch.equal(a, b)
        torch.testing.assert_close(a, b, rtol=0.05, atol=0.05)
