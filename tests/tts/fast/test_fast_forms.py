"""The fast forms of transformers and decoders compute what the exact ones do."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tts.backbones.vqvae import ResidualBlock, Upsample
from tts.config import SearchSettings
from tts.fast.decoder import LeanResidual, PhaseUpsample, fast_decoder
from tts.fast.linear import PackedLinear, PlainLinear, fast_linear, packing_works
from tts.resolve import build_backbone
from tts.search import search
from tts.selectors import GreedySelector

CPU = torch.device("cpu")
LABELS = torch.tensor([3, 7, 3, 0, 9])


def built(name, dtype=torch.float32):
    return build_backbone(name, (), CPU, dtype)[1]


@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("shape", [(4,), (2, 7), (3, 5, 1)])
def test_linear_layers_compute_what_pytorch_does(shape, gelu, error, rounding):
    x, weight, bias = torch.randn(*shape, 48), torch.randn(80, 48), torch.randn(80)
    wanted = F.linear(x, weight, bias)
    wanted = F.gelu(wanted, approximate="tanh") if gelu else wanted
    for layer in (fast_linear(weight, bias, gelu), PlainLinear(weight, bias, gelu)):
        assert error(layer(x), wanted) < rounding(48, 2)  # a product more for GELU


def test_packing_is_used_where_it_works():
    layer = fast_linear(torch.randn(4, 8), torch.randn(4))
    assert isinstance(layer, PackedLinear) == packing_works(torch.float32)
    meta = torch.empty(4, 8, device="meta"), torch.empty(4, device="meta")
    assert isinstance(fast_linear(*meta), PlainLinear)


def test_without_packed_layers_the_plain_ones_do(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    packing_works.cache_clear()
    try:
        assert isinstance(fast_linear(torch.randn(4, 8), torch.randn(4)), PlainLinear)
    finally:
        packing_works.cache_clear()


@torch.inference_mode()
def test_upsampling_by_phases_is_doubling_and_convolution(error, rounding):
    upsample = Upsample(6)
    x = torch.randn(2, 6, 5, 3)
    assert error(PhaseUpsample(upsample)(x), upsample(x)) < rounding(54, 2)  # weights are added up before


@torch.inference_mode()
@pytest.mark.parametrize("outputs", [32, 64])
def test_a_lean_residual_block_leaves_its_input_alone(outputs, error, rounding):
    block, x = ResidualBlock(32, outputs), torch.randn(2, 32, 4, 4)
    before = x.clone()
    assert error(LeanResidual(block)(x), block(x)) < rounding(576, 2)
    assert torch.equal(x, before)


def test_a_fast_decoder_leaves_the_decoder_alone():
    decoder = built("var-digits").tokenizer.decoder
    kinds = [type(module) for module in decoder.modules()]
    fast_decoder(decoder)
    assert [type(module) for module in decoder.modules()] == kinds
    assert not any(isinstance(module, PhaseUpsample) for module in decoder.modules())


@torch.inference_mode()
@pytest.mark.parametrize("name", ["var-digits", "var-digits-l", "flexvar-digits"])
@pytest.mark.parametrize("guided", [True, False])
def test_logits_and_images_are_the_same_at_every_scale(name, guided, assert_same_model):
    exact = built(name)
    assert_same_model(exact, exact.fast(), LABELS, 2.0 if guided else exact.info.guidance.off)


@pytest.mark.parametrize("name", ["var-digits", "flexvar-digits"])
def test_the_fast_form_shares_the_weights_and_leaves_the_exact_one_alone(name):
    exact = built(name)
    settings = SearchSettings((1,) * exact.info.scales, cfg=1.5, top_k=0, top_p=0.0)
    before = search(exact, None, GreedySelector(), settings, LABELS, LABELS)
    fast = exact.fast()
    assert fast.transformer is exact.transformer
    assert fast.weights_hash() == exact.weights_hash()
    search(fast, None, GreedySelector(), settings, LABELS, LABELS)
    again = search(exact, None, GreedySelector(), settings, LABELS, LABELS)
    assert torch.equal(before.images, again.images)


@torch.inference_mode()
def test_an_image_does_not_depend_on_its_batch():
    """Rows of the same label share their adaLN vectors, whatever else is in the batch."""
    fast = built("var-digits").fast()
    settings = SearchSettings((1,) * fast.info.scales, cfg=1.5, top_k=0, top_p=0.0)
    seeds = torch.arange(len(LABELS))
    whole = search(fast, None, GreedySelector(), settings, LABELS, seeds)
    for i in range(len(LABELS)):
        alone = search(fast, None, GreedySelector(), settings, LABELS[i : i + 1], seeds[i : i + 1])
        assert torch.equal(alone.tokens[0], whole.tokens[i])
        torch.testing.assert_close(alone.images[0], whole.images[i], atol=1e-4, rtol=0)  # 1/40 of a level


@torch.inference_mode()
def test_bfloat16_stays_as_near_to_float32_as_the_exact_form():
    wanted = built("var-digits").begin(LABELS, 1.5).logits()
    exact = built("var-digits", torch.bfloat16)
    errors = [
        float((form.begin(LABELS, 1.5).logits() - wanted).abs().mean()) for form in (exact, exact.fast())
    ]
    assert errors[1] < 1.5 * errors[0]
