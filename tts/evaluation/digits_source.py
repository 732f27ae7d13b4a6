"""Real handwritten digits as a set of images: 16x16 pixels, eight bits.

Axis letters: N images, n of a portion, S pixels a side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from tts.data.digits import Part, load_digits_split
from tts.errors import UsageError
from tts.evaluation.digits import SIZE
from tts.evaluation.image_source import ImageSource
from tts.images import Pixels
from tts.io import to_uint8

PARTS: tuple[Part, ...] = ("heldout", "train", "all")


@dataclass(frozen=True, eq=False)
class DigitsSource(ImageSource):
    """One part of the scans, all of them at hand."""

    pixels: Pixels = field(kw_only=True)

    def portions(self, rows: range, size: int) -> Iterator[Pixels]:
        """Pixels (n, 16, 16, 3)."""
        for first in range(rows.start, rows.stop, size):
            yield self.pixels[first : min(first + size, rows.stop)]

    def sha256(self) -> str:
        """SHA-256 of the pixels."""
        return hashlib.sha256(self.pixels.tobytes()).hexdigest()


def open_digits(part: str) -> DigitsSource:
    """The part ``heldout``, ``train`` or ``all`` of the real digits, rounded to eight bits."""
    if part not in PARTS:
        raise UsageError(f"unknown part {part!r} of the digits; use {', '.join(PARTS)}")
    images, labels = load_digits_split(part, SIZE)
    pixels = to_uint8(images, "round")
    return DigitsSource(part, len(labels), SIZE, labels.numpy(), uint8_rule="round", pixels=pixels)
