"""Image folders: one sub-folder a class; the sorted folder names give the class numbers.

Axis letters: H W pixels.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tts.data.decode import Crop, decode
from tts.data.listing import ImageFolder
from tts.errors import UsageError, reason
from tts.images import Pixels

__all__ = [
    "EXTENSIONS",
    "Crop",
    "ImageFolder",
    "class_folders",
    "images_in",
    "list_images",
    "load_image",
]

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
_THREADS = 8


def list_images(root: Path | str, classes: int) -> ImageFolder:
    """List the images below ``root``, whose sub-folders must be as many as the backbone has classes."""
    folder = Path(root)
    if not folder.is_dir():
        raise UsageError(f"image folder {folder} does not exist; give a folder with one sub-folder a class")
    try:
        names = class_folders(folder)
        if len(names) != classes:
            raise UsageError(
                f"{folder} has {len(names)} class folders, the backbone has {classes} classes; give one "
                "sub-folder a class in the order of their names, an empty one for a class without images"
            )
        with ThreadPoolExecutor(_THREADS) as threads:  # for file systems that are slow to answer
            listed = list(threads.map(lambda name: images_in(folder, name), names))
    except OSError as error:
        raise UsageError(
            f"cannot list image folder {error.filename or folder} ({reason(error)}); check the rights there"
        ) from error
    files = tuple(file for one in listed for file in one)
    if not files:
        raise UsageError(
            f"{folder} has no images, its class folders must hold files named {' '.join(EXTENSIONS)}"
        )
    labels = np.repeat(np.arange(classes, dtype=np.int32), [len(one) for one in listed])
    return ImageFolder(folder, tuple(names), files, labels)


def class_folders(folder: Path) -> list[str]:
    """Names of the sub-folders, sorted; hidden ones do not count."""
    with os.scandir(folder) as entries:
        return sorted(_one_line(entry) for entry in entries if entry.name[0] != "." and entry.is_dir())


def images_in(folder: Path, name: str) -> list[str]:
    """The images of a class as 'class/file', sorted."""
    with os.scandir(folder / name) as entries:
        return [
            f"{name}/{file}" for file in sorted(_one_line(entry) for entry in entries if _is_image(entry))
        ]


def _is_image(entry: os.DirEntry[str]) -> bool:
    return entry.name[0] != "." and entry.name.lower().endswith(EXTENSIONS) and entry.is_file()


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
