"""Published files converted into a folder."""

from __future__ import annotations

import json
import math
import shutil

import pytest
import torch
from safetensors import safe_open

from tts.backbones.build import build_folder, build_published
from tts.backbones.convert import convert
from tts.backbones.presets import FLEXVAR_SCHEDULES, SCHEDULE_256, SPECS
from tts.backbones.storage import (
    TOKENIZER_FILE,
    TRANSFORMER_FILE,
    folder_spec,
    read_folder_config,
)
from tts.errors import CheckpointError, RunError, UsageError
from tts.io import load_tensors, read_metadata, sha256_file
from tts.specs import (
    BackboneOptions,
    BackboneRequest,
)

PRESETS = {spec.name: spec for spec in SPECS}
CPU = torch.device("cpu")
TINY = (1, 2, 3, 4)


def request(spec, *weights, **options):
    return BackboneRequest(spec, CPU, torch.float32, weights, BackboneOptions(**options))


def refusal(call, *args, kind=CheckpointError):
    with pytest.raises(kind) as caught:
        call(*args)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def generate(backbone):
    """Guided logits of every scale and the tokens of greedy generation."""
    state = backbone.begin(torch.tensor([3, 7]), cfg=1.5)
    logits, tokens = [], []
    for _ in backbone.info.schedule:
        logits.append(state.logits())
        tokens.append(logits[-1].argmax(dim=-1))
        state.commit(tokens[-1])
    return logits, tokens, state.decode()


