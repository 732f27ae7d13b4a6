"""The Frechet distance of resamples, as weights on the images: features are neither copied nor read anew.

Axis letters: N images, D features, R resamples, Q rank of the reference.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tts.evaluation.frechet import BLOCK, FrechetParts, FrechetStatistics, covariance_factor


def resampled_parts(features: Tensor, reference: FrechetStatistics, weights: Tensor) -> list[FrechetParts]:
    """Parts (R) of the distance from a reference to features (N, D) repeated as ``weights`` (R, N) say.

    The weights of a resample may add up to any number of images from two on; its covariance has that number
    less one for its divisor.

    The reference is fixed, so that its root F (Q, D) is taken once, and the features once in its coordinates.
    A resample then costs N Q^2 for its covariance F S F^T there, whose roots of eigenvalues sum to
    tr (S_a S_b)^1/2, and Q^3 for the eigenvalues; with fewer images than Q, N takes the place of Q.
    """
    totals = weights.sum(dim=1, dtype=torch.float64)  # R
    factor = covariance_factor(reference.covariance, reference.rank)  # Q D
    centre = features.mean(dim=0, dtype=torch.float64)
    projected, lengths, sums = [], [], torch.zeros(len(weights), features.shape[1], dtype=torch.float64)
    for rows, chosen in zip(features.split(BLOCK), weights.split(BLOCK, dim=1), strict=True):
        centred = rows.double() - centre
        sums += chosen.double() @ centred  # R D
        lengths.append(centred.square().sum(dim=1))
        projected.append(centred @ factor.mT)
    means = sums / totals[:, None]  # R D
    shifts = means + centre - torch.from_numpy(reference.mean)
    traces = weights.double() @ torch.cat(lengths) - totals * means.square().sum(dim=1)
    coordinates = torch.cat(projected)  # N Q
    roots = [_root_trace(coordinates, w, m) for w, m in zip(weights, means @ factor.mT, strict=True)]
    trace_reference = float(reference.covariance.trace())
    return [
        FrechetParts(float(shift @ shift), trace_reference, float(trace), 2 * root)
        for shift, trace, root in zip(shifts, traces / (totals - 1), roots, strict=True)
    ]


def _root_trace(coordinates: Tensor, weights: Tensor, mean: Tensor) -> float:
    """tr of the root of the covariance of coordinates (N, Q) about a mean (Q,) with weights (N,)."""
    used = weights > 0
    scale = (weights[used].double() / (weights.sum(dtype=torch.float64) - 1)).sqrt()[:, None]
    rows = (coordinates[used] - mean) * scale
    product = rows.mT @ rows if rows.shape[0] >= rows.shape[1] else rows @ rows.mT
    return float(torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum())
