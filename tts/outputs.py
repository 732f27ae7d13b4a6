"""The layouts of what ``tts sample`` writes: names of files, the npz, the picture of the first images."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Annotated, Any, TypeVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from tts import limits
from tts.engine.plan import PLAN_FILE
from tts.errors import CheckpointError, UsageError
from tts.images import Pixels
from tts.io import atomic_path, check_file, ensure_writable_dir
from tts.pipeline import Item
from tts.records import read_record
from tts.tiles import tiled

RECORD = "run.json"
IMAGES = "images"
TOKENS = "tokens.safetensors"
TRACE = "trace.safetensors"
NPZ = "samples.npz"
GRID = "grid.png"
OWN = (RECORD, TOKENS, TRACE, NPZ, GRID, PLAN_FILE, "manifest.json")
"""What a run or a data set has beside its sub-folders."""

GRID_ROWS, GRID_COLUMNS, GRID_CELL = 16, 16, 64

W = TypeVar("W", bound="ImagesWriter")


def check_target(path: Path, inputs: Sequence[Path | str]) -> None:
    """Refuse a place for a result that cannot be written, and one that holds what the result is made of."""
    check_file(path)
    for source in map(Path, inputs):
        if path.resolve().is_relative_to(source.resolve()):
            inside = path.resolve().relative_to(source.resolve())
            if inside.as_posix() in OWN or (path.exists() and len(inside.parts) != 1):
                raise UsageError(f"{path} is, or belongs to, {source}, which is read; name another file")
    ensure_writable_dir(path.parent)


def image_path(folder: Path, item: Item) -> Path:
    """``images/CLASS/SEED.png`` of an item."""
    return folder / IMAGES / f"{item.label:04d}" / f"{item.seed:06d}.png"


@dataclass(frozen=True)
class RunTiming:
    """Seconds that ``images`` images took to generate, summed over processes and over extensions."""

    generate_seconds: Annotated[float, Meta(ge=0)]
    images: limits.Count
    images_per_second: float | None = None


@dataclass(frozen=True)
class _Backbone:
    family: str | None = None


@dataclass(frozen=True)
class RunRecord:
    """What later commands need of ``run.json``; ``plan`` is the id of the plan that it stands for."""

    timing: RunTiming
    plan: str | None = None
    backbone: _Backbone = _Backbone()
    files: dict[str, str] = field(default_factory=dict)


def read_run(folder: Path) -> RunRecord:
    """The record of a finished run of ``tts sample``."""
    return read_record(
        folder / RECORD,
        RunRecord,
        "record of 'tts sample'",
        "mend the run with 'tts data verify --repair'",
        own=True,
    )


def recorded_speed(folder: Path) -> float | None:
    """Images per second of one process, as the run recorded them; ``None`` without a record."""
    return read_run(folder).timing.images_per_second if (folder / RECORD).is_file() else None


def recorded_family(folder: Path) -> str | None:
    """The family of the backbone that made a run, where its record names one."""
    try:
        return read_run(folder).backbone.family
    except CheckpointError:
        return None


def recorded_files(folder: Path) -> dict[str, str]:
    """SHA-256 of the files that a run's record names; none without a record."""
    if not (folder / RECORD).is_file():
        return {}
    return read_run(folder).files


class ImagesWriter:
    """Streams uint8 images (N, S, S, 3) into ``arr_0`` of an npz, then adds other arrays.

    Memory does not grow with N.
    """

    def __init__(self, path: Path, count: int, size: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.path, self.count, self.size, self.arrays = path, count, size, arrays
        self._file = self._open()

    def append(self, pixels: Pixels) -> None:
        """Add images (n, S, S, 3)."""
        self._images.write(pixels.tobytes())

    def __enter__(self: W) -> W:
        """Write inside a ``with`` block."""
        self._images = self._file.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file, or remove it after an exception."""
        self._file.__exit__(kind, error, trace)

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        """The member for the images, in a file that appears under its name when it is whole."""
        with (
            atomic_path(self.path) as temporary,
            temporary.open("wb") as raw,
            zipfile.ZipFile(raw, "w", zipfile.ZIP_STORED) as archive,
        ):
            with archive.open(_member("arr_0"), "w", force_zip64=True) as images:
                shape = (self.count, self.size, self.size, 3)
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(images, header)
                yield images
            for name, values in self.arrays.items():
                with archive.open(_member(name), "w") as file:
                    np.lib.format.write_array(file, values, allow_pickle=False)


class NpzWriter(ImagesWriter):
    """The same in the layout of the ADM evaluation, with labels ``arr_1``, and seeds and ``extra``."""

    def __init__(
        self, path: Path, items: Sequence[Item], size: int, extra: Mapping[str, NDArray[Any]] = {}
    ) -> None:
        labels = np.asarray([item.label for item in items], dtype=np.int64)
        seeds = np.asarray([item.seed for item in items], dtype=np.int64)
        super().__init__(path, len(items), size, {"arr_1": labels, "seeds": seeds, **extra})


def _member(name: str) -> zipfile.ZipInfo:
    """An array's entry, without the time, so that equal contents make equal files."""
    return zipfile.ZipInfo(f"{name}.npy")


class Grid:
    """Collects the first images of the first classes for one picture: a row a class."""

    def __init__(self) -> None:
        self.rows: dict[int, list[Pixels]] = {}

    def add(self, item: Item, pixels: Pixels) -> None:
        """Keep an image (S, S, 3) while there is room."""
        if self.wants(item):
            self.rows.setdefault(item.label, []).append(pixels)

    def wants(self, item: Item) -> bool:
        """Whether there is room for an image of the item's class."""
        if item.label not in self.rows:
            return len(self.rows) < GRID_ROWS
        return len(self.rows[item.label]) < GRID_COLUMNS

    @property
    def full(self) -> bool:
        """Whether there is no room at all."""
        return len(self.rows) == GRID_ROWS and all(len(row) == GRID_COLUMNS for row in self.rows.values())

    def picture(self) -> Pixels:
        """The grid (H, W, 3), each row after its class; small images are enlarged by a whole factor."""
        size = next(iter(self.rows.values()))[0].shape[0]
        factor = max(1, GRID_CELL // size)
        return tiled(
            [
                (str(label), [image.repeat(factor, axis=0).repeat(factor, axis=1) for image in row])
                for label, row in self.rows.items()
            ]
        )
