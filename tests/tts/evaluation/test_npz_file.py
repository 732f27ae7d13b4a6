"""Arrays of an npz, read in part."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
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


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_array_that_is_there_twice_is_refused(tmp_path: Path, refused: Any) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for value in range(2):
            with archive.open("arr_0.npy", "w") as member:
                np.lib.format.write_array(member, np.full((4, 2), value))
    with refused(f"{path} is no complete npz (it holds arr_0.npy twice)", kind=CheckpointError):
        NpzFile(path)


HEADERS = {
    "terabytes": "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 64, 64, 3), }",
    "many digits": "{'descr': '|u1', 'fortran_order': False, 'shape': (%s,), }" % ("9" * 400),
    "too many digits": "{'descr': '|u1', 'fortran_order': False, 'shape': (%s,), }" % ("9" * 5000),
    "negative": "{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 10), }",
    "infinity": "{'descr': '|u1', 'fortran_order': False, 'shape': (1e999,), }",
    "deep": "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }" % ("(" * 3000 + ")" * 3000),
    "wide type": "{'descr': '|V1000000000000', 'fortran_order': False, 'shape': (10,), }",
    "no type": "{'descr': 'x9', 'fortran_order': False, 'shape': (10,), }",
    "other keys": "{'a': 1}",
    "no dictionary": "[]",
    "no header": "\x00\x01",
    "short": "{'descr': '|u1', 'fortran_order': False, 'shape': (99,), }",
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_header_that_does_not_fit_is_refused_before_memory_is_taken(
    tmp_path: Path, refused: Any, name: str, kind: int
) -> None:
    path, text = tmp_path / "a.npz", HEADERS[name].encode("latin1") + b"\n"
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("arr_0.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text + bytes(100))
    tracemalloc.start()
    with refused(f"{path} is no complete npz", kind=CheckpointError):
        NpzFile(path).array("arr_0")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize("field", [18, 22])
def test_sizes_that_the_archive_cannot_have_are_refused(tmp_path: Path, refused: Any, field: int) -> None:
    """The central directory claims more bytes than the file has, or than so few can stand for."""
    path = tmp_path / "a.npz"
    written(path, "deflated", arr_0=np.zeros((10, 10), np.uint8))
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02") + field + 2
    content[place : place + 4] = struct.pack("<I", 0x7FFFFFFF)
    path.write_bytes(content)
    with refused(f"{path} is no complete npz", kind=CheckpointError):
        NpzFile(path)
