from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tts.data import store
from tts.data.store import BackboneIdentity, StoreWriter, TokenStore
from tts.errors import CheckpointError, RunError, ShapeError, TtsError, UsageError
from tts.io import load_tensors, save_tensors

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
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_shard(folder: Path, **changes: Tensor) -> None:
    path = folder / "shard-00001.safetensors"
    tensors, metadata = load_tensors(path)
    save_tensors(path, {**{key: value.clone() for key, value in tensors.items()}, **changes}, metadata)


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


def test_shards_do_not_depend_on_the_batches(tmp_path: Path) -> None:
    first = write(tmp_path / "a", (11,))
    second = write(tmp_path / "b", (1, 2, 8))
    assert [shard.items for shard in first.shards] == [shard.items for shard in second.shards]
    assert torch.equal(TokenStore.open(tmp_path / "a").tokens, TokenStore.open(tmp_path / "b").tokens)


def test_large_codebooks_take_int32(tmp_path: Path) -> None:
    identity = BackboneIdentity("var-big", (1,), 1, 40_000, 4, 1, "")
    with StoreWriter(tmp_path, "real", identity, {}) as writer:
        writer.append(torch.tensor([[39_999]]), torch.tensor([0]), torch.tensor([0]))
    assert TokenStore.open(tmp_path).tokens.dtype == torch.int32
    assert int(TokenStore.open(tmp_path).tokens) == 39_999


def test_the_writer_copies_what_it_is_given(tmp_path: Path) -> None:
    tokens, labels, seeds = items(2)
    tokens = tokens.to(torch.int16)
    writer = StoreWriter(tmp_path, "real", IDENTITY, {})
    writer.append(tokens, labels, seeds)
    expected = tokens.clone()
    tokens.zero_()
    writer.close()
    assert torch.equal(TokenStore.open(tmp_path).tokens, expected)


def test_an_empty_data_set_is_one(tmp_path: Path) -> None:
    write(tmp_path, ())
    assert TokenStore.open(tmp_path).tokens.shape == (0, 5)


def test_nothing_counts_before_close(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path, "generated", IDENTITY, {}, shard_items=2)
    writer.append(*items(5))
    assert store.existing(tmp_path) is None
    refused(tmp_path, "holds no finished data set")
    write(tmp_path, (3,))
    assert len(TokenStore.open(tmp_path)) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "shard-00000.safetensors"]


def test_an_exception_in_the_block_does_not_close(tmp_path: Path) -> None:
    tokens, labels, seeds = items(5)

    def fail_half_way() -> None:
        with StoreWriter(tmp_path, "real", IDENTITY, {}, shard_items=5) as writer:
            writer.append(tokens, labels, seeds)
            writer.append(tokens, labels[:2], seeds)

    with pytest.raises(ShapeError):
        fail_half_way()
    assert len(list(tmp_path.iterdir())) == 1
    assert store.existing(tmp_path) is None


def test_overwriting_must_be_asked_for(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(UsageError, match="already holds a data set"):
        write(tmp_path)
    assert len(TokenStore.open(tmp_path)) == 11


def test_overwriting_keeps_the_old_set_until_the_new_is_ready(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    writer = StoreWriter(tmp_path, "real", IDENTITY, {}, shard_items=2, overwrite=True)
    writer.append(*items(7, 100))
    old = TokenStore.open(tmp_path)
    old.verify()
    assert torch.equal(old.seeds, items(11)[2])
    writer.close()
    new = TokenStore.open(tmp_path)
    new.verify()
    assert new.manifest.kind == "real"
    assert torch.equal(new.seeds, items(7, 100)[2])
    listed = {shard.name for shard in new.manifest.shards}
    assert {path.name for path in tmp_path.iterdir()} == listed | {"manifest.json", "notes.txt"}


def test_overwriting_works_on_a_broken_set(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    write(tmp_path, (2,), overwrite=True)
    assert len(TokenStore.open(tmp_path)) == 2


def test_missing_or_foreign_manifest(tmp_path: Path) -> None:
    refused(tmp_path / "missing", "no manifest")
    write(tmp_path)
    edit_manifest(tmp_path, format=99)
    refused(tmp_path, "format 99, this version reads format 1")
    (tmp_path / "manifest.json").write_text("[1]")
    refused(tmp_path, "format None")
    (tmp_path / "manifest.json").write_text("{")
    refused(tmp_path, "not valid JSON")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"kind": "fake"}, "neither generated nor real"),
        ({"items": 12}, "12 items, but the shards hold 11"),
        ({"per_class": [11]}, "1 class counts for 3 classes"),
        ({"identity": {"name": "var"}}, "no field"),
        ({"identity": None}, "not a valid manifest"),
        ({"shards": [{"name": "../x.safetensors", "items": 11, "sha256": ""}]}, "not a shard's name"),
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


def test_verify_notices_a_change(tmp_path: Path) -> None:
    write(tmp_path)
    edit_shard(tmp_path, seeds=torch.zeros(5, dtype=torch.int64))
    with pytest.raises(CheckpointError, match=r"shard-00001.* has changed"):
        TokenStore.open(tmp_path).verify()


def test_append_refuses_wrong_shapes_and_values(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path, "real", IDENTITY, {})
    tokens, labels, seeds = items(2)
    wrong: list[tuple[tuple[Tensor, Tensor, Tensor], type[TtsError]]] = [
        ((tokens[:, :4], labels, seeds), ShapeError),
        ((tokens, labels[:1], seeds), ShapeError),
        ((tokens + 50, labels, seeds), RunError),
        ((tokens, labels - 5, seeds), RunError),
    ]
    for given, error in wrong:
        with pytest.raises(error):
            writer.append(*given)
    assert writer.close().items == 0


def test_settings_that_json_cannot_hold_fail_at_once(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        StoreWriter(tmp_path, "real", IDENTITY, {"device": torch.device("cpu")})


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("a file")
    with pytest.raises(UsageError, match="cannot write to folder"):
        StoreWriter(tmp_path / "plain" / "set", "real", IDENTITY, {})
