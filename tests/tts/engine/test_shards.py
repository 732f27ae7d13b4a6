"""Shard files check themselves."""

from __future__ import annotations

import pytest
import torch

from tts.engine.plan import ShardRange
from tts.engine.shards import Rows, glance, read_shard, shard_name, skipped_in, write_shard
from tts.errors import CheckpointError

OWNER = ShardRange(2, 8, 3, "abc")
TENSORS = {"a": torch.arange(6, dtype=torch.int16).reshape(3, 2), "b": torch.tensor([1.5, -2.0, torch.nan])}


@pytest.fixture
def path(tmp_path):
    write_shard(tmp_path / shard_name(2), Rows(TENSORS, 3), OWNER, {"note": "n"})
    return tmp_path / "shard-00002.safetensors"


def test_round_trip(path):
    rows, metadata = read_shard(path, OWNER)
    assert torch.equal(rows.tensors["a"], TENSORS["a"])
    torch.testing.assert_close(rows.tensors["b"], TENSORS["b"], rtol=0, atol=0, equal_nan=True)
    assert (rows.taken, rows.items, rows.skipped, metadata["note"]) == (3, 3, (), "n")
    assert glance(path, OWNER) is None


def test_equal_rows_make_equal_files(path, tmp_path):
    write_shard(tmp_path / "again", Rows(TENSORS, 3), OWNER, {"note": "n"})
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_every_flipped_byte_of_the_contents_is_noticed(path):
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    assert len(whole) > start
    for place in range(start, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with pytest.raises(CheckpointError, match="does not match its checksum"):
            read_shard(path, OWNER)
        assert glance(path, OWNER) is None  # which reads the header only


def test_a_changed_header_is_noticed(path):
    text = path.read_bytes()
    for old, new in ((b'"note":"n"', b'"note":"m"'), (b'"skipped":"[]"', b'"skipped":"[1"')):
        assert old in text
        path.write_bytes(text.replace(old, new))
        with pytest.raises(CheckpointError, match="checksum"):
            read_shard(path, OWNER)


@pytest.mark.parametrize("left", [0, 7, 100, -1])
def test_a_truncated_file_is_noticed(path, left):
    path.write_bytes(path.read_bytes()[:left])
    assert "shard-00002.safetensors" in str(glance(path, OWNER))
    with pytest.raises(CheckpointError):
        read_shard(path, OWNER)


@pytest.mark.parametrize("other", [ShardRange(2, 8, 3, "other"), ShardRange(1, 4, 3, "abc")])
def test_a_shard_of_another_plan_is_noticed(path, other):
    assert "belongs to another plan" in str(glance(path, other))
    with pytest.raises(CheckpointError, match="another plan"):
        read_shard(path, other)


def test_part_of_a_shard_is_not_a_shard(tmp_path):
    path = tmp_path / "partial"
    write_shard(path, Rows({"a": torch.zeros(1)}, 2, ("x.png",)), OWNER)
    rows, _ = read_shard(path, OWNER, whole=False)
    assert (rows.taken, rows.items, rows.skipped) == (2, 1, ("x.png",))
    assert skipped_in(path) == ("x.png",)
    with pytest.raises(CheckpointError, match="holds 2 items of 3"):
        read_shard(path, OWNER)


def test_joining_keeps_order():
    parts = [
        Rows({"a": torch.tensor([1])}, 2, ("x",)),
        Rows({"a": torch.tensor([2, 3])}, 2),
    ]
    joined = Rows.join(parts)
    assert joined.tensors["a"].tolist() == [1, 2, 3]
    assert (joined.taken, joined.skipped) == (4, ("x",))


@pytest.mark.parametrize("text", [b'"[1"', b'"77"', b'"{["'])
def test_a_damaged_list_of_skipped_items_is_a_fault(path, text):
    path.write_bytes(path.read_bytes().replace(b'"skipped":"[]"', b'"skipped":' + text))
    words = "is not a valid list of the items that it leaves out"
    assert words in str(glance(path, OWNER))
    with pytest.raises(CheckpointError, match=words):
        skipped_in(path)
