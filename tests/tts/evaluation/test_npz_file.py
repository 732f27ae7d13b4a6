"""Arrays of an npz, read in part."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tts.errors import CheckpointError
from tts.evaluation.npz_file import NpzFile

WRITERS = {"stored": np.savez, "deflated": np.savez_compressed}


def written(path: Path, kind: str, **arrays: Any) -> NpzFile:
    WRITERS[kind](path, **arrays)
    return NpzFile(path)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("rows", [range(20), range(3, 17), range(19, 20), range(5, 5)])
@pytest.mark.parametrize("size", [1, 4, 100])
def test_rows_are_those_of_the_array(tmp_path: Path, kind: str, rows: range, size: int) -> None:
    values = np.random.default_rng(0).integers(0, 256, (20, 3, 5), np.uint8)
    file = written(tmp_path / "a.npz", kind, first=np.arange(3), arr_0=values)
    parts = list(file.rows("arr_0", rows, size))
    assert all(len(part) <= size for part in parts)
    found = np.concatenate(parts) if parts else values[:0]
    np.testing.assert_array_equal(found, values[rows.start : rows.stop])
    np.testing.assert_array_equal(file.array("first"), np.arange(3))
    assert "arr_1" not in file


@pytest.mark.parametrize("kind", WRITERS)
def test_memory_holds_a_portion_and_not_the_file(tmp_path: Path, kind: str) -> None:
    values = np.zeros((4000, 1000), np.uint8)
    values[:, 0] = np.arange(4000) % 251
    file = written(tmp_path / "a.npz", kind, arr_0=values)
    tracemalloc.start()
    total = sum(int(part[:, 0].sum()) for part in file.rows("arr_0", range(2, 4000), 10))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == int(values[2:, 0].sum())
    assert peak < 400_000


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, refused: Any, kind: str, keep: float) -> None:
    path = tmp_path / "a.npz"
    written(path, kind, arr_0=np.random.default_rng(0).integers(0, 256, (50, 40), np.uint8))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with refused(f"{path} is no complete npz", "write or fetch it again", kind=CheckpointError):
        NpzFile(path)


@pytest.mark.parametrize("kind", WRITERS)
def test_changed_bytes_are_found_by_the_checksum(tmp_path: Path, refused: Any, kind: str) -> None:
    path = tmp_path / "a.npz"
    file = written(path, kind, arr_0=np.random.default_rng(0).integers(0, 256, (50, 40), np.uint8))
    damaged = bytearray(path.read_bytes())
    damaged[1000] ^= 8
    path.write_bytes(damaged)
    with refused(f"{path} is no complete npz", kind=CheckpointError):
        list(file.rows("arr_0", range(50), 8))


def test_no_array_is_unpickled(tmp_path: Path, refused: Any) -> None:
    file = written(tmp_path / "a.npz", "stored", arr_0=np.array([{"a": 1}], dtype=object))
    assert file.arrays["arr_0"].dtype == object
    with refused("Object arrays cannot be loaded"[1:], kind=CheckpointError):
        file.array("arr_0")


def test_a_missing_and_a_foreign_file_are_named(tmp_path: Path, refused: Callable[..., Any]) -> None:
    with refused(f"cannot read {tmp_path / 'none.npz'}", kind=CheckpointError):
        NpzFile(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no zip")
    with refused(f"{tmp_path / 'text.npz'} is no complete npz", kind=CheckpointError):
        NpzFile(tmp_path / "text.npz")


def test_columns_first_are_refused(tmp_path: Path, refused: Any) -> None:
    with refused("stored column by column; save it in C order", kind=CheckpointError):
        written(tmp_path / "a.npz", "stored", arr_0=np.asfortranarray(np.zeros((4, 3), np.uint8)))
