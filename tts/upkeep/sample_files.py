"""Verifying what lies beside the shards of a sample run: PNG files, npz, token maps, trace, grid."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tts.engine.folder import RunFolder
from tts.engine.plan import ShardRange
from tts.engine.shards import Rows
from tts.engine.verifying import Fault, brief
from tts.errors import CheckpointError, reason
from tts.images import read_image, verified_size
from tts.io import load_tensors
from tts.outputs import GRID, NPZ, TOKENS, TRACE, image_path
from tts.pipeline import Item
from tts.sample_job import MAPS, PIXELS, images_digest


def items_of(rows: Rows) -> list[Item]:
    """The items of a shard, by its own columns."""
    pairs = zip(rows.tensors["labels"].tolist(), rows.tensors["seeds"].tolist(), strict=True)
    return [Item(label, seed) for label, seed in pairs]


def image_faults(folder: Path, shard: ShardRange, rows: Rows, notes: Mapping[str, str]) -> list[Fault]:
    """What is wrong with the PNG files of a shard, by the name of the file where it can be told."""
    if "images_sha256" not in notes:
        return []
    items = items_of(rows)
    with suppress(OSError):
        if images_digest(folder, items) == notes["images_sha256"]:
            return []
    paths = [image_path(folder, item) for item in items]
    names = [path.relative_to(folder).as_posix() for path in paths]
    found = [_png_fault(path, rows, row) for row, path in enumerate(paths)]
    faults = [Fault(name, what, shard.number) for name, what in zip(names, found, strict=True) if what]
    if faults:
        return faults
    return [Fault(f"{names[0]} to {names[-1]}", "one of these is not the image that was made", shard.number)]


def _png_fault(path: Path, rows: Rows, row: int) -> str | None:
    """Whether a PNG file cannot be read, or shows something else than the shard's pixels, if it has these."""
    if not path.exists():
        return "missing"
    try:
        verified_size(path)
        pixels = read_image(path)
    except CheckpointError as error:
        return brief(error, path)
    if PIXELS in rows.tensors and not np.array_equal(rows.tensors[PIXELS][row].numpy(), pixels):
        return "is not the image that was made"
    return None


class Joined:
    """The files that a finished run has of all shards: those that ``settings`` of the plan ask for."""

    def __init__(self, run: RunFolder) -> None:
        self.run, self.settings = run, run.plan.settings
        self.faults: dict[str, Fault] = {}  # one a file is enough

    @cached_property
    def columns(self) -> dict[str, dict[str, Tensor]]:
        """Tensors (N, ...) of token maps and trace, mapped from disk; a wrong N is a fault."""
        found = {}
        for name, wanted in ((TOKENS, self.settings["save_tokens"]), (TRACE, self.settings["trace"])):
            if wanted:
                try:
                    found[name] = load_tensors(self.run.path / name)[0]
                except CheckpointError as error:
                    self._add(name, brief(error, self.run.path / name))
        for name, tensors in found.items():
            counts = {len(tensor) for tensor in tensors.values()}
            if counts != {self.run.plan.items} or (name == TOKENS and set(tensors) != set(MAPS)):
                self._add(name, f"does not hold {self.run.plan.items} rows of all columns")
        return {name: tensors for name, tensors in found.items() if name not in self.faults}

    def compare(self, shard: ShardRange, rows: Rows) -> None:
        """Compare the rows of a whole shard with the columns."""
        part = slice(shard.first, shard.first + shard.count)
        for name, tensors in self.columns.items():
            for key, column in tensors.items():
                if key not in rows.tensors or not _same(column[part], rows.tensors[key]):
                    self._add(name, f"{key} differ from those of {self.run.shard_path(shard.number).name}")

    def finish(self) -> list[Fault]:
        """All faults, with those of the files that hold pixels."""
        if "npz" in self.settings["formats"]:
            try:
                for fault in _npz_faults(self.run.path / NPZ, self.run.plan.items):
                    self._add(NPZ, fault)
            except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
                self._add(NPZ, f"is no complete npz ({reason(error)})".replace(f"{self.run.path}/", ""))
        try:
            read_image(self.run.path / GRID)
        except CheckpointError as error:
            self._add(GRID, brief(error, self.run.path / GRID))
        return list(self.faults.values())

    def _add(self, name: str, what: str) -> None:
        self.faults.setdefault(name, Fault(name, what))


def _same(stored: Tensor, made: Tensor) -> bool:
    """Whether a part of a column holds a shard's values, which may be of a smaller integer type."""
    if stored.shape != made.shape:
        return False
    if stored.is_floating_point():
        return torch.allclose(stored, made, rtol=0, atol=0, equal_nan=True)
    return torch.equal(stored, made.to(stored.dtype))


def _npz_faults(path: Path, items: int) -> Iterator[str]:
    """What is wrong with the arrays of an npz; reads it once, in portions."""
    if not path.exists():
        yield "missing"
        return
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        if damaged:
            yield f"{damaged} does not match its checksum"
        shape = _shape(archive, "arr_0.npy")
        if len(shape) != 4 or shape[0] != items or shape[3] != 3:
            yield f"arr_0 has shape {shape}, the plan has {items} images"
    with path.open("rb") as file, closing(np.load(file, allow_pickle=False)) as arrays:
        counts: list[NDArray[np.int64]] = [arrays["arr_1"], arrays["seeds"]]
        if any(array.shape != (items,) for array in counts):
            yield f"labels and seeds are not {items}"


def _shape(archive: zipfile.ZipFile, member: str) -> tuple[int, ...]:
    """The shape of an array, by its header."""
    with archive.open(member) as file:
        np.lib.format.read_magic(file)
        shape: tuple[int, ...] = np.lib.format.read_array_header_1_0(file)[0]
        return shape
