"""From a state dict to a network: published sizes, and tensors that do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tts.backbones.presets import SCHEDULE_256, SCHEDULE_512
from tts.backbones.var_weights import (
    build_tokenizer,
    build_transformer,
    infer_var_config,
    infer_vqvae_config,
)
from tts.backbones.weights import DERIVED, without_values
from tts.errors import CheckpointError

CHECKPOINTS = json.loads((Path(__file__).parents[2] / "golden" / "checkpoints.json").read_text())
TINY = (1, 2, 3, 4)
# name: schedule, depth, shared adaLN, published number of parameters
PUBLISHED = {
    "var_d16": (SCHEDULE_256, 16, False, 310_283_520),
    "var_d20": (SCHEDULE_256, 20, False, 600_917_136),
    "var_d24": (SCHEDULE_256, 24, False, 1_033_399_360),
    "var_d30": (SCHEDULE_256, 30, False, 2_010_020_356),
    "var_d36": (SCHEDULE_512, 36, True, 2_353_893_904),
}


def levels(schedule):
    sides = torch.tensor(schedule)
    return torch.repeat_interleave(torch.arange(len(sides)), sides**2)[None]


def meta_state(name, schedule=None):
    """The checkpoint's keys and shapes without memory; only the level of each token has values."""
    state = {key: torch.empty(shape, device="meta") for key, (shape, _) in CHECKPOINTS[name].items()}
    return {**state, "lvl_1L": levels(schedule)} if schedule else state


def build(kind, state):
    if kind == "transformer":
        return build_transformer(state, infer_var_config(state))
    return build_tokenizer(state, infer_vqvae_config(state, TINY))


def refusal(call, *args):
    with pytest.raises(CheckpointError) as caught:
        call(*args)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in message
    assert len(message) < 400
    return message


def parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.fixture(scope="module")
def tiny(synthetic_state):
    return {"transformer": synthetic_state("var_tiny"), "tokenizer": synthetic_state("vae_tiny")}


# Published sizes


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_transformers_have_their_number_of_parameters(name):
    schedule, depth, shared, count = PUBLISHED[name]
    state = meta_state(name, schedule)
    config = infer_var_config(state)
    assert (config.schedule, config.depth, config.width, config.heads) == (schedule, depth, 64 * depth, depth)
    assert (config.classes, config.codebook_size, config.channels) == (1000, 4096, 32)
    assert config.shared_adaln is shared
    net = build_transformer(state, config)
    # the published figures leave out what is no parameter: levels, mask and the zero bias of the keys
    assert parameters(net) == count
    derived = sum(tensor.numel() for key, tensor in state.items() if key.endswith(DERIVED))
    assert sum(tensor.numel() for tensor in state.values()) == count + derived


def test_the_published_tokenizer_has_its_number_of_parameters():
    state = meta_state("vae_ch160v4096z32")
    config = infer_vqvae_config(state, SCHEDULE_256)
    assert (config.codebook_size, config.channels, config.width, config.blocks) == (4096, 32, 160, 2)
    assert config.multipliers == (1, 1, 2, 2, 4)
    assert config.image_size == 256
    assert infer_vqvae_config(state, SCHEDULE_512).image_size == 512
    assert parameters(build_tokenizer(state, config)) == 108_948_355


@pytest.mark.parametrize(("name", "shared"), [("var_tiny", False), ("var_tiny_shared_aln", True)])
def test_tiny_transformers_are_told_from_their_tensors(synthetic_state, name, shared):
    config = infer_var_config(synthetic_state(name))
    assert (config.schedule, config.depth, config.width, config.heads) == (TINY, 2, 128, 2)
    assert (config.classes, config.codebook_size, config.channels) == (10, 64, 8)
    assert config.shared_adaln is shared


def test_the_tiny_tokenizer_is_told_from_its_tensors(tiny):
    config = infer_vqvae_config(tiny["tokenizer"], TINY)
    assert (config.codebook_size, config.channels, config.width, config.blocks) == (64, 8, 32, 2)
    assert config.multipliers == (1, 1, 2, 2, 4)
    assert config.image_size == 64


# Schedules


def test_a_contradicting_schedule_is_refused(tiny):
    state = tiny["transformer"]
    assert infer_var_config(state, TINY).schedule == TINY
    message = refusal(infer_var_config, state, (1, 2, 5))
    assert "(1, 2, 5)" in message
    assert "(1, 2, 3, 4)" in message
    assert "--schedule" in message


def test_without_levels_the_schedule_must_be_given_and_fit(tiny):
    state = {key: value for key, value in tiny["transformer"].items() if key != "lvl_1L"}
    assert "--schedule" in refusal(infer_var_config, state)
    assert infer_var_config(state, TINY).schedule == TINY
    assert infer_var_config(state, (1, 2, 5)).schedule == (1, 2, 5)  # as many tokens: cannot be told
    assert "(30)" in refusal(infer_var_config, state, (1, 2, 4))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(torch.zeros(1, 30, dtype=torch.int64), id="one-scale"),
        pytest.param(torch.arange(30)[None], id="no-squares"),
        pytest.param(levels(TINY) - 1, id="negative"),
        pytest.param(levels(TINY) * 2**40, id="huge"),
        pytest.param(levels((1, 2, 3)), id="short"),
        pytest.param(torch.tensor(3), id="scalar"),
    ],
)
def test_damaged_levels_are_refused(tiny, wrong):
    refusal(build, "transformer", {**tiny["transformer"], "lvl_1L": wrong})


