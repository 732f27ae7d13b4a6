"""What every set of images to be judged offers, whatever it is stored in.

Axis letters: N images of the set, n of a portion, S pixels a side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from tts.errors import CheckpointError
from tts.evaluation.features import FeatureExtractor
from tts.images import Pixels, Tally, remark_lines

Numbers: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ImageSource(ABC):
    """N images of S x S pixels, which are read portion by portion, in the order in which they are stored.

    ``labels`` (N,) are the classes that they were made for, where known. ``order`` (N,) are the numbers of
    the images in the order in which figures take them; ``None`` leaves them as they are stored.
    ``uint8_rule`` and ``family`` say how their pixels were rounded, and by which kind of backbone;
    ``images_per_second`` is the recorded speed. ``label_fault`` says why there are no labels where one would
    expect some. ``doubts`` are warnings, ``notes`` are what else to say; ``remarked`` counts the images that
    there is something to say of, by kind of remark, as they are read.
    """

    name: str
    count: int
    size: int
    labels: Numbers | None = None
    order: Numbers | None = None
    uint8_rule: str | None = None
    family: str | None = None
    images_per_second: float | None = None
    backbone: str | None = None
    label_fault: str | None = None
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    remarked: dict[str, Tally] = field(default_factory=dict)

    @abstractmethod
    def portions(self, rows: range, size: int) -> Iterator[Pixels]:
        """Pixels (n, S, S, 3) of consecutive stored images, at most ``size`` at a time."""

    @abstractmethod
    def sha256(self) -> str:
        """A hash by which the set is known: of its file, its plan or its list of files."""

    def batches(self, rows: range, size: int) -> Iterator[Tensor]:
        """The same as uint8 tensors (n, 3, S, S)."""
        for pixels in self.portions(rows, size):
            yield rearrange(torch.from_numpy(pixels), "n h w c -> n c h w").contiguous()

    def remark(self, name: str, kinds: Iterable[str]) -> None:
        """Count what is to be said of an image."""
        for kind in kinds:
            self.remarked.setdefault(kind, Tally()).add(name)

    def label_doubts(self, known: tuple[str, str] | None) -> Iterator[str]:
        """What makes the labels doubtful, given the names of the first and the last class."""
        return iter(())

    def set_doubts(self, extractor: FeatureExtractor) -> Iterator[str]:
        """What is doubtful of the set before its images are read."""
        yield from self.doubts
        if self.label_fault is not None:
            yield f"{self.label_fault}; figures that need labels are left out"
        yield from self.label_doubts(getattr(extractor, "class_names", None))

    def image_doubts(self) -> list[str]:
        """What is to be said of the images that were read."""
        return remark_lines(self.remarked, self.count)

    def ordered_labels(self) -> Numbers | None:
        """Labels (N,) in the order in which figures take the images."""
        if self.labels is None or self.order is None:
            return self.labels
        return self.labels[self.order]


def check_square(what: object, shape: tuple[int, ...], size: int | None = None) -> int:
    """The side S of images (..., S, S, 3), which must be ``size`` if that is given."""
    height, width = shape[-3:-1]
    if size is not None and (height, width) != (size, size):
        raise CheckpointError(
            f"{what} has {height}x{width} pixels, the first image {size}x{size}; all must be of one size,"
            " which --resize makes"
        )
    if height != width or not height:
        raise CheckpointError(
            f"{what} has {height}x{width} pixels, images must be square; crop them or pass --resize"
        )
    return height
