"""From an image file to pixels; nothing here imports torch, because worker processes import this.

Axis letters: H W pixels.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from tts.errors import UsageError
from tts.images import ImageError, Picture, read_picture

Crop = Literal["center", "random"]

_MARGIN = 1.125
_LARGEST = 1 << 27


def decode(
    path: Path | str,
    size: int,
    crop: Crop = "center",
    seed: int = 0,
    item: int = 0,
    upright: bool = False,
) -> Picture:
    """Load an image (size, size, 3), uint8, the way VAR prepares its data; ``ImageError`` if there is none.

    The shorter side becomes round(1.125 size) pixels (Lanczos); then a square is cut out of the middle, or
    where (seed, item) says if ``crop`` is ``random``. ``upright`` applies an EXIF orientation first.
    """
    check_crop(crop)
    picture = read_picture(path, upright)
    image = Image.fromarray(picture.pixels)
    try:
        image = _enlarged(image, round(_MARGIN * size))
    except ValueError as error:
        raise ImageError(f"{path} is no readable image ({error}); replace or remove it") from error
    spare_x, spare_y = image.width - size, image.height - size
    if crop == "center":
        left, top = round(spare_x / 2), round(spare_y / 2)
    else:
        left, top = _random_corner(seed, item, spare_x, spare_y)
    return replace(picture, pixels=np.array(image.crop((left, top, left + size, top + size))))  # H W 3


def check_crop(crop: str) -> None:
    """Refuse a way of cropping that there is not."""
    if crop not in ("center", "random"):
        raise UsageError(f"unknown crop {crop!r}; use center or random")


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
