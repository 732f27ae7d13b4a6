"""Data sets written by one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tts.data import store
from tts.data.manifest import BackboneIdentity
from tts.data.store import TokenStore
from tts.data.writing import StoreWriter
from tts.errors import CheckpointError, RunError, ShapeError, TtsError, UsageError

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
    with pytest.raises(CheckpointError, match="holds no finished data set"):
        TokenStore.open(tmp_path)
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
