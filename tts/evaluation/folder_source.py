"""Images of a folder, in it or in one sub-folder a class.

Axis letters: n images of a portion, S pixels a side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tts.data.classes import Classes
from tts.data.folders import left_out_line, scan
from tts.errors import UsageError
from tts.evaluation.image_source import ImageSource, Numbers, check_square
from tts.evaluation.reading import AS_STORED, Reading
from tts.images import EXTENSIONS, Picture, Pixels
from tts.packing import shuffled

THREADS = 8


@dataclass(frozen=True, eq=False)
class FolderSource(ImageSource):
    """Image files below ``root``; figures take them in a seeded random order."""

    root: Path = field(kw_only=True)
    files: tuple[str, ...] = field(kw_only=True)
    reading: Reading = field(kw_only=True, default=AS_STORED)
    classes: Classes | None = field(kw_only=True, default=None)

    def portions(self, rows: range, size: int) -> Iterator[Pixels]:
        """Pixels (n, S, S, 3), decoded by several threads."""

        def load(number: int) -> Picture:
            path = self.root / self.files[number]
            picture = self.reading.read(path)
            check_square(path, picture.pixels.shape, self.size)
            return picture

        with ThreadPoolExecutor(THREADS) as threads:
            for first in range(rows.start, rows.stop, size):
                numbers = range(first, min(first + size, rows.stop))
                pictures = list(threads.map(load, numbers))
                for number, picture in zip(numbers, pictures, strict=True):
                    self.remark(self.files[number], picture.remarks)
                yield np.stack([picture.pixels for picture in pictures])

    def label_doubts(self, known: tuple[str, str] | None) -> Iterator[str]:
        """Names of class folders that contradict each other, or the names of known classes."""
        return self.classes.doubts(known) if self.classes else iter(())

    def sha256(self) -> str:
        """SHA-256 of the names and sizes of the files."""
        digest = hashlib.sha256()
        for name in self.files:
            digest.update(f"{name} {(self.root / name).stat().st_size}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def open_folder(root: Path, reading: Reading = AS_STORED) -> FolderSource:
    """The images of a folder without sub-folders, or with one a class."""
    found = scan(root)
    if found.flat and found.in_classes:
        raise UsageError(
            f"{root} has images both in it and in sub-folders; keep them in one sub-folder a class"
        )
    files = tuple(found.flat or found.in_classes)
    if not files:
        raise UsageError(
            f"{root} has no images; give a folder of files named {' '.join(EXTENSIONS)}, in it or in one"
            " sub-folder a class"
        )
    labels: Numbers | None = None
    if found.in_classes and found.fault is None:
        labels = found.labels.astype(np.int64)
    first = root / files[0]
    return FolderSource(
        name=root.resolve().name,
        count=len(files),
        size=check_square(first, reading.read(first).pixels.shape),
        labels=labels,
        order=shuffled(len(files)),
        label_fault=found.fault if found.in_classes else None,
        doubts=(left_out_line(found.left_out),) if found.left_out.count else (),
        notes=(str(found.classes),) if labels is not None else (),
        root=root,
        files=files,
        reading=reading,
        classes=found.classes if labels is not None else None,
    )