def test_levels_may_come_in_half_precision(tiny):
    state = {key: value.half() for key, value in tiny["transformer"].items()}
    assert infer_var_config(state).schedule == TINY


# Tensors that do not fit


def test_a_good_state_is_loaded_without_copies(tiny):
    for kind, state in tiny.items():
        net = build(kind, state)
        assert not net.training
        assert not any(parameter.requires_grad for parameter in net.parameters())
        for key, value in net.state_dict().items():
            assert value.data_ptr() == state[key].data_ptr()


def some_keys(state):
    """Every key that sizes are read from, and some of the others."""
    read = (
        "class_emb",
        "pos_1LC",
        "scale_mul",
        "head.weight",
        "word_embed",
        "conv_in",
        "embedding",
        "n.1.block.0.conv1",
    )
    keys = list(state)
    return [
        key for i, key in enumerate(keys) if i % 12 == 0 or len(keys) < 100 or any(r in key for r in read)
    ]


@pytest.mark.parametrize("kind", ["transformer", "tokenizer"])
def test_every_missing_tensor_is_refused(tiny, kind):
    for key in some_keys(tiny[kind]):
        state = {other: value for other, value in tiny[kind].items() if other != key}
        if key.endswith(DERIVED):
            if key != "lvl_1L":
                build(kind, state)
            continue
        message = refusal(build, kind, state)
        assert key in message or key.rpartition(".")[0] in message


@pytest.mark.parametrize("kind", ["transformer", "tokenizer"])
@pytest.mark.parametrize("change", ["flat", "scalar", "half", "double", "empty"])
def test_every_misshapen_tensor_is_refused(tiny, kind, change):
    free = ("class_emb.weight", "quantize.embedding.weight")  # their rows are the number of classes and codes
    for key in some_keys(tiny[kind]):
        value = tiny[kind][key]
        if key.endswith(DERIVED) or (key in free and change in ("half", "double")):
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


@pytest.mark.parametrize("kind", ["transformer", "tokenizer"])
def test_whole_numbers_are_no_weights(tiny, kind):
    for key in list(tiny[kind])[::15]:
        if not key.endswith(DERIVED):
            state = {**tiny[kind], key: tiny[kind][key].int()}
            assert f"1 not of floating point ({key})" in refusal(build, kind, state)


def test_a_refusal_counts_and_names_what_does_not_fit(tiny):
    state = dict(tiny["transformer"])
    for key in ("word_embed.bias", "head.bias", "head_nm.ada_lin.1.bias"):
        del state[key]
    message = refusal(build, "transformer", state)
    assert "a VAR of depth 2" in message
    assert "3 missing (word_embed.bias, head_nm.ada_lin.1.bias and 1 more)" in message
    state.update({"extra.a": torch.ones(1), "extra.b": torch.ones(1), "pos_start": torch.ones(1, 1, 7)})
    message = refusal(build, "transformer", state)
    assert "3 missing (word_embed.bias and 2 more)" in message
    assert "2 unexpected (extra.a and 1 more)" in message
    assert "1 mis-shaped (pos_start (1, 1, 7) for (1, 1, 128))" in message


def test_endless_names_do_not_make_endless_messages(tiny):
    refusal(build, "transformer", {**tiny["transformer"], "x" * 5000: torch.ones(1)})


@pytest.mark.parametrize(("kind", "other"), [("transformer", "tokenizer"), ("tokenizer", "transformer")])
def test_the_wrong_file_is_named(tiny, kind, other):
    assert f"this is no VAR {kind}" in refusal(build, kind, tiny[other])


def test_heads_must_be_64_wide(tiny):
    state = {**tiny["transformer"], "blocks.0.attn.scale_mul_1H11": torch.ones(1, 3, 1, 1)}
    assert "not a VAR" in refusal(build, "transformer", state)


def test_without_values_nothing_is_initialised():
    with without_values():
        linear = torch.nn.Linear(2, 3)
        table = torch.nn.Embedding(4, 2, padding_idx=0)
    assert all(p.is_meta for net in (linear, table) for p in net.parameters())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert not torch.nn.Linear(2, 3).weight.is_meta


@pytest.mark.parametrize("number", ["39", "999999999", "9" * 5000])
def test_a_number_beyond_the_tensors_is_refused_at_once(tiny, number):
    state = {**tiny["transformer"], f"blocks.{number}.ffn.fc1.bias": torch.zeros(1)}
    message = refusal(infer_var_config, state)
    assert f"blocks.{number[:9]}" in message
    assert "beyond the 39 tensors" in message
