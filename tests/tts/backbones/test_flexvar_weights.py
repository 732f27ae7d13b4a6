"""FlexVAR's checkpoints: sizes from the tensors, the position table, wrappers, and files that do not fit."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open

from tts.backbones.flexvae import FlexVae, FlexVaeConfig
from tts.backbones.flexvar_weights import (
    build_tokenizer,
    build_transformer,
    infer_flexvae_config,
    infer_flexvar_config,
)
from tts.backbones.networks import TOKENIZER, TRANSFORMER
from tts.backbones.parts import read_weights
from tts.backbones.presets import FLEXVAR_SCHEDULES, SCHEDULE_256
from tts.backbones.storage import (
    TOKENIZER_FILE,
    TRANSFORMER_FILE,
    FolderConfig,
    write_tokenizer,
    write_transformer,
)
from tts.backbones.var_weights import infer_var_config, infer_vqvae_config
from tts.backbones.weights import DERIVED
from tts.errors import CheckpointError
from tts.specs import SamplingDefaults

TINY = (1, 2, 3, 4)
KINDS = ("transformer", "tokenizer")


def build(kind, state):
    if kind == "transformer":
        return build_transformer(state, infer_flexvar_config(state, TINY))
    return build_tokenizer(state, infer_flexvae_config(state))


def refusal(call, *args):
    with pytest.raises(CheckpointError) as caught:
        call(*args)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in message
    assert not message.endswith(".")
    assert len(message) < 400
    return message


@pytest.fixture(scope="module")
def tiny(synthetic_state):
    return {"transformer": synthetic_state("flexvar_tiny"), "tokenizer": synthetic_state("flexvae_tiny")}


# Sizes


def test_the_tiny_transformer_is_told_from_its_tensors(tiny):
    config = infer_flexvar_config(tiny["transformer"], TINY)
    assert (config.schedule, config.depth, config.width, config.heads) == (TINY, 2, 128, 2)
    assert (config.classes, config.codebook_size, config.channels) == (10, 64, 32)
    assert (config.table, config.trained_side) == (32, 16)


def test_the_tiny_tokenizer_is_told_from_its_tensors(tiny):
    config = infer_flexvae_config(tiny["tokenizer"])
    assert (config.codebook_size, config.channels, config.latent) == (64, 32, 256)
    assert (config.width, config.multipliers, config.blocks) == (128, (1, 1, 2, 2, 4), 2)
    assert config.factor == 16


def test_sizes_are_read_and_not_assumed(tiny):
    state = dict(tiny["tokenizer"])
    fewer = {key: value for key, value in state.items() if not key.startswith("encoder.conv_blocks.4.")}
    assert infer_flexvae_config(fewer).multipliers == (1, 1, 2, 2)
    assert infer_flexvae_config(fewer).factor == 8
    state["quant_conv.weight"] = torch.ones(32, 96, 1, 1)
    assert infer_flexvae_config(state).latent == 96
    table = {**tiny["transformer"], "pos_1LC": torch.ones(1, 128, 24, 24)}
    assert infer_flexvar_config(table, TINY).table == 24


def test_a_small_tokenizer_of_other_sizes_is_built():
    config = FlexVaeConfig(codebook_size=9, channels=3, latent=7, width=32, multipliers=(1, 2), blocks=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        state = FlexVae(config).state_dict()
    assert infer_flexvae_config(state) == config
    net = build_tokenizer(state, config)
    with torch.no_grad():
        tokens = net.encode(torch.zeros(2, 3, 8, 8), (1, 2, 4))
        images = net.decode(net.code_maps(tokens, (1, 2, 4))[-1])
    assert (tokens.shape, images.shape) == ((2, 21), (2, 3, 8, 8))


# Schedules


def test_the_schedule_is_the_given_one_or_the_fallback(tiny):
    state = tiny["transformer"]
    assert infer_flexvar_config(state, TINY, SCHEDULE_256).schedule == TINY
    assert infer_flexvar_config(state, None, SCHEDULE_256).schedule == SCHEDULE_256
    assert infer_flexvar_config(state, FLEXVAR_SCHEDULES["512"]).schedule[-1] == 32
    message = refusal(infer_flexvar_config, state)
    assert "name no schedule" in message
    assert "pass --schedule" in message
    assert "up to 32" in message


def test_the_mask_does_not_decide_the_schedule(tiny):
    assert tiny["transformer"]["attn_bias_for_masking"].shape[-1] == 30
    assert infer_flexvar_config(tiny["transformer"], (1, 2, 4, 5)).schedule == (1, 2, 4, 5)


def test_a_fallback_that_is_too_long_for_the_table_is_refused(tiny):
    state = {**tiny["transformer"], "pos_1LC": torch.ones(1, 128, 8, 8)}
    message = refusal(infer_flexvar_config, state, None, SCHEDULE_256)
    assert "schedule 1,2,3,4,5,6,8,10,13,16 ends at side 16, the model's position table has 8" in message
    assert "pass --schedule" in message
    assert "up to 8" in message
    assert "schedule 1,9 ends at side 9" in refusal(infer_flexvar_config, state, (1, 9), SCHEDULE_256)
    assert infer_flexvar_config(state, (1, 8), SCHEDULE_256).table == 8


@pytest.mark.parametrize("shape", [(1, 128, 32, 16), (1, 128, 16, 32)])
def test_a_position_table_that_is_not_square_is_refused(tiny, shape):
    message = refusal(build, "transformer", {**tiny["transformer"], "pos_1LC": torch.ones(shape)})
    assert f"pos_1LC has shape {shape}" in message
    assert "must be equal" in message


# Files


@pytest.mark.parametrize("form", ["plain", "trainer", "model"])
def test_transformers_come_plain_or_wrapped(tmp_path, tiny, form):
    state = tiny["transformer"]
    content = {
        "plain": state,
        "trainer": {"epoch": 179, "trainer": {"var_wo_ddp": state, "optimizer": {"lr": 0.1}}},
        "model": {"model": state},
    }[form]
    torch.save(content, tmp_path / "flexvar.pth")
    found = read_weights(tmp_path / "flexvar.pth", TRANSFORMER).state
    assert found.keys() == state.keys()
    net = build("transformer", found)
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


def test_the_tokenizer_is_published_under_a_key_of_its_own(tiny_files, tiny):
    _, file = tiny_files("flexvar_tiny")
    assert torch.load(file, weights_only=True, mmap=True).keys() == {"model"}
    found = read_weights(file, TOKENIZER).state
    assert found.keys() == tiny["tokenizer"].keys()
    net = build("tokenizer", found)
    assert all(torch.equal(value, tiny["tokenizer"][key]) for key, value in net.state_dict().items())


def test_what_only_training_uses_is_neither_needed_nor_stored(tmp_path, tiny):
    derived = {kind: {key for key in state if key.endswith(DERIVED)} for kind, state in tiny.items()}
    assert derived == {
        "transformer": {"attn_bias_for_masking", *(f"blocks.{i}.attn.zero_k_bias" for i in range(2))},
        "tokenizer": {"quantize.codebook_used"},
    }
    for kind, state in tiny.items():
        without = {key: value for key, value in state.items() if key not in derived[kind]}
        odd = {key: torch.full((2, 3), torch.nan) for key in derived[kind]}
        for given in (without, {**state, **odd}):
            assert build(kind, given).state_dict().keys() == without.keys()
    config = infer_flexvar_config(tiny["transformer"], TINY), infer_flexvae_config(tiny["tokenizer"])
    folder = FolderConfig("flexvar-d2", "flexvar", *config, SamplingDefaults(2.5, 900, 0.95))
    write_transformer(tmp_path / TRANSFORMER_FILE, tiny["transformer"], folder)
    write_tokenizer(tmp_path / TOKENIZER_FILE, tiny["tokenizer"])
    for kind, name in zip(KINDS, (TRANSFORMER_FILE, TOKENIZER_FILE), strict=True):
        with safe_open(tmp_path / name, "pt") as file:
            assert set(file.keys()) == tiny[kind].keys() - derived[kind]


def test_a_good_state_is_loaded_without_copies(tiny):
    for kind, state in tiny.items():
        net = build(kind, state)
        assert not net.training
        assert not any(parameter.requires_grad for parameter in net.parameters())
        for key, value in net.state_dict().items():
            assert value.data_ptr() == state[key].data_ptr()


# Tensors that do not fit


READ = (
    "class_emb",
    "pos_1LC",
    "scale_mul",
    "head.weight",
    "word_embed",
    "conv_in",
    "embedding",
    "quant_conv",
)
"""Keys that sizes are read from."""


def some_keys(state):
    """Every key that sizes are read from, and some of the others."""
    keys = [key for key in state if not key.endswith(DERIVED)]
    return [
        key
        for i, key in enumerate(keys)
        if i % 14 == 0 or len(keys) < 40 or any(read in key for read in READ)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_missing_tensor_is_refused(tiny, kind):
    for key in some_keys(tiny[kind]):
        state = {other: value for other, value in tiny[kind].items() if other != key}
        message = refusal(build, kind, state)
        assert key in message or key.rpartition(".")[0] in message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", ["flat", "scalar", "half", "double", "empty"])
def test_every_misshapen_tensor_is_refused(tiny, kind, change):
    # their rows are the number of classes and codes
    free = ("class_emb.weight", "quantize.embedding.weight")
    for key in some_keys(tiny[kind]):
        value = tiny[kind][key]
        if key in free and change in ("half", "double"):
            continue
        if change == "flat" and value.ndim == 1:
            continue
        changed = {
            "flat": value.flatten(),
            "scalar": torch.tensor(1.0),
            "half": value[: len(value) // 2],
            "double": torch.cat((value, value)),
            "empty": value[:0],
        }[change]
        refusal(build, kind, {**tiny[kind], key: changed})


def test_a_refusal_counts_and_names_what_does_not_fit(tiny):
    state = dict(tiny["transformer"])
    for key in ("word_embed.bias", "head.bias"):
        del state[key]
    state.update({"lvl_embed.weight": torch.ones(4, 128), "pos_start": torch.ones(1, 1, 7)})
    message = refusal(build, "transformer", state)
    assert "a FlexVAR of depth 2" in message
    assert "2 missing (word_embed.bias and 1 more)" in message
    assert "1 unexpected (lvl_embed.weight)" in message
    assert "1 mis-shaped (pos_start (1, 1, 7) for (1, 1, 128))" in message
    state = dict(tiny["tokenizer"])
    del state["decoder.conv_blocks.0.attn.2.proj_out.bias"]
    message = refusal(build, "tokenizer", state)
    assert "the FlexVAR tokenizer: 1 missing (decoder.conv_blocks.0.attn.2.proj_out.bias)" in message


def test_shared_modulation_is_no_part_of_a_flexvar(tiny):
    state = {**tiny["transformer"], "shared_ada_lin.1.weight": torch.ones(768, 128)}
    assert "1 unexpected (shared_ada_lin.1.weight)" in refusal(build, "transformer", state)


# Files of another kind


@pytest.mark.parametrize(("kind", "other"), [KINDS, KINDS[::-1]])
def test_the_wrong_file_is_named(tiny, kind, other):
    assert f"this is no FlexVAR {kind}" in refusal(build, kind, tiny[other])


@pytest.mark.parametrize("name", ["var_tiny", "var_tiny_shared_aln"])
def test_a_var_is_no_flexvar(synthetic_state, name):
    message = refusal(infer_flexvar_config, synthetic_state(name), TINY)
    assert "'pos_1LC' has shape (1, 30, 128), a FlexVAR transformer has 4 axes there" in message


def test_a_flexvar_is_no_var(tiny):
    message = refusal(infer_var_config, tiny["transformer"], TINY)
    assert "'pos_1LC' has shape (1, 128, 32, 32), a VAR transformer has 3 axes there" in message


def test_a_tokenizer_of_the_other_family_is_refused(tiny, synthetic_state):
    assert "no FlexVAR tokenizer" in refusal(infer_flexvae_config, synthetic_state("vae_tiny"))
    assert "no VAR tokenizer" in refusal(infer_vqvae_config, tiny["tokenizer"], TINY)


def test_heads_must_be_64_wide(tiny):
    state = {**tiny["transformer"], "blocks.0.attn.scale_mul_1H11": torch.ones(1, 3, 1, 1)}
    assert "not a FlexVAR" in refusal(build, "transformer", state)


def test_there_must_be_a_class_besides_the_unconditional_one(tiny):
    state = {**tiny["transformer"], "class_emb.weight": torch.ones(1, 128)}
    assert "no class besides the unconditional" in refusal(build, "transformer", state)
