"""Image folders: one sub-folder a class.

Axis letters: N images.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tts.data.classes import Classes
from tts.data.decode import Crop, decode
from tts.data.listing import ImageFolder
from tts.engine.plan import PLAN_FILE
from tts.errors import UsageError, reason
from tts.images import EXTENSIONS, Pixels, Tally

_EXTENSIONS = " ".join(EXTENSIONS)
_THREADS = 8


def list_images(root: Path | str, classes: int) -> ImageFolder:
    """List the images below ``root``, whose sub-folders must be those of a backbone with so many classes."""
    folder = Path(root)
    if not folder.is_dir():
        raise UsageError(f"image folder {folder} does not exist; give a folder with one sub-folder a class")
    found = scan(folder)
    if found.fault:
        raise UsageError(f"{folder}: {found.fault}")
    found.classes.check(folder, classes)
    if not found.in_classes:
        raise UsageError(f"{folder} has no images in its class folders, which are named {_EXTENSIONS}")
    if found.flat:
        found.left_out.add(*found.flat)
    return ImageFolder(folder, found.classes, tuple(found.in_classes), found.labels, found.left_out)


@dataclass(frozen=True)
class Scan:
    """What is in a folder: images in it, ``flat``, and in class folders, as 'class/file', in order.

    ``labels`` (N,) are those of ``in_classes``. Whatever is not named like an image is ``left_out``; other
    hidden files and folders do not count. ``fault`` says why the folders' names give no labels.
    """

    classes: Classes
    flat: list[str]
    in_classes: list[str]
    labels: NDArray[np.int32]
    left_out: Tally
    fault: str | None


def scan(root: Path) -> Scan:
    """Look at the names in a folder and in its sub-folders, which are its classes."""
    try:
        flat, others, folders = _sorted(root)
        classes, fault = _classes(folders)
        with ThreadPoolExecutor(_THREADS) as threads:  # for file systems that are slow to answer
            listed = list(threads.map(lambda name: _sorted(root / name), classes.names))
    except OSError as error:
        raise UsageError(
            f"cannot list image folder {error.filename or root} ({reason(error)}); check the rights there"
        ) from error
    for name, (_, strangers, _) in zip(classes.names, listed, strict=True):
        if PLAN_FILE in strangers:
            raise UsageError(
                f"{root / name} was made by 'tts sample' or 'tts collect' and is no class of images; give"
                " folders of 'tts sample' by their own names"
            )
    left_out, in_classes, counts = Tally().add(*others), list[str](), list[int]()
    for name, (files, strangers, deeper) in zip(classes.names, listed, strict=True):
        in_classes += [f"{name}/{file}" for file in files]
        counts.append(len(files))
        left_out.add(*(f"{name}/{other}" for other in (*strangers, *(f"{one}/" for one in deeper))))
    labels = np.repeat(np.asarray(classes.labels, np.int32), counts)
    return Scan(classes, flat, in_classes, labels, left_out, fault)


def _classes(folders: list[str]) -> tuple[Classes, str | None]:
    """The classes, or the folders in some order and why they are none."""
    try:
        return Classes.of(folders), None
    except UsageError as error:
        return Classes(tuple(folders), tuple(range(len(folders))), False), str(error)


def _sorted(folder: Path) -> tuple[list[str], list[str], list[str]]:
    """Images, other files and folders, each sorted by name."""
    images, others, folders = list[str](), list[str](), list[str]()
    with os.scandir(folder) as entries:
        for entry in entries:
            hidden, named = entry.name[0] == ".", entry.name.lower().endswith(EXTENSIONS)
            if not hidden and _is(entry.is_dir):
                folders.append(_one_line(entry))
            elif not hidden and named and _is(entry.is_file):
                images.append(_one_line(entry))
            elif not hidden or named:
                others.append(entry.name)
    return sorted(images), sorted(others), sorted(folders)


def _is(kind: Callable[[], bool]) -> bool:
    """Whether an entry is of a kind, which a link that leads round in circles is not."""
    try:
        return kind()
    except OSError:
        return False


def left_out_line(left_out: Tally) -> str:
    """What to say of what was left out."""
    return (
        f"{left_out.count} files or folders are left out ({left_out}): they are hidden, not where images are"
        f" expected, no regular files, or not named like one ({_EXTENSIONS})"
    )


def _one_line(entry: os.DirEntry[str]) -> str:
    """The entry's name, which lists have on a line of its own."""
    if "\n" in entry.name:
        raise UsageError(f"{entry.path!r} has a line break in its name, names must be one line; rename it")
    return entry.name


def load_image(path: Path | str, size: int, crop: Crop = "center", seed: int = 0, item: int = 0) -> Tensor:
    """Load an image (3, size, size), float32 in [0, 1], the way VAR prepares its data; see ``decode``."""
    return to_float(decode(path, size, crop, seed, item).pixels)


def to_float(pixels: Pixels) -> Tensor:
    """uint8 (S, S, 3) as float32 (3, S, S) in [0, 1]."""
    return torch.from_numpy(pixels).permute(2, 0, 1).to(torch.float32) / 255.0
