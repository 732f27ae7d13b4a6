"""Handwritten digits: scikit-learn's 1 797 scans, a fixed split, and mild augmentation.

Axis letters: N or B images, H W pixels. Ink is white on black; the three channels are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tts.errors import UsageError
from tts.noise import philox, to_uniform

Part = Literal["train", "heldout", "all"]

CLASSES = 10
_RAW_SIDE = 8
_HELD_OUT_EVERY = 5

# Largest augmentation: half-angle tangent of 5 degrees, then fractions of the side of an image.
_HALF_ANGLE = 0.0436609
_SHIFT, _SCALE, _SHEAR, _ELASTIC = 0.04, 0.05, 0.05, 0.02
_KNOTS = 4
_AFFINE_DRAWS = 5
_DRAWS = _AFFINE_DRAWS + 2 * _KNOTS * _KNOTS
_DOMAIN = 0xD161_0001  # fourth counter word: augmentation never shares draws with sampling


def load_digits_split(part: Part, size: int = 16) -> tuple[Tensor, Tensor]:
    """Images (N, 3, size, size), float32 in [0, 1], and labels (N,), int64, of one part.

    Within each class every fifth scan, from the first, is held out: 364 scans, 1 433 remain for training.
    ``size`` 8 gives the scans as they are.
    """
    scans, labels = _raw(part)
    return _resize(scans, size).expand(-1, 3, -1, -1).contiguous(), labels


def augment(images: Tensor, generator: torch.Generator, size: int | None = None) -> Tensor:
    """Distort images (N, C, H, W) at random; returns (N, C, size, size) in [0, 1], by default of size H.

    Distorting the 8x8 scans with ``size=16`` interpolates once only, so it blurs less than ``size=None`` on
    enlarged scans.
    """
    uniforms = torch.rand(len(images), _DRAWS, generator=generator)
    return _warp(images, uniforms, size or images.shape[-1])


def augmented(labels: Tensor, seeds: Tensor, size: int = 16) -> Tensor:
    """One augmented training image (3, size, size) for each label (B,) and seed (B,): (B, 3, size, size).

    An image depends on its own label and seed only, not on the rest of the batch.
    """
    strangers = labels[(labels < 0) | (labels >= CLASSES)]
    if len(strangers):
        raise UsageError(f"label {int(strangers[0])} is not a digit; use labels 0 to {CLASSES - 1}")
    pool, label = _training_pool(), labels.to(torch.int64)
    words = _words(label, seeds.to(torch.int64), 1 + _DRAWS)  # B 1+D
    pick = (words[:, 0] * pool.counts[label]) >> 32
    scans = pool.scans[pool.order[pool.starts[label] + pick]]  # B 1 8 8
    return _warp(scans, to_uniform(words[:, 1:]), size).expand(-1, 3, -1, -1).contiguous()


@dataclass(frozen=True)
class _Pool:
    """Training scans (N, 1, 8, 8); class c owns ``order[starts[c] : starts[c] + counts[c]]``."""

    scans: Tensor
    order: Tensor
    starts: Tensor
    counts: Tensor


@lru_cache(maxsize=1)
def _training_pool() -> _Pool:
    scans, labels = _raw("train")
    counts = labels.bincount(minlength=CLASSES)
    return _Pool(scans, labels.argsort(stable=True), counts.cumsum(0) - counts, counts)


def _raw(part: Part) -> tuple[Tensor, Tensor]:
    """Scans (N, 1, 8, 8) in [0, 1] and labels (N,) of one part, in the data set's order."""
    if part not in ("train", "heldout", "all"):
        raise UsageError(f"unknown part {part!r} of the digits; use train, heldout or all")
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UsageError(
            "the digits need scikit-learn, which is not installed; run pip install 'scalewise-tts[demo]'"
        ) from error
    bunch = load_digits()
    scans = torch.tensor(bunch.images, dtype=torch.float32)[:, None] / 16.0  # N 1 8 8
    labels = torch.tensor(bunch.target, dtype=torch.int64)
    keep = torch.ones(len(labels), dtype=torch.bool)
    if part != "all":
        for digit in range(CLASSES):
            members = (labels == digit).nonzero()[:, 0]
            held_out = torch.arange(len(members)) % _HELD_OUT_EVERY == 0
            keep[members] = held_out if part == "heldout" else ~held_out
    return scans[keep], labels[keep]


def _resize(scans: Tensor, size: int) -> Tensor:
    if size == _RAW_SIDE:
        return scans
    return F.interpolate(scans, size=(size, size), mode="bicubic", align_corners=False).clamp(0.0, 1.0)


def _words(labels: Tensor, seeds: Tensor, draws: int) -> Tensor:
    """Random 32-bit words (B, draws), a pure function of label (B,), seed (B,) and position."""
    block = torch.arange(-(-draws // 4))[None]  # 1 D/4
    label, seed, zero = labels[:, None], seeds[:, None], torch.zeros_like(block)
    counter = (block, label, zero, zero + _DOMAIN)
    key = (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)
    words = torch.stack(philox(counter, key), dim=-1)  # B D/4 4
    return words.flatten(1)[:, :draws]


def _warp(images: Tensor, uniforms: Tensor, size: int) -> Tensor:
    """Sample images (N, C, H, W) at displaced points, edges repeated: (N, C, size, size).

    Undisplaced points (``uniforms`` all one half) give the plain bicubic resize. Only element-wise arithmetic
    leads to the points, so an image's result does not depend on the batch.
    """
    points = _points(uniforms * 2.0 - 1.0, size)  # N size size 2
    ink = F.grid_sample(images, points, mode="bicubic", padding_mode="border", align_corners=False)
    return ink.clamp(0.0, 1.0)


def _points(signed: Tensor, size: int) -> Tensor:
    """Points (N, size, size, 2) of the source, sides at -1 and 1, from draws (N, D) in [-1, 1]."""
    centres = (torch.arange(size) * 2 + 1) / size - 1
    x, y = centres[None, None, :], centres[None, :, None]
    tangent, scale, shear, shift_x, shift_y = (
        signed[:, i, None, None] * limit
        for i, limit in enumerate((_HALF_ANGLE, _SCALE, _SHEAR, 2 * _SHIFT, 2 * _SHIFT))
    )
    norm = 1 + tangent * tangent
    cosine, sine = (1 - tangent * tangent) / norm, 2 * tangent / norm
    knots = signed[:, _AFFINE_DRAWS:].reshape(-1, 2, _KNOTS, _KNOTS) * (2 * _ELASTIC)
    elastic = F.interpolate(knots, size=(size, size), mode="bicubic", align_corners=False)  # N 2 size size
    sheared, zoom = x + shear * y, 1 + scale
    look_x = (cosine * sheared - sine * y) * zoom + shift_x + elastic[:, 0]
    look_y = (sine * sheared + cosine * y) * zoom + shift_y + elastic[:, 1]
    return torch.stack((look_x, look_y), dim=-1)
