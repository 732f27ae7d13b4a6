"""Verifying single shards."""

from __future__ import annotations

import pytest

from tts.engine.folder import RunFolder
from tts.engine.plan import Plan
from tts.engine.verifying import recorded_digest, verify_shard


@pytest.fixture
def run(runs):
    """A finished run of ten items in three shards, as it is seen from outside."""
    runs.run()
    return RunFolder(runs.out, runs.out, runs.layout, Plan.load(runs.out), ())


def found(run, number=1, ended=True):
    finding = verify_shard(run, run.shards[number], ended)
    return finding, str(finding.fault)


def test_a_whole_shard_has_its_rows_and_notes(run):
    finding, _ = found(run)
    assert finding.fault is None
    assert finding.rows.tensors["values"][:, 1].tolist() == [4, 5, 6, 7]
    assert recorded_digest(run.shard_path(1), run.shards[1]) is not None


def test_a_missing_shard_is_a_fault_only_at_the_end(run):
    run.shard_path(1).unlink()
    finding, text = found(run)
    assert (finding.fault.shard, text) == (1, "shard-00001.safetensors: missing")
    finding, _ = found(run, ended=False)
    assert finding.fault is None
    assert finding.rows is None


@pytest.mark.parametrize("length", [*range(0, 200, 17), -1, -30])
def test_a_shard_cut_short_at_any_place_is_a_fault(run, length):
    path = run.shard_path(1)
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    finding, text = found(run)
    assert finding.fault.shard == 1
    if length < 0:  # the header is whole
        assert text == f"shard-00001.safetensors: truncated, {len(whole) + length} of {len(whole)} bytes"
        assert recorded_digest(path, run.shards[1]) is not None
    else:
        assert text.startswith("shard-00001.safetensors: is not a complete safetensors file (")
        assert recorded_digest(path, run.shards[1]) is None


def test_every_flipped_byte_is_a_fault_or_changes_nothing(run):
    """A byte of the header's padding is the only one that may change unseen."""
    path = run.shard_path(2)
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    padding = range(8 + len(whole[8 : 8 + size].rstrip()), 8 + size)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        finding, text = found(run, 2)
        assert finding.fault is not None or place in padding, place
        assert "\n" not in text
        assert "; " not in text


def test_a_shard_of_another_place_is_a_fault(run):
    run.shard_path(1).write_bytes(run.shard_path(0).read_bytes())
    assert found(run)[1] == "shard-00001.safetensors: belongs to another plan"
    assert recorded_digest(run.shard_path(1), run.shards[1]) is None
