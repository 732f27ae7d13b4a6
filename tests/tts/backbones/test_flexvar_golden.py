"""Parity with the published FlexVAR on golden tensors, part by part."""

from __future__ import annotations

import pytest
import torch

from tts.backbones.flexvar import upsampled_inputs
from tts.backbones.flexvar_adapter import FlexVarBackbone, make_info
from tts.backbones.flexvar_weights import (
    build_tokenizer,
    build_transformer,
    infer_flexvae_config,
    infer_flexvar_config,
)
from tts.specs import FLEXVAR_GUIDANCE, LLAMAGEN_GUIDANCE, BackboneOptions, SamplingDefaults

# Products in the longest sum, and sums in a row: what ``rounding`` takes.
MAPS = (32, 8)  # codes of 32 channels of length one, scaled up by bicubic interpolation in both directions
LOGITS = (512, 10)  # 5 matrices in each of 2 blocks
IMAGE = (4608, 58)  # 3 x 3 convolutions of 512 channels
TINY = (1, 2, 3, 4)
LONG = (*range(1, 11), 12, 14, 17)
RUNS = {
    "ar_argmax": (TINY, FLEXVAR_GUIDANCE),
    "ar_argmax_schedule2": ((1, 2, 4, 5), FLEXVAR_GUIDANCE),
    "ar_argmax_llamagen_cfg": (TINY, LLAMAGEN_GUIDANCE),
    "ar_argmax_13": (LONG, FLEXVAR_GUIDANCE),
}


@pytest.fixture(scope="module")
def make(synthetic_state, as_form):
    """Builds the tiny FlexVAR for a schedule and a guidance form."""

    def build(schedule=TINY, guidance=FLEXVAR_GUIDANCE):
        transformer, tokenizer = synthetic_state("flexvar_tiny"), synthetic_state("flexvae_tiny")
        net, code = infer_flexvar_config(transformer, TINY), infer_flexvae_config(tokenizer)
        options = BackboneOptions(schedule, guidance)
        info = make_info("flexvar-test", net, code, SamplingDefaults(2.5, 1, 0.0), options)
        parts = build_transformer(transformer, net), build_tokenizer(tokenizer, code)
        return as_form(FlexVarBackbone(info, *parts, (), torch.device("cpu"), torch.float32))

    return build


@pytest.fixture(scope="module")
def reference(golden):
    return golden("flexvar_tiny")


@torch.no_grad()
def test_encoding_gives_the_published_tokens(make, reference):
    backbone = make()
    expected = torch.cat([reference[f"tokens.{k}"] for k in range(4)], dim=1)
    assert torch.equal(backbone.tokenizer.encode(reference["image"], TINY), expected)
    assert torch.equal(backbone.encode((reference["image"] + 1) / 2), expected)


@torch.no_grad()
def test_code_maps_and_reconstruction(make, reference, error, rounding):
    backbone = make()
    tokens = torch.cat([reference[f"tokens.{k}"] for k in range(4)], dim=1)
    maps = backbone.tokenizer.code_maps(tokens, TINY)
    for k, code_map in enumerate(maps):
        assert error(code_map, reference[f"quant.{k}"]) < rounding(*MAPS)
    assert error(backbone.tokenizer.decode(maps[-1]), reference["recon"]) < rounding(*IMAGE)
    expected = (reference["recon"].clamp(-1, 1) + 1) / 2
    assert error(backbone.decode(tokens), expected) < rounding(*IMAGE)


@torch.no_grad()
def test_teacher_forced_logits(make, reference, error, rounding):
    backbone = make()
    inputs = upsampled_inputs([reference[f"quant.{k}"] for k in range(4)])
    assert error(inputs, reference["var_input"]) < rounding(*MAPS)
    logits = backbone.transformer(reference["labels"], reference["var_input"], TINY)
    assert error(logits, reference["teacher_forced_logits"]) < rounding(*LOGITS)


@torch.no_grad()
@pytest.mark.parametrize("run", RUNS)
def test_generation(make, reference, error, rounding, run):
    schedule, guidance = RUNS[run]
    backbone = make(schedule, guidance)
    state = backbone.begin(reference["labels"], 2.5)
    for k in range(len(schedule)):
        logits = state.logits()
        if f"{run}.cfg_logits.{k}" in reference:
            assert error(logits, reference[f"{run}.cfg_logits.{k}"]) < rounding(*LOGITS)
        else:
            assert error(logits[..., ::16], reference[f"{run}.cfg_logits_sub.{k}"]) < rounding(*LOGITS)
        tokens = logits.argmax(dim=-1)
        assert torch.equal(tokens, reference[f"{run}.tokens.{k}"])
        state.commit(tokens)
    if f"{run}.image" in reference:
        assert error(backbone.tokenizer.decode(state.code_map), reference[f"{run}.image"]) < rounding(*IMAGE)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("flexvar_d16", 315_561_936), ("flexvar_d20", 607_513_952), ("flexvar_d24", 1_041_314_576)],
)
def test_the_published_sizes_are_read_from_the_tensors(checkpoint_shapes, name, parameters):
    state = checkpoint_shapes(name)
    config = infer_flexvar_config(state, None, (1, 2, 3))
    depth = int(name[-2:])
    assert (config.depth, config.width, config.heads) == (depth, 64 * depth, depth)
    assert (config.classes, config.codebook_size, config.channels) == (1000, 8912, 32)
    assert (config.table, config.trained_side, config.schedule) == (32, 16, (1, 2, 3))
    net = build_transformer(state, config)
    assert sum(p.numel() for p in net.parameters()) == parameters


def test_the_published_tokenizer_is_read_from_the_tensors(checkpoint_shapes):
    state = checkpoint_shapes("flexvae")
    config = infer_flexvae_config(state)
    assert (config.codebook_size, config.channels, config.latent, config.width) == (8912, 32, 256, 128)
    assert (config.multipliers, config.blocks, config.factor) == ((1, 1, 2, 2, 4), 2, 16)
    assert sum(p.numel() for p in build_tokenizer(state, config).parameters()) == 72_049_827