@torch.inference_mode()
@pytest.mark.parametrize("name", ["var_tiny", "var_tiny_shared_aln"])
def test_a_converted_folder_equals_the_published_files(tmp_path, tiny_files, depth_16, name):
    convert(*tiny_files(name), tmp_path, None, None, None)
    converted = build_folder(request(folder_spec(tmp_path), tmp_path))
    direct = build_published(request(depth_16, *tiny_files(name)))
    for ours, theirs in zip(generate(converted), generate(direct), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_the_files_hold_their_configuration(folder):
    with safe_open(folder / TRANSFORMER_FILE, "pt") as file:
        metadata, keys = file.metadata(), set(file.keys())
    assert metadata["format"] == "scalewise-tts-backbone-1"
    config = json.loads(metadata["config"])
    assert (config["name"], config["family"]) == ("var-d2", "var")
    assert config["sampling"] == {"cfg": 1.5, "top_k": 900, "top_p": 0.96}
    assert config["transformer"]["schedule"] == list(TINY)
    assert config["tokenizer"]["multipliers"] == [1, 1, 2, 2, 4]
    assert not any(key.endswith(("lvl_1L", "attn_bias_for_masking", "zero_k_bias")) for key in keys)
    with safe_open(folder / TOKENIZER_FILE, "pt") as file:
        assert "quantize.ema_vocab_hit_SV" not in set(file.keys())
    assert read_metadata(folder / TOKENIZER_FILE) == {"format": "scalewise-tts-backbone-1"}


def test_a_name_may_be_given(tmp_path, tiny_files):
    convert(*tiny_files("var_tiny"), tmp_path, None, "var-mine", None)
    assert folder_spec(tmp_path).name == "var-mine"


@pytest.mark.parametrize("name", ["", "Mine", "../mine", "a b", "a--b", "a/b"])
def test_a_name_that_nobody_could_type_is_refused(tmp_path, tiny_files, name):
    refusal(convert, *tiny_files("var_tiny"), tmp_path, None, name, None, kind=UsageError)
    assert not list(tmp_path.iterdir())


def test_a_converted_folder_can_be_converted_again(tmp_path, folder):
    files = (folder / TRANSFORMER_FILE, folder / TOKENIZER_FILE)
    convert(*files, tmp_path, None, None, None)
    for name in (TRANSFORMER_FILE, TOKENIZER_FILE):
        (before, said), (after, says) = load_tensors(folder / name), load_tensors(tmp_path / name)
        assert says == said
        assert after.keys() == before.keys()
        assert all(torch.equal(after[key], before[key]) for key in before)


def test_a_converted_flexvar_keeps_what_is_not_given_anew(tmp_path, tiny_files):
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for folder in (first, second, third):
        folder.mkdir()
    convert(*tiny_files("flexvar_tiny"), first, None, "flexvar-mine", "1,2,4", 32)
    again = convert(first / TRANSFORMER_FILE, first / TOKENIZER_FILE, second, None, None, None)
    assert again == read_folder_config(first / TRANSFORMER_FILE)
    assert (again.name, again.transformer.schedule, again.transformer.trained_side) == (
        "flexvar-mine",
        (1, 2, 4),
        32,
    )
    changed = convert(first / TRANSFORMER_FILE, first / TOKENIZER_FILE, third, None, None, "8", 16)
    assert changed.transformer.schedule == FLEXVAR_SCHEDULES["8"]
    assert changed.transformer.trained_side == 16


def test_above_the_trained_side_decoding_is_greedy(tmp_path, tiny_files):
    convert(*tiny_files("flexvar_tiny"), tmp_path, None, None, "1,2,3,4", 2)
    backbone = build_folder(request(folder_spec(tmp_path), tmp_path))
    assert backbone.info.stochastic == (True, True, False, False)


@pytest.mark.parametrize(
    ("name", "side", "words"),
    [
        ("var_tiny", 16, "fixed schedule"),
        ("flexvar_tiny", 0, "trained-side 0 must be from 1"),
        ("flexvar_tiny", 33, "position table's side 32"),
    ],
)
def test_a_trained_side_must_fit(tmp_path, tiny_files, name, side, words):
    files = tiny_files(name)
    schedule = "1,2,3,4"
    message = refusal(convert, *files, tmp_path, None, None, schedule, side, kind=UsageError)
    assert words in message
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_where_the_files_do_not_fit(tmp_path, tiny_files, synthetic_state):
    transformer, tokenizer = tiny_files("var_tiny")
    out = tmp_path / "out"
    out.mkdir()
    state = synthetic_state("vae_tiny")
    del state["decoder.conv_out.bias"]
    torch.save(state, tmp_path / "incomplete.pth")
    assert "decoder.conv_out.bias" in refusal(
        convert, transformer, tmp_path / "incomplete.pth", out, None, None, None
    )
    assert "holds a tokenizer, no transformer" in refusal(
        convert, tokenizer, transformer, out, None, None, None
    )
    assert "1, 2, 4" in refusal(convert, transformer, tokenizer, out, None, None, "1,2,4")
    assert not list(out.iterdir())


def test_a_training_checkpoint_serves_both_options(tmp_path, synthetic_state, folder):
    file, out = tmp_path / "ar-ckpt-last.pth", tmp_path / "out"
    out.mkdir()
    states = {"var_wo_ddp": synthetic_state("var_tiny"), "vae_local": synthetic_state("vae_tiny")}
    torch.save({"epoch": 1, "iter": 0, "trainer": states, "args": {}}, file)
    said = []
    convert(file, file, out, None, None, None, say=said.append)
    assert said == [f"took 'trainer.{name}' of ar-ckpt-last.pth" for name in states]
    for name in (TRANSFORMER_FILE, TOKENIZER_FILE):
        assert sha256_file(out / name) == sha256_file(folder / name)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, tiny_files, synthetic_state, value):
    state = {key: tensor.clone() for key, tensor in synthetic_state("var_tiny").items()}
    state["head.weight"][3, 5] = value
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(
        CheckpointError, match=r"bad\.pth' holds head\.weight with values that are not finite"
    ):
        convert(tmp_path / "bad.pth", tiny_files("var_tiny")[1], tmp_path / "out", None, None, None)
    assert not (tmp_path / "out").exists()


def test_tied_tensors_are_stored_each_by_itself(tmp_path, tiny_files, synthetic_state):
    state, out = synthetic_state("var_tiny"), tmp_path / "out"
    out.mkdir()
    both = torch.stack((state["blocks.0.attn.q_bias"], state["blocks.0.attn.v_bias"]))
    state["blocks.0.attn.q_bias"], state["blocks.0.attn.v_bias"] = both
    state["blocks.1.ffn.fc1.weight"] = state["blocks.0.ffn.fc1.weight"]
    torch.save(state, tmp_path / "tied.pth")
    convert(tmp_path / "tied.pth", tiny_files("var_tiny")[1], out, None, None, None)
    stored, _ = load_tensors(out / TRANSFORMER_FILE)
    assert all(torch.equal(value, state[key]) for key, value in stored.items())


