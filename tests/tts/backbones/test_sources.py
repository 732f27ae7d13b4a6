"""Weights in several files: shards with their index, and folders as they are downloaded."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from tts.backbones.networks import TOKENIZER, TRANSFORMER
from tts.backbones.parts import read_weights
from tts.errors import CheckpointError


@pytest.fixture(scope="module")
def state(synthetic_state):
    return synthetic_state("var_tiny")


def refusal(path, kind=TRANSFORMER):
    with pytest.raises(CheckpointError) as caught:
        read_weights(path, kind)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 450
    return message


def write_shards(folder, state, ending, prefix=""):
    folder.mkdir(exist_ok=True)
    stem = "model" if ending == "safetensors" else "pytorch_model"
    keys, where = sorted(state), {}
    for number in range(3):
        name = f"{stem}-{number + 1:05d}-of-00003.{ending}"
        part = {f"{prefix}{key}": state[key] for key in keys[number::3]}
        (save_file if ending == "safetensors" else torch.save)(part, folder / name)
        where |= dict.fromkeys(part, name)
    index = folder / f"{stem}.{ending}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where}))
    return index


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_shards_are_joined(tmp_path, state, ending, prefix):
    index = write_shards(tmp_path / "model", state, ending, prefix)
    for path in (index, tmp_path / "model"):
        found = read_weights(path, TRANSFORMER)
        assert found.state.keys() == state.keys()
        assert all(torch.equal(found.state[key], state[key]) for key in state)
        assert len(found.files) == 3
    torch.save(state, tmp_path / "whole.pth")
    assert read_weights(tmp_path / "whole.pth", TRANSFORMER).digest() == found.digest()


@pytest.mark.parametrize("name", ["../other.pth", "/etc/passwd", "a/../../x", "..\\x", ""])
def test_an_index_reaches_nothing_outside_its_folder(tmp_path, state, name):
    torch.save(state, tmp_path / "other.pth")
    (tmp_path / "model").mkdir()
    index = tmp_path / "model" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"class_emb.weight": name}}))
    assert "outside its folder, refused unread" in refusal(index)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', "[" * 9999]
)
def test_a_damaged_index_is_refused(tmp_path, content):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(content)
    assert index.name in refusal(index)


def test_a_missing_shard_or_tensor_is_named(tmp_path, state):
    index = write_shards(tmp_path, state, "bin")
    shard = tmp_path / "pytorch_model-00002-of-00003.bin"
    whole = torch.load(shard, weights_only=True)
    torch.save(dict(list(whole.items())[1:]), shard)
    message = refusal(index)
    assert shard.name in message
    assert next(iter(whole)) in message
    torch.save({**whole, "more.weight": torch.zeros(1)}, shard)
    assert "does not name the tensor 'more.weight'" in refusal(index)
    shard.unlink()
    assert shard.name in refusal(index)


def test_a_downloaded_folder_gives_its_parts(tmp_path, state, synthetic_state):
    """As ``hf download --local-dir`` leaves it."""
    torch.save(state, tmp_path / "var_d16.pth")
    torch.save(synthetic_state("vae_tiny"), tmp_path / "vae.pth")
    (tmp_path / "README.md").write_text("# VAR")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "training_args.bin").write_bytes(b"\x80\x02cacme\nArgs\n.")
    (tmp_path / ".cache" / "huggingface" / "download").mkdir(parents=True)
    assert read_weights(tmp_path, TRANSFORMER).source == tmp_path / "var_d16.pth"
    assert read_weights(tmp_path, TOKENIZER).source == tmp_path / "vae.pth"
    shutil.copy(tmp_path / "var_d16.pth", tmp_path / "var_d20.pth")
    message = refusal(tmp_path)
    assert "holds a transformer in several files (var_d16.pth, var_d20.pth); give one" in message


def test_folders_without_weights_say_what_was_looked_for(tmp_path):
    (tmp_path / "README.md").write_text("# VAR")
    assert "no weights file in folder" in refusal(tmp_path)
    (tmp_path / "__0_0.distcp").write_bytes(b"x")
    assert "torch.distributed.checkpoint.format_utils dcp_to_torch" in refusal(tmp_path)


def test_shards_without_their_index_are_refused(tmp_path, state):
    write_shards(tmp_path, state, "safetensors")
    next(tmp_path.glob("*.index.json")).unlink()
    message = refusal(tmp_path)
    assert "is one of several shards" in message
    assert message.endswith("; fetch it, too")
