"""Files that name their own checksum."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tts.backbones.storage import EMBEDDED
from tts.contents import DIGEST, SEAL, shipped, stated_digest
from tts.errors import CheckpointError
from tts.io import load_tensors, map_tensors, read_json, read_metadata, save_tensors, sha256_file, write_json

TENSORS = {"a": torch.arange(6, dtype=torch.int16).reshape(3, 2), "b": torch.tensor([1.5])}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_tensors(tmp_path / "a.safetensors", TENSORS, {"note": f'"{DIGEST}":"{"1" * 64}"', "x": "é"})
    return tmp_path / "a.safetensors"


@pytest.fixture
def record(tmp_path: Path) -> Path:
    write_json(tmp_path / "a.json", {"a": 1.5, "b": ["é", None], "c": {}})
    return tmp_path / "a.json"


def test_the_checksum_is_no_part_of_what_is_read(file: Path, record: Path) -> None:
    tensors, metadata = load_tensors(file, own=True)
    assert metadata == read_metadata(file) == map_tensors(file)[1]
    assert set(metadata) == {"note", "x"}
    assert torch.equal(tensors["a"], TENSORS["a"])
    assert read_json(record, own=True) == {"a": 1.5, "b": ["é", None], "c": {}}


def test_every_changed_bit_of_a_tensor_file_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        with pytest.raises(CheckpointError, match=r"a\.safetensors"):
            load_tensors(file, own=True)


def test_every_changed_bit_of_a_record_is_noticed(record: Path) -> None:
    whole = record.read_bytes()
    for place in range(len(whole)):
        record.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        with pytest.raises(CheckpointError, match=r"a\.json"):
            read_json(record, own=True)


def test_equal_contents_make_equal_files(file: Path, tmp_path: Path) -> None:
    save_tensors(tmp_path / "b", dict(reversed(TENSORS.items())), dict(reversed(read_metadata(file).items())))
    assert (tmp_path / "b").read_bytes() == file.read_bytes()
    assert stated_digest(file) != sha256_file(file)


def test_files_of_others_are_read_without_a_checksum_but_are_not_ours(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "a.safetensors", {"note": "n"})
    (tmp_path / "a.json").write_text(json.dumps({"a": 1}))
    assert load_tensors(tmp_path / "a.safetensors")[1] == {"note": "n"}
    assert read_json(tmp_path / "a.json") == {"a": 1}
    with pytest.raises(CheckpointError, match=r"a\.safetensors has lost its checksum"):
        load_tensors(tmp_path / "a.safetensors", own=True)
    with pytest.raises(CheckpointError, match=r"a\.json has lost its checksum"):
        read_json(tmp_path / "a.json", own=True)


def test_a_record_that_was_edited_is_noticed(record: Path) -> None:
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "a": 2.5}, indent=2))
    with pytest.raises(CheckpointError, match=r"a\.json does not match its checksum"):
        read_json(record)
    del content[SEAL]
    write_json(record, {**content, "a": 2.5}, seal=False)
    assert read_json(record)["a"] == 2.5


def test_a_record_written_again_has_one_checksum(record: Path) -> None:
    content = json.loads(record.read_text())
    write_json(record, {**content, "more": 1})
    assert record.read_text().count(SEAL) == 1
    assert read_json(record, own=True)["more"] == 1


def test_what_is_shipped_is_listed() -> None:
    files = sorted(EMBEDDED.rglob("*.safetensors"))
    assert files
    assert {sha256_file(path) for path in files} == shipped()
    for path in files:
        load_tensors(path, own=True)
