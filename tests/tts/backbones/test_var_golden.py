"""Parity with the published VAR, number for number, on synthetic weights."""

from __future__ import annotations

import pytest
import torch

from tts.backbones.var_adapter import VarBackbone, make_info
from tts.backbones.var_weights import (
    build_tokenizer,
    build_transformer,
    infer_var_config,
    infer_vqvae_config,
)
from tts.specs import SamplingDefaults

# Products in the longest sum, and sums in a row: what ``rounding`` takes.
FEATURE, IMAGE = (1152, 38), (1152, 50)  # 3 x 3 convolutions of 128 channels
LATENT = (72, 4)  # convolutions of 8 channels, added up over 4 scales
LOGITS = (512, 10)  # 5 matrices in each of 2 blocks
D16_LATENT, D16_LOGITS, D16_IMAGE = (288, 10), (4096, 80), (5760, 50)


def make_backbone(transformer, tokenizer):
    var = infer_var_config(transformer)
    vqvae = infer_vqvae_config(tokenizer, var.schedule)
    info = make_info("var-test", var, vqvae, SamplingDefaults(1.5, 900, 0.96))
    return VarBackbone(
        info,
        build_transformer(transformer, var),
        build_tokenizer(tokenizer, vqvae),
        (),
        torch.device("cpu"),
        torch.float32,
    )


@pytest.fixture(scope="module")
def tiny(synthetic_state, as_form):
    return as_form(make_backbone(synthetic_state("var_tiny"), synthetic_state("vae_tiny")))


def test_tokenizer_matches_tokens_latents_and_reconstruction(tiny, golden, error, rounding):
    g = golden("var_tiny")
    feature = tiny.tokenizer.features(g["image"])
    assert error(feature, g["feature"]) < rounding(*FEATURE)
    tokens = tiny.encode((g["image"] + 1) / 2)
    assert torch.equal(tokens, torch.cat([g[f"tokens.{k}"] for k in range(4)], dim=1))
    for k, view in enumerate(tiny.views(tokens)):
        assert error(view, g[f"f_hat.{k}"]) < rounding(*LATENT)
    assert error(tiny.decode(tokens) * 2 - 1, g["recon"]) < rounding(*IMAGE)


@pytest.mark.parametrize("name", ["var_tiny", "var_tiny_shared_aln"])
def test_teacher_forced_logits_match(name, synthetic_state, golden, error, rounding, as_form):
    backbone = as_form(make_backbone(synthetic_state(name), synthetic_state("vae_tiny")))
    g = golden(name)
    inputs = golden("var_tiny")["var_input"]
    with torch.inference_mode():
        logits = backbone.transformer(g["labels"], inputs)
    assert error(logits, g["teacher_forced_logits"]) < rounding(*LOGITS)


@pytest.mark.parametrize("name", ["var_tiny", "var_tiny_shared_aln"])
@torch.inference_mode()
def test_guided_greedy_generation_matches_at_every_scale(
    name, synthetic_state, golden, error, rounding, as_form
):
    backbone = as_form(make_backbone(synthetic_state(name), synthetic_state("vae_tiny")))
    g = golden(name)
    state = backbone.begin(g["labels"], cfg=1.5)
    for k in range(4):
        logits = state.logits()
        assert error(logits, g[f"ar_argmax.cfg_logits.{k}"]) < rounding(*LOGITS)
        tokens = logits.argmax(dim=-1)
        assert torch.equal(tokens, g[f"ar_argmax.tokens.{k}"])
        state.commit(tokens)
    assert error(state.decode(), g["ar_argmax.image"]) < rounding(*IMAGE)


def test_teacher_forcing_input_is_the_downsampled_latent(tiny, golden, error, rounding):
    g = golden("var_tiny")
    views = tiny.views(torch.cat([g[f"tokens.{k}"] for k in range(4)], dim=1))
    inputs = [tiny.tokenizer.quantize.next_input(view, k) for k, view in enumerate(views[:-1], start=1)]
    assert error(torch.cat(inputs, dim=1), g["var_input"]) < rounding(*LATENT)


@pytest.mark.slow
@torch.inference_mode()
def test_real_d16_matches_logits_latent_image_and_tokens(synthetic_state, golden, error, rounding, as_form):
    g = golden("var_d16_full")
    backbone = as_form(make_backbone(synthetic_state("var_d16"), synthetic_state("vae_ch160v4096z32")))
    views = backbone.views(g["tokens"])
    assert error(views[-1], g["f_hat"]) < rounding(*D16_LATENT)
    quantize = backbone.tokenizer.quantize
    inputs = torch.cat([quantize.next_input(v, k) for k, v in enumerate(views[:-1], start=1)], dim=1)
    logits = backbone.transformer(g["labels"], inputs)
    assert error(logits[:, ::17, ::64], g["logits_sub"]) < rounding(*D16_LOGITS)
    image = torch.nn.functional.avg_pool2d(backbone.decode(g["tokens"]) * 2 - 1, 8)
    assert error(image, g["image_pool8"]) < rounding(*D16_IMAGE)
    large = torch.nn.functional.interpolate(g["encode_image_small"], size=(256, 256), mode="bicubic")
    assert torch.equal(backbone.encode((large.clamp(-1, 1) + 1) / 2), g["encode_tokens"])
