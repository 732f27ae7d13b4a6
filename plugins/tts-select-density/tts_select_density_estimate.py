"""Kernel density of each candidate among the candidates of the same image and scale.

With points x_1..x_M in D dimensions, a Gaussian kernel and a bandwidth h,

    f(x_i) = 1/M sum_j exp(-|x_i - x_j|^2 / (2 h^2)),

which is the usual estimate without its factor (2 pi h^2)^(-D/2), the same for all candidates of an image. So
1/M <= f <= 1, whatever the units of the points. At h = 0 the kernel is its limit: 1 for equal points, else 0,
and f is the share of candidates that equal x_i; if all are equal, f = 1 for all.

Bandwidths, from the pairs i < j of one image:

    median      h = the (lower) median of |x_i - x_j|
    silverman   h = s (4 / ((D + 2) M))^(1 / (D + 4)),  s^2 = mean |x_i - x_j|^2 / (2 D)

where s^2 is the unbiased variance, averaged over dimensions: one isotropic kernel for all of them.

Axis letters: B images, M candidates, L tokens, C channels, H W the latent grid, G sets of points in D
dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from einops import rearrange
from torch import Tensor
from tts_select_density_options import MEDIAN

BUDGET = 64 * 2**20
"""Bytes that the pairwise distances of the sets that are looked at together may need."""

BYTES_PER_PAIR = 24
"""Memory for a pair of candidates: its distance, the kernel, and what the bandwidth is computed from."""


def map_density(maps: Tensor, bandwidth: str | float) -> Tensor:
    """Log density (B, M) of maps (B, M, C, H, W), each one point in C H W dimensions."""
    points = rearrange(maps, "b m c h w -> b m (c h w)")
    return torch.cat([log_density(part, bandwidth) for part in _parts(points)])


def position_density(maps: Tensor, bandwidth: str | float) -> Tensor:
    """Log of the mean over positions (B, M) of the density that the vector there has, in C dimensions.

    Each position of each image has its own bandwidth.
    """
    positions = maps.shape[3] * maps.shape[4]
    results = []
    for part in _parts(maps, positions):
        points = rearrange(part, "b m c h w -> (b h w) m c")
        found = torch.cat([log_density(some, bandwidth) for some in _parts(points)])  # (b h w) m
        found = rearrange(found, "(b p) m -> b p m", p=positions)
        results.append(found.logsumexp(dim=1) - math.log(positions))
    return torch.cat(results)


def token_density(tokens: Tensor, bandwidth: str | float) -> Tensor:
    """Log density (B, M) of token maps (B, M, L); squared distances are numbers of other tokens."""
    results = [
        kernel_density(torch.cdist(part, part, p=0).sqrt(), bandwidth) for part in _parts(tokens.float())
    ]
    return torch.cat(results)


def _parts(points: Tensor, sets: int = 1) -> Iterator[Tensor]:
    """Rows of points (G, M, ...) that go together; a row stands for this many sets of M points."""
    pairs = points.shape[1] ** 2
    yield from points.split(max(1, BUDGET // (BYTES_PER_PAIR * pairs * sets)))


def log_density(points: Tensor, bandwidth: str | float) -> Tensor:
    """Log density (G, M), from -log M to 0, of points (G, M, D) within their own set.

    Distances are sums of squared differences and not made of inner products, so that equal points have a
    distance of exactly 0 and a shift of all points changes nothing but rounding.
    """
    exact = "donot_use_mm_for_euclid_dist"
    distances = torch.cdist(points.float(), points.float(), compute_mode=exact)  # G M M
    return kernel_density(distances, bandwidth, points.shape[2])


def kernel_density(distances: Tensor, bandwidth: str | float, dimensions: int = 1) -> Tensor:
    """Log density (G, M) from distances (G, M, M) between points of so many dimensions."""
    count = distances.shape[1]
    width = rearrange(bandwidths(distances, bandwidth, dimensions), "g -> g 1 1")
    ratio = torch.where(distances == 0, 0.0, distances / width)  # never 0 / 0; inf where only the width is 0
    return (-0.5 * ratio.square()).logsumexp(dim=2) - math.log(count)


def bandwidths(distances: Tensor, bandwidth: str | float, dimensions: int) -> Tensor:
    """Bandwidth (G,) of each set of distances (G, M, M): by a rule, or the number given."""
    sets, count, _ = distances.shape
    if not isinstance(bandwidth, str):
        return distances.new_full((sets,), bandwidth)
    if count == 1:
        return distances.new_zeros(sets)
    first, second = torch.triu_indices(count, count, offset=1, device=distances.device)
    pairs = distances[:, first, second]  # G pairs
    if bandwidth == MEDIAN:
        return pairs.median(dim=1).values
    variance = pairs.square().mean(dim=1) / (2 * dimensions)
    factor: float = (4 / ((dimensions + 2) * count)) ** (1 / (dimensions + 4))
    return factor * variance.sqrt()
