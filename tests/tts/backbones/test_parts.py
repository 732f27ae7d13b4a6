"""Weights as people have them: every wrapping gives the same tensors, and what was taken is said."""

from __future__ import annotations

from argparse import Namespace

import pytest
import torch
from safetensors.torch import save_file

from tts.backbones.networks import SCORER, TOKENIZER, TRANSFORMER
from tts.backbones.parts import read_weights
from tts.backbones.var_weights import build_transformer, infer_var_config
from tts.errors import CheckpointError


def refusal(call, *args):
    with pytest.raises(CheckpointError) as caught:
        call(*args)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 450
    return message


@pytest.fixture(scope="module")
def state(synthetic_state):
    return synthetic_state("var_tiny")


@pytest.fixture(scope="module")
def other(state):
    """As an average of the weights would be: the same names, other numbers."""
    return {key: value * 2 if value.is_floating_point() else value for key, value in state.items()}


def prefixed(prefix, state):
    return {f"{prefix}{key}": value for key, value in state.items()}


OPTIMIZER = {
    "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(2)}},
    "param_groups": [{"lr": 0.1}],
}


def wrapped(name, state, tokenizer):
    """A training checkpoint that holds one transformer."""
    return {
        "plain": lambda: state,
        "model": lambda: {"model": state, "optimizer": OPTIMIZER, "epoch": 3},
        "state_dict": lambda: {"state_dict": state},
        "model_state_dict": lambda: {"model_state_dict": state, "optimizer_state_dict": OPTIMIZER},
        "net": lambda: {"net": state, "args": Namespace(lr=0.1)},
        "ema": lambda: {"ema": state, "decay": 0.999},
        "shadow": lambda: {"ema": {"shadow": state}},
        "module": lambda: {"module": state},
        "generator": lambda: {"generator": {"weights": state}},
        "ddp": lambda: prefixed("module.", state),
        "compiled": lambda: prefixed("_orig_mod.", state),
        "ddp-compiled": lambda: {"model": prefixed("module._orig_mod.", state)},
        "compiled-ddp": lambda: {"model": prefixed("_orig_mod.module.", state)},
        "lightning": lambda: {
            "state_dict": {**prefixed("net.", state), **prefixed("tokenizer.", tokenizer)},
            "callbacks": {"EarlyStopping": {"best": torch.tensor(1.0)}},
            "pytorch-lightning_version": "2.4.0",
        },
        "lightning-compiled": lambda: {"state_dict": prefixed("model._orig_mod.", state)},
        "var": lambda: {
            "epoch": 1,
            "iter": 0,
            "trainer": {
                "config": {"patch_nums": (1, 2, 3, 4), "prog_it": 0},
                "var_wo_ddp": state,
                "vae_local": tokenizer,
                "var_opt": {"optimizer": OPTIMIZER},
            },
            "args": {"depth": 2, "tblr": 1e-4, "cmd": "--bs 8"},
        },
        "beside": lambda: {**state, "epoch": 3, "version": "1", "best": None, "steps": torch.tensor(7)},
    }[name]()


ALL = (
    *("plain", "model", "state_dict", "model_state_dict", "net", "ema", "shadow", "module", "generator"),
    *("ddp", "compiled", "ddp-compiled", "compiled-ddp", "lightning", "lightning-compiled", "var"),
)


@pytest.mark.parametrize("form", ["zip", "legacy"])
@pytest.mark.parametrize("wrapping", ALL)
def test_every_wrapping_gives_the_same_weights(tmp_path, synthetic_state, state, wrapping, form):
    file = tmp_path / "weights.pth"
    content = wrapped(wrapping, state, synthetic_state("vae_tiny"))
    torch.save(content, file, _use_new_zipfile_serialization=form == "zip")
    found = read_weights(file, TRANSFORMER)
    assert found.state.keys() == state.keys()
    assert all(torch.equal(found.state[key], state[key]) for key in state)
    net = build_transformer(found.state, infer_var_config(found.state))
    assert torch.equal(net.head.weight, state["head.weight"])
    assert found.remarks == ()
    assert not found.part or found.part in found.taken


def test_every_wrapping_has_the_same_digest(tmp_path, synthetic_state, state, other):
    digests = set()
    for wrapping in ALL:
        torch.save(wrapped(wrapping, state, synthetic_state("vae_tiny")), tmp_path / f"{wrapping}.pth")
        digests.add(read_weights(tmp_path / f"{wrapping}.pth", TRANSFORMER).digest())
    save_file(state, tmp_path / "a.safetensors")
    digests.add(read_weights(tmp_path / "a.safetensors", TRANSFORMER).digest())
    assert len(digests) == 1
    torch.save(other, tmp_path / "other.pth")
    assert read_weights(tmp_path / "other.pth", TRANSFORMER).digest() not in digests


def test_numbers_and_texts_beside_tensors_are_no_hindrance(tmp_path, state):
    torch.save(wrapped("beside", state, {}), tmp_path / "weights.pth")
    found = read_weights(tmp_path / "weights.pth", TRANSFORMER).state
    assert found.keys() == state.keys()


def test_both_parts_of_a_training_checkpoint_are_found(tmp_path, synthetic_state, state):
    tokenizer = synthetic_state("vae_tiny")
    torch.save(wrapped("var", state, tokenizer), tmp_path / "ar-ckpt-last.pth")
    found = read_weights(tmp_path / "ar-ckpt-last.pth", TOKENIZER)
    assert found.state.keys() == tokenizer.keys()
    assert found.taken == "'trainer.vae_local' of ar-ckpt-last.pth, left 'trainer.var_opt'"


