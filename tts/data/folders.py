"""Image folders: one sub-folder a class; the sorted folder names give the class numbers.

Axis letters: H W pixels.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tts.errors import RunError, UsageError
from tts.io import reason

Crop = Literal["center", "random"]

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_MARGIN = 1.125


class ImageError(RunError):
    """An image file cannot be read; the caller counts and names it."""


@dataclass(frozen=True)
class ImageFolder:
    """Images of a folder, class by class and sorted by name; ``labels[i]`` is the class of ``paths[i]``."""

    names: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: tuple[int, ...]


def list_images(root: Path | str, classes: int) -> ImageFolder:
    """List the images below ``root``, whose sub-folders must be as many as the backbone has classes."""
    folder = Path(root)
    if not folder.is_dir():
        raise UsageError(f"image folder {folder} does not exist; give a folder with one sub-folder a class")
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != ".")
    if len(names) != classes:
        raise UsageError(
            f"{folder} has {len(names)} class folders, the backbone has {classes} classes; "
            "give one sub-folder a class in the order of their names, an empty one for a class without images"
        )
    listed = [(path, label) for label, name in enumerate(names) for path in _images_in(folder / name)]
    if not listed:
        known = " ".join(sorted(EXTENSIONS))
        raise UsageError(f"{folder} has no images, its class folders must hold files named {known}")
    paths, labels = zip(*listed, strict=True)
    return ImageFolder(tuple(names), paths, labels)


def _images_in(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in EXTENSIONS and path.name[0] != "." and path.is_file()
    )


def load_image(path: Path | str, size: int, crop: Crop = "center", seed: int = 0, item: int = 0) -> Tensor:
    """Load an image (3, size, size), float32 in [0, 1], the way VAR prepares its data.

    The shorter side becomes round(1.125 size) pixels (Lanczos); then a square is cut out of the middle, or
    where (seed, item) says if ``crop`` is ``random``.
    """
    if crop not in ("center", "random"):
        raise UsageError(f"unknown crop {crop!r}; use center or random")
    image = _enlarged(_open_rgb(Path(path)), round(_MARGIN * size))
    spare_x, spare_y = image.width - size, image.height - size
    if crop == "center":
        left, top = round(spare_x / 2), round(spare_y / 2)
    else:
        left, top = _random_corner(seed, item, spare_x, spare_y)
    pixels = np.array(image.crop((left, top, left + size, top + size)))  # H W 3
    return torch.from_numpy(pixels).permute(2, 0, 1).to(torch.float32) / 255.0  # 3 H W


def _open_rgb(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            rgb: Image.Image = image.convert("RGB")
            return rgb
    except Exception as error:  # decoders raise errors of many kinds for broken files
        raise ImageError(f"cannot read image {path} ({reason(error)}); replace or remove it") from error


def _enlarged(image: Image.Image, shorter: int) -> Image.Image:
    """Resize so that the shorter side has the given length; the longer side is rounded down."""
    width, height = image.size
    if min(width, height) == shorter:
        return image
    longer = int(shorter * max(width, height) / min(width, height))
    new_size = (shorter, longer) if width <= height else (longer, shorter)
    return image.resize(new_size, Image.Resampling.LANCZOS)


def _random_corner(seed: int, item: int, spare_x: int, spare_y: int) -> tuple[int, int]:
    """Left and top of a crop, a pure function of (seed, item)."""
    digest = hashlib.sha256(f"{seed}:{item}".encode()).digest()
    left, top = int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big")
    return left % (spare_x + 1), top % (spare_y + 1)
