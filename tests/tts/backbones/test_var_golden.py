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

TOLERANCE = 1e-5
FAST_IMAGE = 3e-5
"""Of the fast decoder, which adds products in another order."""


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


def test_tokenizer_matches_tokens_latents_and_reconstruction(tiny, golden, error):
    g = golden("var_tiny")
    feature = tiny.tokenizer.features(g["image"])
    assert error(feature, g["feature"]) < TOLERANCE
    tokens = tiny.encode((g["image"] + 1) / 2)
    assert torch.equal(tokens, torch.cat([g[f"tokens.{k}"] for k in range(4)], dim=1))
    for k, view in enumerate(tiny.views(tokens)):
        assert error(view, g[f"f_hat.{k}"]) < TOLERANCE
    assert error(tiny.decode(tokens) * 2 - 1, g["recon"]) < (FAST_IMAGE if tiny.exact else TOLERANCE)


@pytest.mark.parametrize("name", ["var_tiny", "var_tiny_shared_aln"])
def test_teacher_forced_logits_match(name, synthetic_state, golden, error, as_form):
    backbone = as_form(make_backbone(synthetic_state(name), synthetic_state("vae_tiny")))
    g = golden(name)
    inputs = golden("var_tiny")["var_input"]
    with torch.inference_mode():
        logits = backbone.transformer(g["labels"], inputs)
    assert error(logits, g["teacher_forced_logits"]) < TOLERANCE


@pytest.mark.parametrize("name", ["var_tiny", "var_tiny_shared_aln"])
@torch.inference_mode()
def test_guided_greedy_generation_matches_at_every_scale(name, synthetic_state, golden, error, as_form):
    backbone = as_form(make_backbone(synthetic_state(name), synthetic_state("vae_tiny")))
    g = golden(name)
    state = backbone.begin(g["labels"], cfg=1.5)
    for k in range(4):
        logits = state.logits()
        assert error(logits, g[f"ar_argmax.cfg_logits.{k}"]) < TOLERANCE
        tokens = logits.argmax(dim=-1)
        assert torch.equal(tokens, g[f"ar_argmax.tokens.{k}"])
        state.commit(tokens)
    assert error(state.decode(), g["ar_argmax.image"]) < TOLERANCE


def test_teacher_forcing_input_is_the_downsampled_latent(tiny, golden, error):
    g = golden("var_tiny")
    views = tiny.views(torch.cat([g[f"tokens.{k}"] for k in range(4)], dim=1))
    inputs = [tiny.tokenizer.quantize.next_input(view, k) for k, view in enumerate(views[:-1], start=1)]
    assert error(torch.cat(inputs, dim=1), g["var_input"]) < TOLERANCE


@pytest.mark.slow
@torch.inference_mode()
def test_real_d16_matches_logits_latent_image_and_tokens(synthetic_state, golden, error, as_form):
    g = golden("var_d16_full")
    backbone = as_form(make_backbone(synthetic_state("var_d16"), synthetic_state("vae_ch160v4096z32")))
    views = backbone.views(g["tokens"])
    assert error(views[-1], g["f_hat"]) < TOLERANCE
    quantize = backbone.tokenizer.quantize
    inputs = torch.cat([quantize.next_input(v, k) for k, v in enumerate(views[:-1], start=1)], dim=1)
    logits = backbone.transformer(g["labels"], inputs)
    assert error(logits[:, ::17, ::64], g["logits_sub"]) < TOLERANCE
    image = torch.nn.functional.avg_pool2d(backbone.decode(g["tokens"]) * 2 - 1, 8)
    assert error(image, g["image_pool8"]) < TOLERANCE
    large = torch.nn.functional.interpolate(g["encode_image_small"], size=(256, 256), mode="bicubic")
    assert torch.equal(backbone.encode((large.clamp(-1, 1) + 1) / 2), g["encode_tokens"])
