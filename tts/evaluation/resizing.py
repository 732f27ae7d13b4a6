"""Images of other sizes made S x S, by a rule that has a name.

Axis letters: H W and S pixels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from tts.errors import UsageError
from tts.images import Pixels

FILTERS = {
    "adm": Image.Resampling.BICUBIC,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}
WORDS = {
    "adm": "halved by a box filter while the shorter side is twice SIZE or more, then bicubic, center crop",
    "bicubic": "shorter side to SIZE by Pillow's bicubic filter, center crop",
    "lanczos": "shorter side to SIZE by Pillow's Lanczos filter, center crop",
    "box": "shorter side to SIZE by Pillow's box filter, center crop",
}
"""What each rule does; Pillow's filters widen with the scale, so that nothing aliases."""

LARGEST = 4096
_LARGEST_AREA = 1 << 27


@dataclass(frozen=True)
class Resize:
    """Images become ``size`` x ``size`` by a rule of ``WORDS``; those that are so already stay as they are.

    ``adm`` is how the ADM evaluation's ImageNet references were made (guided-diffusion, center_crop_arr).
    """

    size: int
    rule: str = "adm"

    @classmethod
    def parse(cls, text: str) -> Resize:
        """``SIZE`` or ``SIZE:RULE``."""
        found = re.fullmatch(r"([0-9]{1,9})(?::([a-z]+))?", text)
        if not found or not 1 <= int(found[1]) <= LARGEST or (found[2] or "adm") not in WORDS:
            raise UsageError(
                f"resize {text[:40]!r} must be SIZE or SIZE:RULE, with a size up to {LARGEST} and a rule of"
                f" {', '.join(WORDS)}; for example 256 or 256:lanczos"
            )
        return cls(int(found[1]), found[2] or "adm")

    def describe(self) -> dict[str, Any]:
        """For records."""
        return {"size": self.size, "rule": self.rule, "does": WORDS[self.rule]}

    def remarks(self, shape: tuple[int, ...]) -> tuple[str, ...]:
        """Kinds of what is to be said of an image (H, W, 3)."""
        return ("enlarged",) if min(shape[:2]) < self.size else ()

    def apply(self, pixels: Pixels) -> Pixels:
        """An image (H, W, 3) as (S, S, 3)."""
        if pixels.shape[:2] == (self.size, self.size):
            return pixels
        image = Image.fromarray(pixels)
        if self.rule == "adm":
            while min(image.size) >= 2 * self.size:
                image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
        scale = self.size / min(image.size)
        sides = (round(image.width * scale), round(image.height * scale))
        if max(sides) * self.size > _LARGEST_AREA:
            raise ValueError(f"{image.width} by {image.height} pixels are too long for their width")
        array = np.asarray(image.resize(sides, FILTERS[self.rule]))
        top, left = ((side - self.size) // 2 for side in array.shape[:2])
        return np.ascontiguousarray(array[top : top + self.size, left : left + self.size])
