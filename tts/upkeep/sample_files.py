"""Verifying what lies beside the shards of a sample run: PNG files, npz, token maps, trace, grid."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from tts.engine.folder import RunFolder
from tts.engine.plan import ShardRange
from tts.engine.shards import Rows
from tts.engine.verifying import Fault, brief
from tts.errors import CheckpointError, reason
from tts.evaluation.npz_file import NpzFile
from tts.images import read_image
from tts.io import load_tensors, sha256_file
from tts.outputs import GRID, NPZ, TOKENS, TRACE, image_path, recorded_files
from tts.run_images import items_of, recorded
from tts.sample_job import MAPS


def image_faults(folder: Path, shard: ShardRange, rows: Rows) -> list[Fault]:
    """What is wrong with the PNG files of a shard, file by file."""
    faults = []
    for item, digest in zip(items_of(rows), recorded(rows), strict=False):
        path = image_path(folder, item)
        if fault := _png_fault(path, digest):
            faults.append(Fault(path.relative_to(folder).as_posix(), fault, shard.number))
    return faults


def _png_fault(path: Path, digest: str) -> str | None:
    """Whether a PNG file is not the one that was written."""
    if not path.exists():
        return "missing"
    try:
        if sha256_file(path) == digest:
            return None
        read_image(path)
    except CheckpointError as error:
        return brief(error, path)
    return "is not the image that was made"


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
                    found[name] = load_tensors(self.run.path / name, own=True)[0]
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
            except CheckpointError as error:
                self._add(NPZ, brief(error, self.run.path / NPZ))
            except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
                self._add(NPZ, f"is no complete npz ({reason(error)})".replace(f"{self.run.path}/", ""))
        try:
            read_image(self.run.path / GRID)
        except CheckpointError as error:
            self._add(GRID, brief(error, self.run.path / GRID))
        with suppress(CheckpointError):  # of the record, which is a fault of its own
            for name, digest in recorded_files(self.run.path).items():
                if name not in self.faults and sha256_file(self.run.path / name) != digest:
                    self._add(name, "is not the file that was written")
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
    arrays = NpzFile(path).arrays
    shape = arrays["arr_0"].shape
    if len(shape) != 4 or shape[0] != items or shape[3] != 3:
        yield f"arr_0 has shape {shape}, the plan has {items} images"
    if any(arrays[name].shape != (items,) for name in ("arr_1", "seeds")):
        yield f"labels and seeds are not {items}"
