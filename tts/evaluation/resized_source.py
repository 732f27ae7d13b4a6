"""A set of images that are made another size as they are read.

Axis letters: n images of a portion, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace

import numpy as np

from tts.evaluation.image_source import ImageSource
from tts.evaluation.resizing import Resize
from tts.images import Pixels


@dataclass(frozen=True, eq=False)
class ResizedSource(ImageSource):
    """The images of ``inner``, resized."""

    inner: ImageSource = field(kw_only=True)
    resize: Resize = field(kw_only=True)

    def portions(self, rows: range, size: int) -> Iterator[Pixels]:
        """Pixels (n, S, S, 3)."""
        for pixels in self.inner.portions(rows, size):
            yield np.stack([self.resize.apply(image) for image in pixels])

    def label_doubts(self, known: tuple[str, str] | None) -> Iterator[str]:
        """Those of the images as they were."""
        return self.inner.label_doubts(known)

    def sha256(self) -> str:
        """A hash by which the images are known as they were."""
        return self.inner.sha256()


def resized(source: ImageSource, resize: Resize | None) -> ImageSource:
    """A set with images of the size that is asked for."""
    if resize is None or source.size == resize.size:
        return source
    same = {part.name: getattr(source, part.name) for part in fields(ImageSource)}
    found = ResizedSource(**same, inner=source, resize=resize)
    smaller = (f"images of {source.size}x{source.size} are enlarged to {resize.size}, which figures show",)
    doubts = (*source.doubts, *(smaller if 0 < source.size < resize.size else ()))
    return replace(found, size=resize.size, doubts=doubts)