# A choice


CHOICES = {
    "two": (lambda a, b: {"model": a, "ema": b, "optimizer": OPTIMIZER}, "ema", "model, ema"),
    "nested": (lambda a, b: {"trainer": {"net": a, "net_ema": {"shadow": b}}}, "net_ema", "trainer.net, "),
    "prefixes": (
        lambda a, b: {"state_dict": {**prefixed("model.", a), **prefixed("ema_model.module.", b)}},
        "ema_model",
        "state_dict.model, state_dict.ema_model.module",
    ),
    "flat": (lambda a, b: {**a, **prefixed("ema.", b)}, "ema", "(top level), ema"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_is_never_made_in_silence(tmp_path, state, other, name):
    make, part, names = CHOICES[name]
    torch.save(make(state, other), tmp_path / "weights.pth")
    message = refusal(read_weights, tmp_path / "weights.pth", TRANSFORMER)
    assert "holds 2 sets of transformer weights; pass --part, one of " in message
    assert names in message
    chosen = read_weights(tmp_path / "weights.pth", TRANSFORMER, part)
    assert chosen.state.keys() == state.keys()
    assert torch.equal(chosen.state["head.weight"], other["head.weight"])
    assert any("took " in remark and "left " in remark for remark in chosen.remarks)
    assert "'nothing'" in refusal(read_weights, tmp_path / "weights.pth", TRANSFORMER, "nothing")


def test_a_part_that_a_file_lacks_is_said(tmp_path, state):
    torch.save({"model": state}, tmp_path / "weights.pth")
    found = read_weights(tmp_path / "weights.pth", TRANSFORMER, "ema")
    assert found.remarks == ("weights.pth holds no transformer part 'ema'; took its only one, model",)
    torch.save(state, tmp_path / "plain.pth")
    assert read_weights(tmp_path / "plain.pth", TRANSFORMER, "ema").remarks == ()


def test_averages_under_names_of_their_own_are_said(tmp_path, state):
    flat = {f"model_ema.{key.replace('.', '')}": value for key, value in state.items()}
    torch.save({"state_dict": {**prefixed("model.", state), **flat}}, tmp_path / "weights.pth")
    (remark,) = read_weights(tmp_path / "weights.pth", TRANSFORMER).remarks
    assert remark == "took 'state_dict.model' of weights.pth, left 'state_dict.model_ema'"


@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, torch.float16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2], ids=str
)
def test_rounded_weights_are_said(tmp_path, state, dtype):
    rounded = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
    torch.save(rounded, tmp_path / "weights.pth")
    found = read_weights(tmp_path / "weights.pth", TRANSFORMER)
    name = str(dtype).removeprefix("torch.")
    assert found.remarks == (f"the weights in weights.pth are {name}, not float32",)
    net = build_transformer(found.state, infer_var_config(found.state)).half_precision_(torch.float32)
    assert torch.equal(net.head.weight, rounded["head.weight"].float())


# Refusals


@pytest.mark.parametrize(
    "content",
    [None, 3, [], {}, {"epoch": 3}, {"model": {}}, {"model": [torch.ones(1)]}, {"a": torch.ones(1), "b": 2}],
    ids=str,
)
def test_files_without_a_network_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    message = refusal(read_weights, tmp_path / "weights.pth", TRANSFORMER)
    assert "holds no state dict of a transformer (no class_emb.weight" in message


def test_the_wrong_part_is_named(tmp_path, state):
    torch.save(state, tmp_path / "weights.pth")
    message = refusal(read_weights, tmp_path / "weights.pth", TOKENIZER)
    assert "holds a transformer, no tokenizer; give the tokenizer's file" in message
    assert "holds a transformer, no scorer" in refusal(read_weights, tmp_path / "weights.pth", SCORER)


def test_a_state_dict_of_arrays_is_refused_with_the_way_out(tmp_path, state):
    torch.save({key: value.numpy() for key, value in state.items()}, tmp_path / "weights.pth")
    message = refusal(read_weights, tmp_path / "weights.pth", TRANSFORMER)
    assert "as objects of numpy" in message
    assert "torch.as_tensor" in message


def test_weights_without_values_are_refused(tmp_path, state):
    torch.save({key: value.to("meta") for key, value in state.items()}, tmp_path / "weights.pth")
    assert "without its values" in refusal(read_weights, tmp_path / "weights.pth", TRANSFORMER)


def test_a_checkpoint_that_holds_itself_ends(tmp_path, state):
    content = {"model": state}
    content["self"] = content
    content["more"] = {"a": content, "b": content}
    torch.save(content, tmp_path / "weights.pth")
    assert read_weights(tmp_path / "weights.pth", TRANSFORMER).part == "model"


def test_counters_beside_the_tensors_are_left_and_said(tmp_path, state):
    torch.save({**state, "step": torch.tensor(3), "decay": torch.tensor(0.9)}, tmp_path / "w.pth")
    found = read_weights(tmp_path / "w.pth", TRANSFORMER)
    assert found.state.keys() == state.keys()
    assert found.left == ("step", "decay")
    assert found.remarks == ("took w.pth, left 'step', 'decay'",)


def test_a_tensor_larger_than_its_file_is_refused(tmp_path, state):
    width = state["class_emb.weight"].shape[1]
    many = torch.zeros(1, 1).expand(10**9, width)  # one number on disk, 512 GB in memory
    torch.save({**state, "class_emb.weight": many}, tmp_path / "w.pth")
    assert "is smaller than its class_emb.weight" in refusal(read_weights, tmp_path / "w.pth", TRANSFORMER)
