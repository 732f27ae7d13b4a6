"""From a file to its contents: every format, and everything that a broken or hostile file may hold."""

from __future__ import annotations

import gzip
import os
import pickle
import tarfile
import zipfile
from argparse import Namespace
from collections import defaultdict
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tts.backbones.contents import Foreign, read_content
from tts.errors import CheckpointError


def refusal(call, *args):
    with pytest.raises(CheckpointError) as caught:
        call(*args)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in message
    assert len(message) < 400
    return message


@pytest.fixture(scope="module")
def tiny(synthetic_state):
    return {"transformer": synthetic_state("var_tiny")}


# Formats


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_every_form_of_file_gives_the_same_tensors(tmp_path, tiny, form):
    state = tiny["transformer"]
    file = tmp_path / ("weights.safetensors" if form == "safetensors" else "weights.pth")
    if form == "safetensors":
        save_file(state, file)
    else:
        torch.save(state, file, _use_new_zipfile_serialization=form == "zip")
    found = read_content(file)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)


@pytest.mark.parametrize("kept", [0, 1, 3, 0.1, 0.5, 0.9, -1])
@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_truncated_files_are_refused(tmp_path, tiny, form, kept):
    file = tmp_path / ("weights.safetensors" if form == "safetensors" else "weights.pth")
    if form == "safetensors":
        save_file(tiny["transformer"], file)
    else:
        torch.save(tiny["transformer"], file, _use_new_zipfile_serialization=form == "zip")
    whole = file.read_bytes()
    file.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    message = refusal(read_content, file)
    assert file.name in message


CONTENTS = {
    "nothing": b"",
    "text": b"hello\n" * 50,
    "empty-zip": b"PK\x05\x06" + bytes(18),
    "zip-start": b"PK\x03\x04",
    "zeros": bytes(99),
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_files_of_another_kind_are_refused(tmp_path, suffix, content):
    file = tmp_path / f"weights{suffix}"
    file.write_bytes(content)
    message = refusal(read_content, file)
    assert (
        "truncated or no checkpoint" in message
        or "refused unread" in message
        or f"{file.name}' is " in message
    )


def test_random_damage_is_refused_or_read_but_never_a_traceback(tmp_path):
    file = tmp_path / "weights.pth"
    torch.save({"a": torch.ones(20), "b": torch.zeros(3, 4)}, file)
    whole = bytearray(file.read_bytes())
    generator = torch.Generator().manual_seed(0)
    messages = []
    for _ in range(300):
        damaged = bytearray(whole)
        for place, value in torch.randint(256, (3, 2), generator=generator).tolist():
            damaged[place * 3] = value
        file.write_bytes(damaged)
        try:
            read_content(file)
        except CheckpointError as error:
            messages.append(str(error))
    assert messages
    assert max(map(len, messages)) < 400


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    assert "no weights file" in refusal(read_content, tmp_path)
    (tmp_path / "folder.pth").mkdir()
    assert "folder.pth" in refusal(read_content, tmp_path / "folder.pth")
    assert "nothing.pth" in refusal(read_content, tmp_path / "nothing.pth")


# Hostile pickles


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def write_payload(file, form, marker):
    content = {"class_emb.weight": Payload(marker)}
    if form == "bare":
        file.write_bytes(pickle.dumps(content))
    elif form == "wrapped":
        torch.save({"trainer": {"var_wo_ddp": content}}, file)
    else:
        torch.save(content, file, _use_new_zipfile_serialization=form == "zip")


@pytest.mark.parametrize("form", ["zip", "legacy", "wrapped", "bare"])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".safetensors"])
def test_code_in_a_pickle_never_runs(tmp_path, form, suffix):
    file, marker = tmp_path / f"weights{suffix}", tmp_path / "marker"
    write_payload(file, form, marker)
    message = refusal(read_content, file)
    assert not marker.exists()
    assert "refused unread" in message
    if form != "bare":
        assert "mkdir" in message


def test_the_payload_would_have_run(tmp_path):
    write_payload(tmp_path / "weights.pth", "zip", tmp_path / "marker")
    torch.load(tmp_path / "weights.pth", weights_only=False)
    assert (tmp_path / "marker").exists()


def test_a_pickled_module_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "weights.pth")
    message = refusal(read_content, tmp_path / "weights.pth")
    assert "holds a whole pickled module (torch.nn.modules.linear.Linear)" in message
    assert "torch.save(model.state_dict(), 'weights.pth')" in message


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_objects_of_other_packages_beside_weights_are_left_out(tmp_path, form):
    beside = {
        "args": Namespace(lr=0.1, out=Path("x")),
        "best": np.float64(0.5),
        "curve": np.arange(3.0),
        "when": datetime(2025, 1, 1),
        "names": defaultdict(int),
    }
    state = {"a": torch.arange(3.0)}
    file = tmp_path / "weights.pth"
    torch.save({"model": state, **beside}, file, _use_new_zipfile_serialization=form == "zip")
    found = read_content(file)
    assert torch.equal(found["model"]["a"], state["a"])
    assert isinstance(found["args"], Foreign)
    assert found["args"].origin == "argparse.Namespace"
    assert not vars(found["args"])
    assert found.keys() == {"model", *beside}


KINDS = {
    "page.pth": (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "a web page"),
    "page.safetensors": (b"  <html><head></head></html>", "a web page"),
    "pointer.pth": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
    "answer.pth": (b'{"error": "Invalid username or password."}', "a JSON text"),
    "packed.pth.gz": (gzip.compress(bytes(100)), "gzip-compressed, an archive; unpack it"),
    "model.gguf": (b"GGUF" + bytes(100), "a GGUF file"),
    "model.h5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "model.onnx": (b"\x08\x07\x12\x07pytorch" + bytes(100), "an ONNX graph"),
    "array.npy": (b"\x93NUMPY\x01\x00" + bytes(100), "a NumPy array"),
    "half.pth": (b"PK\x03\x04" + bytes(100), "truncated"),
    "empty.pth": (b"", "empty"),
    "notes.txt": (b"hello\nworld\n", "a text file"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_refusal_says_what_the_file_is(tmp_path, name):
    content, words = KINDS[name]
    (tmp_path / name).write_bytes(content)
    assert f"{name}' is {words}" in refusal(read_content, tmp_path / name)


def test_archives_are_told_apart(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.add(__file__, "a.py")
    assert "is a tar archive; unpack it" in refusal(read_content, tmp_path / "a.tar")
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as file:
        file.write(__file__, "a.py")
    assert "is a zip archive of 1 files; unpack it" in refusal(read_content, tmp_path / "a.pth")
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    assert "is an archive of NumPy arrays" in refusal(read_content, tmp_path / "a.npz")


def test_the_format_is_told_from_the_bytes(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "a.pth")
    torch.save({"a": torch.ones(2)}, tmp_path / "a.safetensors")
    assert all(
        torch.equal(read_content(tmp_path / n)["a"], torch.ones(2)) for n in ("a.pth", "a.safetensors")
    )


def test_a_flipped_bit_in_an_archive_is_refused(tmp_path, tiny):
    file = tmp_path / "weights.pth"
    torch.save(tiny["transformer"], file)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x40
    file.write_bytes(content)
    message = refusal(read_content, file)
    assert "fails its checksum" in message
    assert message.endswith("; fetch or save it again")
