"""Figures at infinitely many images (Chong and Forsyth 2020): FID and Inception Score without their bias.

Axis letters: N images, D features, C classes of the extractor, k parts.

Both figures have a bias that falls with 1/N, so that sets of different sizes cannot be compared, and two
generators can stand in the wrong order. A line through the figures of several sizes, over 1/N, meets the axis
at the unbiased figure. The sizes here are N, N/2, ... N/k: all images are dealt at random into k parts, and
the figures of the parts are averaged. So every point of the line is made of all images, and what the images
have in common falls out of its slope.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from tts.errors import UsageError
from tts.evaluation.frechet import FrechetStatistics, frechet_parts
from tts.evaluation.inception_score import inception_score
from tts.evaluation.resampling import order

PARTS = 5
_VECTORS = 4  # images a feature that a part should have: with fewer, the bias is not in proportion to 1/N


def fid_infinity(samples: Tensor, reference: FrechetStatistics, seed: int = 0) -> float:
    """The FID of samples (N, D) at infinitely many samples; noise can bring it below zero.

    The reference stays as it is: where it has few images, the bias that it brings remains. Parts have at
    least 4 D images, if there are as many, else there are two of them.
    """

    def measure(chosen: Tensor) -> float:
        parts = frechet_parts(reference, FrechetStatistics.of(samples[chosen]))
        return parts.mean_diff2 + parts.trace_a + parts.trace_b - parts.two_trace_sqrt

    return at_infinity(measure, len(samples), _VECTORS * samples.shape[1], seed)


def inception_score_infinity(logits: Tensor, seed: int = 0) -> float:
    """The Inception Score of logits (N, C) at infinitely many samples; parts have at least 4 C images."""
    least = _VECTORS * logits.shape[1]
    return at_infinity(lambda chosen: inception_score(logits[chosen]), len(logits), least, seed)


def at_infinity(measure: Callable[[Tensor], float], images: int, least: int, seed: int) -> float:
    """Where the line through a figure over 1/N meets 1/N = 0.

    ``measure`` gives the figure of the images with the numbers (n,); parts have ``least`` images or more.
    """
    if images < 4:
        raise UsageError(f"an extrapolation needs at least 4 images, got {images}; generate more")
    mixed = order(images, 0, seed)
    inverses, values = [], []
    for parts in range(1, min(PARTS, max(2, images // max(1, least))) + 1):
        chosen = mixed.tensor_split(parts)
        inverses.append(np.mean([1 / len(part) for part in chosen]))
        values.append(np.mean([measure(part) for part in chosen]))
    return float(np.polynomial.Polynomial.fit(inverses, values, 1)(0.0))
