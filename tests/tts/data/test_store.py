from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tts.data import store
from tts.data.manifest import BackboneIdentity
from tts.data.store import MANIFEST, TokenStore
from tts.data.writing import StoreWriter
from tts.errors import CheckpointError
from tts.io import load_tensors, read_json, save_tensors, sha256_file, write_json

IDENTITY = BackboneIdentity("var-test", (1, 2), 3, 50, 4, 2, "ab" * 32)


def items(count: int, offset: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens (n, 5), labels (n,), seeds (n,) that tell where they came from."""
    seeds = torch.arange(offset, offset + count)
    return (seeds[:, None] + torch.arange(5)) % 50, seeds % 3, seeds + 2**40


def write(folder: Path, counts: tuple[int, ...] = (4, 4, 3), **options: Any) -> store.Manifest:
    writer = StoreWriter(folder, "generated", IDENTITY, {"cfg": 0.0}, **{"shard_items": 5, **options})
    offset = 0
    for count in counts:
        writer.append(*items(count, offset))
        offset += count
    return writer.close()


def refused(folder: Path, match: str) -> None:
    with pytest.raises(CheckpointError, match=match) as error:
        TokenStore.open(folder).tokens.sum()
    assert "\n" not in str(error.value)
    assert not str(error.value).endswith(".")


def edit_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    write_json(path, {**read_json(path), **changes})


def edit_shard(folder: Path, **changes: Tensor) -> None:
    path = folder / "shard-00001.safetensors"
    tensors, metadata = load_tensors(path)
    before = sha256_file(path)
    save_tensors(path, {**{key: value.clone() for key, value in tensors.items()}, **changes}, metadata)
    manifest = read_json(folder / MANIFEST)
    for shard in manifest["shards"]:
        shard["sha256"] = sha256_file(path) if shard["sha256"] == before else shard["sha256"]
    write_json(folder / MANIFEST, manifest)


def test_round_trip(tmp_path: Path) -> None:
    manifest = write(tmp_path / "set")
    opened = TokenStore.open(tmp_path / "set")
    tokens, labels, seeds = items(11)
    assert torch.equal(opened.tokens, tokens.to(torch.int16))
    assert opened.tokens.dtype == torch.int16
    assert torch.equal(opened.labels, labels.to(torch.int32))
    assert opened.labels.dtype == torch.int32
    assert torch.equal(opened.seeds, seeds)
    assert len(opened) == 11
    assert opened.identity == IDENTITY
    assert opened.manifest == manifest == store.existing(tmp_path / "set")
    assert manifest.per_class == (4, 4, 3)
    assert manifest.settings == {"cfg": 0.0}
    assert [shard.items for shard in manifest.shards] == [5, 5, 1]
    opened.verify()


def test_missing_or_foreign_manifest(tmp_path: Path) -> None:
    refused(tmp_path / "missing", "no manifest")
    write(tmp_path)
    edit_manifest(tmp_path, format=99)
    refused(tmp_path, "its format is 99, this version reads 1")
    (tmp_path / "manifest.json").write_text("[1]")
    refused(tmp_path, "expected `object`")
    (tmp_path / "manifest.json").write_text("{")
    refused(tmp_path, "is not a valid manifest")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"kind": "fake"}, "invalid enum value 'fake'"),
        ({"items": 12}, "12 items, but the shards hold 11"),
        ({"per_class": [11]}, "1 class counts for 3 classes"),
        ({"identity": {"name": "var"}}, "missing required field"),
        ({"identity": None}, "not a valid manifest"),
        ({"shards": [{"name": "../x.safetensors", "items": 11, "sha256": ""}]}, "shards"),
    ],
)
def test_inconsistent_manifest(changes: dict[str, Any], match: str, tmp_path: Path) -> None:
    write(tmp_path)
    edit_manifest(tmp_path, **changes)
    refused(tmp_path, match)


def test_truncated_or_missing_shard(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "shard-00001.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"shard-00001.* not a complete"):
        TokenStore.open(tmp_path)
    path.unlink()
    refused(tmp_path, "shard-00001")


def test_misshapen_shards_are_refused_on_opening(tmp_path: Path) -> None:
    write(tmp_path)
    for changes in ({"tokens": torch.zeros(5, 4, dtype=torch.int16)}, {"seeds": torch.zeros(5)}):
        edit_shard(tmp_path, **changes)
        with pytest.raises(CheckpointError, match="the manifest needs"):
            TokenStore.open(tmp_path)


@pytest.mark.parametrize(("code", "shown"), [(50, "token 50"), (-1, "token -1")])
def test_codes_outside_the_codebook(code: int, shown: str, tmp_path: Path) -> None:
    write(tmp_path)
    edit_shard(tmp_path, tokens=torch.full((5, 5), code, dtype=torch.int16))
    refused(tmp_path, f"shard-00001.*{shown} is outside 0 to 49")


def test_labels_outside_the_classes(tmp_path: Path) -> None:
    write(tmp_path)
    edit_shard(tmp_path, labels=torch.full((5,), 3, dtype=torch.int32))
    with pytest.raises(CheckpointError, match="label 3 is outside 0 to 2"):
        TokenStore.open(tmp_path).labels.sum()


def test_a_changed_shard_is_noticed(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "shard-00001.safetensors"
    tensors, metadata = load_tensors(path)
    changed = {**{key: value.clone() for key, value in tensors.items()}, "seeds": torch.zeros(5).long()}
    save_tensors(path, changed, metadata)
    with pytest.raises(CheckpointError, match=r"shard-00001.* does not match its checksum"):
        TokenStore.open(tmp_path)
