"""The scorer and the selection steps against the published ones, at full size."""

from __future__ import annotations

import pytest
import torch

from tts.backbones.quantizer import ResidualQuantizer
from tts.backbones.weights import load_strict
from tts.scorers.network import ScorerConfig, ScorerNetwork, default_config

SCHEDULE = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
LAYERS = (2304, 14)
"""Products in the longest sum (3 x 3 convolutions of 256 channels), and sums in a row, for ``rounding``."""


@pytest.fixture(scope="module")
def network(synthetic_state):
    return load_strict(ScorerNetwork(ScorerConfig()), synthetic_state("lsrs_reward_net"), "the scorer")


@pytest.fixture(scope="module")
def quantizer(synthetic_state):
    state = synthetic_state("vae_ch160v4096z32")
    own = {k.removeprefix("quantize."): v for k, v in state.items() if k.startswith("quantize.")}
    own.pop("ema_vocab_hit_SV")
    return load_strict(ResidualQuantizer(SCHEDULE, 4096, 32), own, "the quantizer")


def test_published_shape_has_the_published_number_of_parameters():
    assert default_config(32, 16, 1000, 10) == ScorerConfig()
    assert sum(p.numel() for p in ScorerNetwork(ScorerConfig()).parameters()) == 4_007_425


def test_scores_match(network, golden, error, rounding):
    g = golden("lsrs_step")
    with torch.inference_mode():
        scores = network(g["scorer.input"], g["scorer.labels"], g["scorer.scale_index"])
    assert error(scores, g["scorer.output"]) < rounding(*LAYERS)


@torch.inference_mode()
def test_latents_and_scores_of_recorded_tokens_match(network, quantizer, golden, error, rounding):
    g = golden("lsrs_step")
    views = quantizer.views(g["tokens"])
    for k in (0, 4, 9):
        assert error(views[k], g[f"f_hat.{k}"]) < rounding(*LAYERS)
    scores = [network(view, g["labels"], torch.full((2,), k)) for k, view in enumerate(views)]
    assert error(torch.stack(scores, dim=1), g["scores"]) < rounding(*LAYERS)


@pytest.mark.parametrize("k", [1, 5, 9])
@torch.inference_mode()
def test_a_selection_step_matches(network, quantizer, golden, error, rounding, k):
    g = {key.removeprefix(f"step.{k}."): v for key, v in golden("lsrs_step").items()}
    candidates = g["candidates"].transpose(1, 2)  # B M L
    maps = g["f_hat_before"][:, None] + quantizer.increment(candidates.flatten(0, 1), k).unflatten(0, (2, 8))
    labels = g["labels"].repeat_interleave(8)
    scores = network(maps.flatten(0, 1), labels, torch.full((16,), k)).unflatten(0, (2, 8))
    assert error(scores, g["scores"]) < rounding(*LAYERS)
    best = scores.argmax(dim=1)
    assert torch.equal(best, g["best"])
    winner = maps[torch.arange(2), best]
    following = quantizer.next_input(winner, k + 1) if k < 9 else winner.flatten(2).transpose(1, 2)
    expected = g["next_input"].flatten(2).transpose(1, 2)
    assert error(following, expected) < rounding(*LAYERS)


@pytest.mark.parametrize("grid", [2, 4, 8, 16, 32])
def test_default_shapes_run_at_every_grid(grid):
    network = ScorerNetwork(default_config(16, grid, 10, 4)).eval()
    scores = network(torch.randn(3, 16, grid, grid), torch.tensor([0, 5, 9]), torch.tensor([0, 1, 3]))
    assert scores.shape == (3,)
