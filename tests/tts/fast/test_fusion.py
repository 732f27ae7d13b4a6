"""What candidates add to the latent, in the fast form."""

from __future__ import annotations

import pytest
import torch

from tts.backbones.quantizer import ResidualQuantizer
from tts.fast.fusion import FastFusion
from tts.resolve import build_backbone

SCHEDULE = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)


@pytest.fixture
def quantize():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ResidualQuantizer(SCHEDULE, 64, 32).eval()


@torch.inference_mode()
@pytest.mark.parametrize("scale", range(len(SCHEDULE)))
def test_increments_are_those_of_the_quantizer(quantize, scale, error, rounding):
    fusion = FastFusion(quantize, torch.float32)
    tokens = torch.randint(64, (7, SCHEDULE[scale] ** 2), generator=torch.Generator().manual_seed(scale))
    # 16 products of interpolation and 288 of a convolution, done as one or two matrices
    assert error(fusion.increment(tokens, scale), quantize.increment(tokens, scale)) < rounding(288, 3)


def test_maps_with_fewer_positions_than_channels_are_spread_by_a_matrix(quantize):
    assert set(FastFusion(quantize, torch.float32).spread) == {1, 2, 3, 4, 5}


@torch.inference_mode()
def test_half_precision_is_for_scores_only():
    """What is committed is added by the exact form."""
    exact = build_backbone("var-digits", (), torch.device("cpu"), torch.float32)[1]
    fast = exact.fast()
    fast.fusion = FastFusion(exact.tokenizer.quantize, torch.bfloat16)
    labels, tokens = torch.tensor([1, 2]), torch.tensor([[3], [4]])
    states = [backbone.begin(labels, 1.5) for backbone in (exact, fast)]
    assert states[1].increments(tokens[:, None]).dtype == torch.bfloat16
    assert states[1].propose(tokens[:, None]).dtype == torch.float32
    for state in states:
        state.commit(tokens)
    assert torch.equal(states[0].f_hat, states[1].f_hat)
