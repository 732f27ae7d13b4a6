"""Which images a resample has: a function of the seed and of the resample's number alone.

Axis letters: N images, R resamples. The draws are counter-based (tts/noise.py), the same on all machines.
No resample holds an image twice: copies raise a Frechet distance and its spread, most with few images.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tts.noise import philox

_DOMAIN = 0x5EED0000  # apart from all draws of images and data, which have small numbers here
_ORDER, _HALVES, _GROUPS, _QUARTERS = 1, 2, 3, 4
_MASK = 0xFFFFFFFF


def order(images: int, number: int, seed: int) -> Tensor:
    """The images (N,) in a random order."""
    return _order(images, number, seed, _ORDER)


def halves(images: int, count: int, seed: int) -> Tensor:
    """Random halves, without the odd image: bool (R, N)."""
    chosen = torch.zeros(count, images, dtype=torch.bool)
    for number, row in enumerate(chosen):
        row[_order(images, number, seed, _HALVES)[: images // 2]] = True
    return chosen


def without_quarters(images: int, count: int, seed: int) -> Tensor:
    """All images but a random quarter: bool (R, N)."""
    kept = torch.ones(count, images, dtype=torch.bool)
    for number, row in enumerate(kept):
        row[_order(images, number, seed, _QUARTERS)[: images // 4]] = False
    return kept


def without_groups(images: int, most: int, seed: int) -> Tensor:
    """All images but one group of equally many, for at most ``most`` groups: bool (R, N).

    Images that fill no group are in all resamples.
    """
    size = -(-images // most)
    mixed = _order(images, 0, seed, _GROUPS)
    kept = torch.ones(images // size, images, dtype=torch.bool)
    for number, row in enumerate(kept):
        row[mixed[number * size : (number + 1) * size]] = False
    return kept


def _order(images: int, number: int, seed: int, purpose: int) -> Tensor:
    return _words(images, number, seed, purpose).argsort(stable=True)


def _words(count: int, number: int, seed: int, purpose: int) -> Tensor:
    """Random 32-bit words (count,) of a resample."""
    block = torch.arange(-(-count // 4))  # N/4
    zero = torch.zeros_like(block)
    counter = (block, zero + number, zero + purpose, zero + _DOMAIN)
    key = (torch.tensor(seed & _MASK), torch.tensor((seed >> 32) & _MASK))
    return torch.stack(philox(counter, key), dim=-1).flatten()[:count]