def test_a_failure_while_writing_leaves_what_was_there(tmp_path, tiny_files, folder, monkeypatch):
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    def fail(*args):
        raise RunError("cannot write")

    monkeypatch.setattr("tts.backbones.convert.write_transformer", fail)
    refusal(convert, *tiny_files("var_tiny"), folder, None, "var-other", None, kind=RunError)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_failure_while_writing_leaves_no_new_folder(tmp_path, tiny_files, monkeypatch):
    def fail(*args):
        raise RunError("cannot write")

    monkeypatch.setattr("tts.backbones.convert.write_transformer", fail)
    (tmp_path / "mine").mkdir()
    refusal(convert, *tiny_files("var_tiny"), tmp_path / "mine/new/model", None, None, None, kind=RunError)
    assert not list((tmp_path / "mine").iterdir())


@pytest.mark.parametrize("new", [TOKENIZER_FILE, TRANSFORMER_FILE])
def test_a_folder_that_is_half_new_is_refused(tmp_path, tiny_files, synthetic_state, folder, depth_16, new):
    """A kill may fall between the two renames."""
    transformer, tokenizer = tiny_files("var_tiny")
    state = synthetic_state("vae_tiny")
    state["decoder.conv_out.bias"] = state["decoder.conv_out.bias"] + 1
    torch.save(state, tmp_path / "other.pth")
    convert(transformer, tmp_path / "other.pth", tmp_path / "out", None, None, None)
    half = tmp_path / "half"
    half.mkdir()
    for name in (TOKENIZER_FILE, TRANSFORMER_FILE):
        shutil.copy((tmp_path / "out" if name == new else folder) / name, half / name)
    said = "a transformer and a tokenizer of two conversions"
    assert said in refusal(build_folder, request(folder_spec(half), half))
    assert said in refusal(build_published, request(depth_16, half))
    assert said in refusal(convert, half, half, tmp_path / "again", None, None, None)
    convert(transformer, tokenizer, half, None, None, None)
    build_folder(request(folder_spec(half), half))


@pytest.mark.parametrize("what", ["codebook size", "channels"])
def test_parts_of_two_models_are_refused(tmp_path, tiny_files, synthetic_state, what):
    state = synthetic_state("vae_tiny")
    codes = state["quantize.embedding.weight"]
    state["quantize.embedding.weight"] = codes[:32] if what == "codebook size" else codes[:, :4].contiguous()
    torch.save(state, tmp_path / "vae.pth")
    transformer, _ = tiny_files("var_tiny")
    message = refusal(convert, transformer, tmp_path / "vae.pth", tmp_path, None, None, None)
    assert message.startswith(f"{what} is ")
    assert "files of one model" in message


