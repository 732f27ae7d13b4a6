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

from tts.data.folders import EXTENSIONS, class_folders, images_in
from tts.errors import UsageError, reason
from tts.evaluation.image_source import ImageSource, Numbers, Pixels, check_square
from tts.images import read_image
from tts.packing import shuffled

THREADS = 8


@dataclass(frozen=True, eq=False)
class FolderSource(ImageSource):
    """Image files below ``root``; figures take them in a seeded random order."""

    root: Path = field(kw_only=True)
    files: tuple[str, ...] = field(kw_only=True)

    def portions(self, rows: range, size: int) -> Iterator[Pixels]:
        """Pixels (n, S, S, 3), decoded by several threads."""

        def load(number: int) -> Pixels:
            path = self.root / self.files[number]
            pixels = read_image(path)
            check_square(path, pixels.shape, self.size)
            return pixels

        with ThreadPoolExecutor(THREADS) as threads:
            for first in range(rows.start, rows.stop, size):
                yield np.stack(list(threads.map(load, range(first, min(first + size, rows.stop)))))

    def sha256(self) -> str:
        """SHA-256 of the names and sizes of the files."""
        digest = hashlib.sha256()
        for name in self.files:
            digest.update(f"{name} {(self.root / name).stat().st_size}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def open_folder(root: Path) -> FolderSource:
    """The images of a folder without sub-folders, or with one a class."""
    try:
        files, labels = _listed(root)
    except OSError as error:
        raise UsageError(
            f"cannot list image folder {error.filename or root} ({reason(error)}); check the rights there"
        ) from error
    first = root / files[0]
    return FolderSource(
        name=root.resolve().name,
        count=len(files),
        size=check_square(first, read_image(first).shape),
        labels=labels,
        order=shuffled(len(files)),
        root=root,
        files=files,
    )


def _listed(root: Path) -> tuple[tuple[str, ...], Numbers | None]:
    """The files as 'file' or 'class/file', sorted, and their labels, which only class folders give."""
    flat = [name.partition("/")[2] for name in images_in(root.resolve().parent, root.resolve().name)]
    folders = class_folders(root)
    listed = [images_in(root, name) for name in folders]
    in_classes = [file for one in listed for file in one]
    if flat and in_classes:
        raise UsageError(
            f"{root} has images both in it and in sub-folders; keep them in one sub-folder a class"
        )
    if not flat and not in_classes:
        raise UsageError(
            f"{root} has no images; give a folder of files named {' '.join(EXTENSIONS)}, in it or in one"
            " sub-folder a class"
        )
    if flat:
        return tuple(flat), None
    labels = np.repeat(np.asarray(_numbers(folders), np.int64), [len(one) for one in listed])
    return tuple(in_classes), labels


def _numbers(folders: list[str]) -> list[int]:
    """The class of each folder: the number that it is named by if all are, else its place among them."""
    if all(name.isdecimal() for name in folders):
        return [int(name) for name in folders]
    return list(range(len(folders)))
