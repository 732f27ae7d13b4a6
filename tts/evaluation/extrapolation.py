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

import torch
from torch import Tensor

from tts.errors import UsageError
from tts.evaluation.frechet import FrechetStatistics, frechet_parts
from tts.evaluation.frechet_spread import resampled_parts
from tts.evaluation.inception_score import inception_score, resampled_scores
from tts.evaluation.resampling import order

PARTS = 5
FEWEST = 20
"""Images that a part should have, so that no resample leaves it without two."""

_VECTORS = 4  # images a feature that a part should have: with fewer, the bias is not in proportion to 1/N


def fid_infinity(samples: Tensor, reference: FrechetStatistics, seed: int = 0) -> float:
    """The FID of samples (N, D) at infinitely many samples; noise can bring it below zero.

    The reference stays as it is: where it has few images, the bias that it brings remains. Parts have at
    least 4 D images, if there are as many, else there are two of them.
    """

    def measure(chosen: Tensor) -> Tensor:
        parts = frechet_parts(reference, FrechetStatistics.of(samples[chosen]))
        return torch.tensor(parts.signed, dtype=torch.float64)

    return float(at_infinity(measure, len(samples), _least(samples), seed))


def resampled_fid_infinity(
    samples: Tensor, reference: FrechetStatistics, weights: Tensor, seed: int = 0
) -> Tensor:
    """The same (R,) with images repeated as ``weights`` (R, N) say; copies of an image share its part."""

    def measure(chosen: Tensor) -> Tensor:
        parts = resampled_parts(samples[chosen], reference, weights[:, chosen])
        return torch.tensor([part.signed for part in parts], dtype=torch.float64)

    return at_infinity(measure, len(samples), _least(samples), seed)


def inception_score_infinity(logits: Tensor, seed: int = 0) -> float:
    """The Inception Score of logits (N, C) at infinitely many samples; parts have at least 4 C images."""

    def measure(chosen: Tensor) -> Tensor:
        return torch.tensor(inception_score(logits[chosen]), dtype=torch.float64)

    return float(at_infinity(measure, len(logits), _least(logits), seed))


def resampled_score_infinity(logits: Tensor, weights: Tensor, seed: int = 0) -> Tensor:
    """The same (R,) with images repeated as ``weights`` (R, N) say; copies of an image share its part."""

    def measure(chosen: Tensor) -> Tensor:
        return resampled_scores(logits[chosen], weights[:, chosen], len(chosen))

    return at_infinity(measure, len(logits), _least(logits), seed)


def at_infinity(measure: Callable[[Tensor], Tensor], images: int, least: int, seed: int) -> Tensor:
    """Where the line of least squares through a figure (...) over 1/N meets 1/N = 0.

    ``measure`` gives the figure, float64, of the images with the numbers (n,); parts have ``least`` images or
    more, if there are as many, else there are two of them.
    """
    if images < 4:
        raise UsageError(f"an extrapolation needs at least 4 images, got {images}; generate more")
    mixed = order(images, 0, seed)
    inverses, values = [], []
    for parts in range(1, min(PARTS, max(2, images // max(1, least))) + 1):
        chosen = mixed.tensor_split(parts)
        inverses.append(sum(1 / len(part) for part in chosen) / parts)
        values.append(torch.stack([measure(part) for part in chosen]).mean(dim=0))
    sizes, figures = torch.tensor(inverses, dtype=torch.float64), torch.stack(values)  # k, k ...
    centred = sizes - sizes.mean()
    slope = torch.tensordot(centred, figures, dims=1) / centred.square().sum()
    return figures.mean(dim=0) - slope * sizes.mean()


def fewest_for_interval(values: Tensor) -> int:
    """Images of values (N, D) from which on the figure at infinity has no bias: two parts of the least size.

    An interval of fewer images is about the extrapolation, not about the figure that it is taken for.
    """
    return 2 * _least(values)


def _least(values: Tensor) -> int:
    """Images of values (N, D) that a part should have."""
    return max(FEWEST, _VECTORS * values.shape[1])