@torch.inference_mode()
@pytest.mark.usefixtures("depth_16")
def test_a_converted_flexvar_equals_the_published_files(tiny_files, flexvar_folder):
    converted = build_folder(request(folder_spec(flexvar_folder), flexvar_folder))
    preset = PRESETS["flexvar-d16"]
    files = build_published(request(preset, *tiny_files("flexvar_tiny"), schedule=TINY))
    given = build_published(request(preset, flexvar_folder, schedule=TINY))
    reference = generate(converted)
    for direct in (files, given):
        for ours, theirs in zip(generate(direct), reference, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    names = (TRANSFORMER_FILE, TOKENIZER_FILE)
    assert given.files == tuple(flexvar_folder / name for name in names)
    assert given.weights_hash() == converted.weights_hash() == files.weights_hash()


def test_the_files_of_a_flexvar_hold_their_configuration(flexvar_folder):
    with safe_open(flexvar_folder / TRANSFORMER_FILE, "pt") as file:
        metadata, keys = file.metadata(), set(file.keys())
    assert metadata["format"] == "scalewise-tts-backbone-1"
    config = json.loads(metadata["config"])
    assert (config["name"], config["family"]) == ("flexvar-d2", "flexvar")
    assert config["sampling"] == {"cfg": 2.5, "top_k": 900, "top_p": 0.95}
    assert config["transformer"]["schedule"] == list(TINY)
    assert (config["transformer"]["table"], config["transformer"]["trained_side"]) == (32, 16)
    assert (config["tokenizer"]["latent"], config["tokenizer"]["multipliers"]) == (256, [1, 1, 2, 2, 4])
    assert not any(key.endswith(("attn_bias_for_masking", "zero_k_bias")) for key in keys)
    with safe_open(flexvar_folder / TOKENIZER_FILE, "pt") as file:
        assert "quantize.codebook_used" not in set(file.keys())


@pytest.mark.parametrize("family", [None, "flexvar"])
@pytest.mark.parametrize(
    ("text", "sides"), [(None, SCHEDULE_256), ("8", FLEXVAR_SCHEDULES["8"]), ("1,2,4,5", (1, 2, 4, 5))]
)
def test_a_flexvar_is_converted_for_any_schedule(tmp_path, small_files, family, text, sides):
    config = convert(*small_files(32), tmp_path, family, "flexvar-mine", text)
    assert (config.name, config.family, config.transformer.schedule) == ("flexvar-mine", "flexvar", sides)
    spec = folder_spec(tmp_path)
    assert (spec.schedule, spec.image_size) == (sides, 2 * sides[-1])
    assert build_folder(request(spec, tmp_path)).info.schedule == sides


def test_a_converted_flexvar_can_be_converted_again(tmp_path, small_files):
    first, again = tmp_path / "first", tmp_path / "again"
    for folder, files in (
        (first, small_files(32)),
        (again, [first / n for n in (TRANSFORMER_FILE, TOKENIZER_FILE)]),
    ):
        folder.mkdir()
        convert(*files, folder, None, None, "1,2,4")
    for name in (TRANSFORMER_FILE, TOKENIZER_FILE):
        assert sha256_file(again / name) == sha256_file(first / name)


CONVERSIONS = [
    (
        8,
        None,
        None,
        "schedule 1,2,3,4,5,6,8,10,13,16 ends at side 16, the model's position table has 8",
        CheckpointError,
    ),
    (8, None, "1,2,9", "schedule 1,2,9 ends at side 9, the model's position table has 8", CheckpointError),
    (8, None, "512", "up to 8", CheckpointError),
    (32, None, "7", "schedule '7' must be increasing sides from 1", UsageError),
    (32, None, "ten", "or a name: 6, 8, 9, 10, 11, 12, 13, 512", UsageError),
    (32, "var", None, "the transformer is a FlexVAR, not a VAR; pass a flexvar backbone", CheckpointError),
    (32, "varr", None, "unknown family 'varr'; use var or flexvar", UsageError),
]


@pytest.mark.parametrize(("table", "family", "schedule", "words", "kind"), CONVERSIONS)
def test_a_flexvar_that_cannot_be_converted_leaves_nothing(
    tmp_path, small_files, table, family, schedule, words, kind
):
    files = small_files(table)
    assert words in refusal(convert, *files, tmp_path, family, None, schedule, kind=kind)
    assert not list(tmp_path.iterdir())


def test_a_var_is_not_converted_as_a_flexvar(tmp_path, tiny_files):
    message = refusal(convert, *tiny_files("var_tiny"), tmp_path, "flexvar", None, None)
    assert "the transformer is a VAR, not a FlexVAR" in message
    assert "--family var " in message
    assert not list(tmp_path.iterdir())


def test_parts_of_two_flexvars_are_refused(tmp_path, small_files):
    transformer, tokenizer = small_files(32)
    state = dict(torch.load(tokenizer, weights_only=True)["model"])
    state["quantize.embedding.weight"] = state["quantize.embedding.weight"][:32]
    torch.save({"model": state}, tmp_path / "vae.pth")
    message = refusal(convert, transformer, tmp_path / "vae.pth", tmp_path, None, None, None)
    assert message.startswith("codebook size is 64 in the transformer and 32 in the tokenizer")
