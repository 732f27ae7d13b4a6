"""Features of images, by which sets of images are compared, and what makes them.

Axis letters: N images, S pixels a side, D pooled features, E spatial features, C classes of the extractor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from tts.errors import ShapeError, UsageError
from tts.owners import titled


@dataclass(frozen=True)
class Features:
    """Features of N images, float32, on the CPU, in the order of the images.

    ``pool`` (N, D) serve FID, precision and recall, ``spatial`` (N, E) sFID, ``logits`` (N, C) the Inception
    Score by their softmax; a metric whose features are ``None`` is left out. ``labels`` (N,), int64, are the
    classes that the images were made for, where they are known.
    """

    pool: Tensor
    spatial: Tensor | None = None
    logits: Tensor | None = None
    labels: Tensor | None = None

    def __len__(self) -> int:
        """Number of images N."""
        return len(self.pool)

    def rows(self, index: Tensor | slice) -> Features:
        """The features of some images, by an index (n,) or a slice."""
        others = (None if part is None else part[index] for part in self._others())
        return Features(self.pool[index], *others)

    @staticmethod
    def cat(batches: Sequence[Features]) -> Features:
        """The features of batches, one after another; a part that one of them lacks is left out."""
        if not batches:
            raise UsageError("no features to compare; give at least two images")
        columns = zip(*(batch._others() for batch in batches), strict=True)
        return Features(torch.cat([batch.pool for batch in batches]), *map(_cat, columns))

    def _others(self) -> tuple[Tensor | None, ...]:
        return (self.spatial, self.logits, self.labels)


def _cat(column: Sequence[Tensor | None]) -> Tensor | None:
    parts = [part for part in column if part is not None]
    return torch.cat(parts) if len(parts) == len(column) else None


class FeatureExtractor(Protocol):
    """Makes features of images.

    ``title`` names the Frechet distance of its features in tables: ``FID`` for Inception's only.
    ``image_size`` is the only side S that it takes, or ``None`` for any. Where ``knows_labels``, class c of
    the logits is label c of the images, so that an accuracy can be given. An extractor whose classes have
    names may have ``class_names``, those of the first and the last class.
    """

    name: str
    title: str
    dimensions: int
    image_size: int | None
    knows_labels: bool

    def extract(self, images: Tensor) -> Features:
        """Features of uint8 images (N, 3, S, S), on any device; they do not depend on the batch.

        Images of another type are refused (``check_images``), or taken as [0, 1] if they are floats.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Its identity for records: name, and a hash of its weights."""
        ...


TO_BYTES = "turn images in [0, 1] into bytes with (255 * images).round().to(torch.uint8)"


def check_images(images: Tensor) -> None:
    """Refuse images that are not uint8 (N, 3, S, S): of floats nobody knows whether white is 1 or 255."""
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        kind = str(images.dtype).removeprefix("torch.")
        way = "" if images.dtype == torch.uint8 else f"; {TO_BYTES}"
        raise ShapeError(f"images are {kind} {tuple(images.shape)}, features take uint8 (N, 3, S, S){way}")


def check_features(found: Features, extractor: FeatureExtractor, images: int) -> None:
    """Refuse features of the wrong shape, and features that are not finite numbers."""
    if tuple(found.pool.shape) != (images, extractor.dimensions):
        raise ShapeError(
            f"features of {titled(extractor)} must have shape {(images, extractor.dimensions)},"
            f" got {tuple(found.pool.shape)}"
        )
    for part in (found.pool, found.spatial, found.logits):
        if part is not None and not bool(part.isfinite().all()):
            raise UsageError(
                f"{titled(extractor)} gave features that are not finite; check its weights and the images"
            )
