"""How image files become the pixels that are judged: as they are stored, upright, or resized."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tts.evaluation.resizing import Resize
from tts.images import ImageError, Picture, read_picture


@dataclass(frozen=True)
class Reading:
    """``upright`` applies EXIF orientations, which published evaluations do not; ``resize`` changes sizes."""

    upright: bool = False
    resize: Resize | None = None

    def read(self, path: Path) -> Picture:
        """An image file's pixels (H, W, 3) with remarks."""
        picture = read_picture(path, self.upright)
        if self.resize is None:
            return picture
        try:
            pixels = self.resize.apply(picture.pixels)
        except ValueError as error:
            raise ImageError(f"{path} cannot be resized ({error}); crop or remove it") from error
        return Picture(pixels, (*picture.remarks, *self.resize.remarks(picture.pixels.shape)))


AS_STORED = Reading()
