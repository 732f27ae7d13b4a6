"""From images to the pixels that an image tower wants, with torch alone.

Axis letters: B images, S pixels a side, R pixels a side as the model wants them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Mean and deviation of the colours that CLIP was published with."""

FILTERS = {2: "bilinear", 3: "bicubic"}
"""Interpolation by the number that processors write for it; bicubic stands for all others."""


@dataclass(frozen=True)
class Preprocessing:
    """Resize to ``resized`` pixels a side, crop the middle of ``size``, normalise.

    The filter is antialiased, as PIL's is. Colours are not rounded to 8 bits in between.
    """

    size: int
    resized: int
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    mode: str = "bicubic"

    def __call__(self, images: Tensor) -> Tensor:
        """Pixels (B, 3, R, R), float32, normalised, of images (B, 3, S, S) in [0, 1]."""
        images = images.float()
        if images.shape[-1] != self.resized:
            side = (self.resized, self.resized)
            images = F.interpolate(images, size=side, mode=self.mode, align_corners=False, antialias=True)
            images = images.clamp(0, 1)  # bicubic overshoots
        first = (self.resized - self.size) // 2
        cropped = images[:, :, first : first + self.size, first : first + self.size]  # B 3 R R
        mean, std = (cropped.new_tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        return (cropped - mean) / std


def preprocessing(config: Mapping[str, Any] | None, image_size: int | None) -> Preprocessing:
    """What a ``preprocessor_config.json`` asks for; without one, CLIP's colours at the model's image size.

    Raises ``ValueError`` where neither names a size.
    """
    config = config or {}
    resized = side(config.get("size")) or side(config.get("crop_size")) or image_size
    if not resized:
        raise ValueError("neither its preprocessor nor its configuration names an image size")
    cropped = side(config.get("crop_size")) if config.get("do_center_crop") else None
    mean, std = config.get("image_mean") or CLIP_MEAN, config.get("image_std") or CLIP_STD
    if not config.get("do_normalize", True):
        mean, std = (0.0,) * 3, (1.0,) * 3
    size = cropped or resized
    mode = FILTERS.get(config.get("resample", 3), "bicubic")
    return Preprocessing(size, max(size, resized), tuple(mean), tuple(std), mode)


def side(size: Any) -> int | None:
    """The side of a size as processors write it: a number, or a mapping with one of several keys."""
    if isinstance(size, Mapping):
        size = next((size[key] for key in ("height", "shortest_edge") if size.get(key)), None)
    return int(size) if size else None
