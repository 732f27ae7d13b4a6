"""Which images a resample has: a function of the seed and of the resample's number alone.

Axis letters: N images, R resamples. The draws are counter-based (tts/noise.py), the same on all machines.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tts.noise import philox

_DOMAIN = 0x5EED0000  # apart from all draws of images and data, which have small numbers here
_WITH, _WITHOUT = 0, 1
_MASK = 0xFFFFFFFF


def weights(images: int, number: int, seed: int) -> Tensor:
    """How often each image (N,), int64, is drawn when N are drawn with replacement: resample ``number``."""
    drawn = (_words(images, number, seed, _WITH) * images) >> 32
    return drawn.bincount(minlength=images)


def all_weights(images: int, count: int, seed: int) -> Tensor:
    """The weights (R, N), int16, of resamples 0 to ``count`` - 1."""
    return torch.stack([weights(images, number, seed).to(torch.int16) for number in range(count)])


def order(images: int, number: int, seed: int) -> Tensor:
    """The images (N,) in a random order."""
    return _words(images, number, seed, _WITHOUT).argsort(stable=True)


def half_of(images: int, number: int, seed: int) -> Tensor:
    """A random half of the images, drawn without replacement: bool (N,)."""
    chosen = torch.zeros(images, dtype=torch.bool)
    chosen[order(images, number, seed)[: images // 2]] = True
    return chosen


def _words(count: int, number: int, seed: int, purpose: int) -> Tensor:
    """Random 32-bit words (count,) of a resample."""
    block = torch.arange(-(-count // 4))  # N/4
    zero = torch.zeros_like(block)
    counter = (block, zero + number, zero + purpose, zero + _DOMAIN)
    key = (torch.tensor(seed & _MASK), torch.tensor((seed >> 32) & _MASK))
    return torch.stack(philox(counter, key), dim=-1).flatten()[:count]
