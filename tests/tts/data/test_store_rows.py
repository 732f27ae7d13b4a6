"""Single rows of a data set, read from many shards without loading them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tts.data import store as store_module
from tts.data.manifest import BackboneIdentity
from tts.data.store import TokenStore
from tts.data.writing import StoreWriter
from tts.errors import CheckpointError
from tts.io import load_tensors, save_tensors, sha256_file, write_json

IDENTITY = BackboneIdentity("var-test", (1, 2), 3, 50, 4, 2, "ab" * 32)


def write(folder: Path, count: int, shard_items: int) -> tuple[TokenStore, Tensor]:
    """A data set and its tokens (N, 5)."""
    tokens = torch.randint(50, (count, 5), generator=torch.Generator().manual_seed(0))
    with StoreWriter(folder, "real", IDENTITY, {}, shard_items=shard_items) as writer:
        writer.append(tokens, torch.arange(count) % 3, torch.arange(count))
    return TokenStore.open(folder), tokens


@pytest.mark.parametrize("shard_items", [1, 4, 7, 100])
def test_rows_are_those_of_the_column(tmp_path: Path, shard_items: int) -> None:
    opened, tokens = write(tmp_path, 23, shard_items)
    every = torch.arange(23)
    for index in (every, every.flip(0), torch.tensor([22, 0, 7, 7, 6, 0, 3]), torch.tensor([8])):
        rows = opened.rows(index)
        assert rows.dtype == torch.int16
        assert torch.equal(rows, tokens[index].to(torch.int16))
        assert torch.equal(opened.rows(index.to(torch.int32)), rows)
    assert torch.equal(opened.tokens, opened.rows(every))


def test_no_rows(tmp_path: Path) -> None:
    opened, _ = write(tmp_path / "some", 3, 2)
    assert opened.rows(torch.zeros(0, dtype=torch.int64)).shape == (0, 5)
    opened, _ = write(tmp_path / "none", 0, 2)
    assert opened.rows(torch.zeros(0, dtype=torch.int64)).shape == (0, 5)


@pytest.mark.parametrize("index", [[-1], [0, 23], [5, -3, 2]])
def test_rows_that_are_not_there(tmp_path: Path, index: list[int]) -> None:
    opened, _ = write(tmp_path, 23, 5)
    with pytest.raises(IndexError, match="of 23"):
        opened.rows(torch.tensor(index))


def test_a_shard_is_opened_when_it_is_needed_and_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, _ = write(tmp_path, 23, 5)
    loaded = []
    original = store_module.map_tensors
    monkeypatch.setattr(store_module, "map_tensors", lambda path: loaded.append(path.name) or original(path))
    for _ in range(3):
        opened.rows(torch.tensor([0, 11, 12, 3]))
    assert sorted(loaded) == ["shard-00000.safetensors", "shard-00002.safetensors"]
    opened.rows(torch.tensor([22]))
    assert len(loaded) == 3


def test_rows_are_copies(tmp_path: Path) -> None:
    opened, tokens = write(tmp_path, 6, 5)
    opened.rows(torch.arange(6)).zero_()
    assert torch.equal(opened.rows(torch.arange(6)), tokens.to(torch.int16))
    opened.verify()


def test_codes_outside_the_codebook_name_their_shard(tmp_path: Path) -> None:
    write(tmp_path, 23, 5)
    path = tmp_path / "shard-00003.safetensors"
    tensors, metadata = load_tensors(path)
    spoilt = {key: value.clone() for key, value in tensors.items()}
    spoilt["tokens"][2, 1] = 50
    before = sha256_file(path)
    save_tensors(path, spoilt, metadata)
    manifest = tmp_path / "manifest.json"
    write_json(manifest, json.loads(manifest.read_text().replace(before, sha256_file(path))))
    opened = TokenStore.open(tmp_path)
    opened.rows(torch.tensor([0, 16, 18, 22]))
    with pytest.raises(CheckpointError, match=r"shard-00003.safetensors: token 50 is outside 0 to 49; coll"):
        opened.rows(torch.tensor([0, 16, 17, 22]))


def test_a_shard_that_went_missing_is_one_line(tmp_path: Path) -> None:
    opened, _ = write(tmp_path, 23, 5)
    (tmp_path / "shard-00001.safetensors").unlink()
    opened.rows(torch.tensor([0]))
    with pytest.raises(CheckpointError, match=r"cannot read .*shard-00001"):
        opened.rows(torch.tensor([0, 6]))


def anonymous() -> int:
    """Bytes of memory that are this process's own, not pages of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of memory")
def test_memory_does_not_grow_with_the_tokens(tmp_path: Path) -> None:
    identity = BackboneIdentity("var-test", (16,), 3, 50, 4, 16, "ab" * 32)
    with StoreWriter(tmp_path, "real", identity, {}, shard_items=200) as writer:
        for _ in range(20):  # 40 000 items of 512 bytes: 20 MB in 200 shards
            numbers = torch.arange(2000)
            writer.append(torch.randint(50, (2000, 256)), numbers % 3, numbers)
    opened = TokenStore.open(tmp_path)
    generator = torch.Generator().manual_seed(0)
    opened.rows(torch.randint(40_000, (64,), generator=generator))
    before, files = anonymous(), len(os.listdir("/proc/self/fd"))
    for _ in range(60):
        opened.rows(torch.randint(40_000, (256,), generator=generator))
    assert anonymous() - before < 4_000_000
    assert len(os.listdir("/proc/self/fd")) <= files
