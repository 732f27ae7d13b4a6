"""From an image file to pixels; nothing here imports torch, because worker processes import this.

Axis letters: H W pixels.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tts.errors import RunError, UsageError, reason

Crop = Literal["center", "random"]
Pixels = NDArray[np.uint8]

_MARGIN = 1.125
_LARGEST = 1 << 27


class ImageError(RunError):
    """An image file cannot be read; the caller counts and names it."""


def decode(path: Path | str, size: int, crop: Crop = "center", seed: int = 0, item: int = 0) -> Pixels:
    """Load an image (size, size, 3), uint8, the way VAR prepares its data.

    The shorter side becomes round(1.125 size) pixels (Lanczos); then a square is cut out of the middle, or
    where (seed, item) says if ``crop`` is ``random``.
    """
    check_crop(crop)
    try:
        image = _enlarged(_open_rgb(path), round(_MARGIN * size))
        spare_x, spare_y = image.width - size, image.height - size
        if crop == "center":
            left, top = round(spare_x / 2), round(spare_y / 2)
        else:
            left, top = _random_corner(seed, item, spare_x, spare_y)
        return np.array(image.crop((left, top, left + size, top + size)))  # H W 3
    except Exception as error:  # decoders raise errors of many kinds for broken files
        raise ImageError(f"cannot read image {path} ({reason(error)}); replace or remove it") from error


def check_crop(crop: str) -> None:
    """Refuse a way of cropping that there is not."""
    if crop not in ("center", "random"):
        raise UsageError(f"unknown crop {crop!r}; use center or random")


def _open_rgb(path: Path | str) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large images and odd metadata: the pixels count
        with Image.open(path) as image:
            return image.convert("RGB")


def _enlarged(image: Image.Image, shorter: int) -> Image.Image:
    """Resize so that the shorter side has the given length; the longer side is rounded down."""
    width, height = image.size
    if min(width, height) == shorter:
        return image
    longer = int(shorter * max(width, height) / min(width, height))
    if shorter * longer > _LARGEST:
        raise ValueError(f"{width} by {height} pixels are too long for their width")
    new_size = (shorter, longer) if width <= height else (longer, shorter)
    return image.resize(new_size, Image.Resampling.LANCZOS)


def _random_corner(seed: int, item: int, spare_x: int, spare_y: int) -> tuple[int, int]:
    """Left and top of a crop, a pure function of (seed, item)."""
    digest = hashlib.sha256(f"{seed}:{item}".encode()).digest()
    left, top = int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big")
    return left % (spare_x + 1), top % (spare_y + 1)
