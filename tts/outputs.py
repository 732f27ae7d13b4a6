"""What ``tts sample`` writes: PNG files, a grid, an npz, token maps, scores, and how it was all made."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray

from tts.errors import UsageError
from tts.io import atomic_path, ensure_writable_dir, read_json, save_png, save_tensors, to_uint8, write_json
from tts.pipeline import Batch, Item

RECORD = "run.json"
IMAGES = "images"
TOKENS = "tokens.safetensors"
TRACE = "trace.safetensors"
NPZ = "samples.npz"
GRID = "grid.png"
STAGING = ".unfinished"
GRID_ROWS, GRID_COLUMNS, GRID_CELL = 16, 16, 64

Pixels = NDArray[np.uint8]


def image_path(folder: Path, item: Item) -> Path:
    """``images/CLASS/SEED.png`` of an item."""
    return folder / IMAGES / f"{item.label:04d}" / f"{item.seed:06d}.png"


def prepare_folder(out: Path, settings: dict[str, Any], overwrite: bool) -> Path:
    """The folder to write into; refuses one that holds another run, naming what differs.

    A run that is to be overwritten stays whole until the new one, in a folder inside, is finished.
    """
    ensure_writable_dir(out)
    record = out / RECORD
    if record.is_file() and not overwrite:
        content = read_json(record)
        before = content.get("settings", {}) if isinstance(content, dict) else {}
        differing = sorted(key for key in {*before, *settings} if before.get(key) != settings.get(key))
        if differing:
            raise UsageError(
                f"{out} holds a run with other settings ({', '.join(differing)});"
                " choose another --out or pass --overwrite"
            )
    folder = out
    if overwrite and record.is_file():
        folder = out / STAGING
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    write_json(folder / RECORD, {"finished": False, "settings": settings})
    return folder


def replace_run(out: Path, folder: Path) -> None:
    """Put the finished run of ``folder`` in the place of the one in ``out``; other files there stay."""
    shutil.rmtree(out / IMAGES, ignore_errors=True)
    for name in (TOKENS, TRACE, NPZ, GRID, RECORD):
        (out / name).unlink(missing_ok=True)
    for path in folder.iterdir():
        path.replace(out / path.name)
    folder.rmdir()


class NpzWriter:
    """Streams uint8 images (N, S, S, 3) into ``arr_0`` of an npz, then adds labels and seeds.

    Memory does not grow with N. Readers find the layout of the ADM evaluation: ``arr_0`` images, ``arr_1``
    labels.
    """

    def __init__(self, path: Path, items: Sequence[Item], size: int) -> None:
        self.items = items
        self._target = atomic_path(path)
        self._zip = zipfile.ZipFile(self._target.__enter__(), "w", zipfile.ZIP_STORED)
        self._images: IO[bytes] = self._zip.open("arr_0.npy", "w", force_zip64=True)
        shape = (len(items), size, size, 3)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._images, header)

    def append(self, pixels: Pixels) -> None:
        """Add images (n, S, S, 3) in the order of the items."""
        self._images.write(pixels.tobytes())

    def __enter__(self) -> NpzWriter:
        """Write inside a ``with`` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file, or remove it after an exception."""
        self._images.close()
        if kind is None:
            for name, values in (
                ("arr_1", [i.label for i in self.items]),
                ("seeds", [i.seed for i in self.items]),
            ):
                with self._zip.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, np.asarray(values, dtype=np.int64))
        self._zip.close()
        self._target.__exit__(kind, error, trace)


class Grid:
    """Collects the first images of the first classes for one picture: a row a class."""

    def __init__(self) -> None:
        self.rows: dict[int, list[Pixels]] = {}

    def add(self, item: Item, pixels: Pixels) -> None:
        """Keep an image (S, S, 3) while there is room."""
        if item.label in self.rows or len(self.rows) < GRID_ROWS:
            row = self.rows.setdefault(item.label, [])
            if len(row) < GRID_COLUMNS:
                row.append(pixels)

    def picture(self) -> Pixels:
        """The grid (H, W, 3); small images are enlarged by a whole factor."""
        size = next(iter(self.rows.values()))[0].shape[0]
        factor = max(1, GRID_CELL // size)
        blank = np.full((size, size, 3), 255, np.uint8)
        columns = max(len(row) for row in self.rows.values())
        lines = [
            np.concatenate([*row, *[blank] * (columns - len(row))], axis=1) for row in self.rows.values()
        ]
        return np.concatenate(lines, axis=0).repeat(factor, axis=0).repeat(factor, axis=1)


class SampleWriter:
    """Writes batches as they come and the rest at the end; every file appears whole or not at all."""

    def __init__(
        self,
        out: Path,
        items: Sequence[Item],
        size: int,
        formats: frozenset[str],
        uint8_rule: str,
        metadata: dict[str, str],
    ) -> None:
        self.out, self.items, self.uint8_rule, self.metadata = out, items, uint8_rule, metadata
        self.png = "png" in formats
        self.npz = NpzWriter(out / NPZ, items, size) if "npz" in formats else None
        self.grid = Grid()
        self.batches: list[Batch] = []

    def append(self, batch: Batch) -> None:
        """Write a batch's images; its tokens and scores are kept for the end."""
        assert batch.result.images is not None
        pixels = to_uint8(batch.result.images, self.uint8_rule)
        for item, image in zip(batch.items, pixels, strict=True):
            self.grid.add(item, image)
            if self.png:
                path = image_path(self.out, item)
                path.parent.mkdir(parents=True, exist_ok=True)
                save_png(path, image)
        if self.npz:
            self.npz.append(pixels)
        self.batches.append(without_images(batch))

    def __enter__(self) -> SampleWriter:
        """Write inside a ``with`` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the npz, or remove what is half written."""
        if self.npz:
            self.npz.__exit__(kind, error, trace)

    def finish(self, save_tokens: bool, save_trace: bool, record: dict[str, Any]) -> None:
        """Write the grid, the token maps, the trace and, last, the record."""
        save_png(self.out / GRID, self.grid.picture())
        if save_tokens:
            save_tensors(self.out / TOKENS, self._tokens(), self.metadata)
        if save_trace:
            save_tensors(self.out / TRACE, self._trace(), self.metadata)
        write_json(self.out / RECORD, record)

    def _tokens(self) -> dict[str, torch.Tensor]:
        results = [batch.result for batch in self.batches]
        return {
            "tokens": torch.cat([result.tokens for result in results]),
            "labels": torch.tensor([item.label for item in self.items]),
            "seeds": torch.tensor([item.seed for item in self.items]),
            "winner_scores": torch.cat([result.winner_scores for result in results]),
            "winner_index": torch.cat([result.winner_index for result in results]),
        }

    def _trace(self) -> dict[str, torch.Tensor]:
        traces = [batch.result.trace for batch in self.batches]
        return {f"scores.{scale + 1}": torch.cat([trace[scale] for trace in traces]) for scale in traces[0]}


def without_images(batch: Batch) -> Batch:
    """The batch with its tokens and scores only."""
    from dataclasses import replace

    return Batch(batch.items, replace(batch.result, images=None))
