"""Improved precision and recall (Kynkaanniemi et al. 2019), by balls around features.

Axis letters: N feature vectors, M others, D features, n m rows of a block, K candidates for a neighbour.

The ball of an image reaches to its k-th nearest neighbour in its own set. Precision is the share of samples
inside a ball of the reference, recall the share of the reference inside a ball of the samples. All distances
are squared. Comparisons are exact whatever the block: float32 decides where its error bound allows it, and
float64 of the pair itself elsewhere, so that equal distances are equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tts.checks import check_numbers_in
from tts.errors import ShapeError, UsageError
from tts.evaluation.distances import UNIT, Distances, HalfDistances, blocks

BLOCK = 4096
_SPARE = 8  # candidates beyond the k-th neighbour whose exact distances are looked at
_PAIRS = 1 << 16  # pairs looked at exactly before the rows that they settle are left out


@dataclass(frozen=True)
class Coverage:
    """Which samples (N,) lie in the reference's manifold, and which reference images (M,) in the samples'."""

    inside: Tensor
    covered: Tensor

    @property
    def precision(self) -> float:
        """Share of the samples inside the manifold of the reference."""
        return float(self.inside.double().mean())

    @property
    def recall(self) -> float:
        """Share of the reference inside the manifold of the samples."""
        return float(self.covered.double().mean())


def coverage(
    reference: Tensor, samples: Tensor, neighbours: int = 3, half: bool = False, block: int = BLOCK
) -> Coverage:
    """Precision and recall of samples (N, D) against a reference (M, D).

    ``half`` compares distances in half precision, as the ADM evaluator does. Memory is that of the features
    and of a few blocks; time grows with (N + M)^2 D.
    """
    check_numbers_in(reference, "features of the reference")
    check_numbers_in(samples, "features of the samples")
    if reference.shape[1:] != samples.shape[1:]:
        raise ShapeError(f"samples have {samples.shape[1]} features, the reference {reference.shape[1]}")
    known, made = (radii(features, neighbours, half, block) for features in (reference, samples))
    return Coverage(
        within(samples, reference, known, half, block), within(reference, samples, made, half, block)
    )


def radii(features: Tensor, neighbours: int = 3, half: bool = False, block: int = BLOCK) -> Tensor:
    """Squared distances (N,), float64, of features (N, D) to their k-th nearest other one.

    An image itself counts as the first in the order of its distances, as in the ADM evaluator.
    """
    check_neighbours(len(features), neighbours)
    found = torch.empty(len(features), dtype=torch.float64)
    halves = HalfDistances(features, features) if half else None
    distances = None if half else Distances(features, features)
    for rows in blocks(len(features), block):
        if halves:
            found[rows] = _half_radii(halves, rows, neighbours, block)
        elif distances:
            found[rows] = _exact_radii(distances, rows, neighbours, block)
    return found


def check_neighbours(images: int, neighbours: int) -> None:
    """Refuse a set that is too small for the k-th neighbour."""
    if neighbours < 1:
        raise UsageError(f"{neighbours} neighbours make no manifold; use 1 or more (the paper uses 3)")
    if images <= neighbours:
        raise UsageError(
            f"precision and recall with {neighbours} neighbours need more than {neighbours} images on each"
            f" side, got {images}; generate more"
        )


def within(points: Tensor, centres: Tensor, reach: Tensor, half: bool = False, block: int = BLOCK) -> Tensor:
    """Which points (N, D) lie in a ball around centres (M, D) with squared radii (M,): bool (N,)."""
    found = torch.zeros(len(points), dtype=torch.bool)
    halves = HalfDistances(points, centres) if half else None
    distances = None if half else Distances(points, centres)
    for rows in blocks(len(points), block):
        for columns in blocks(len(centres), block):
            if halves:
                found[rows] |= (halves.block(rows, columns) <= reach[columns]).any(dim=1)
            elif distances and not bool(found[rows].all()):
                found[rows] = _within_block(distances, rows, columns, reach[columns], found[rows])
    return found


def candidates(distances: Distances, rows: slice, count: int, block: int) -> tuple[Tensor, Tensor]:
    """The K lowest lower bounds (n, K) of some rows, in order, and their columns (n, K)."""
    values = torch.empty(rows.stop - rows.start, 0)
    numbers = torch.empty(rows.stop - rows.start, 0, dtype=torch.int64)
    for columns in blocks(len(distances.second), block):
        lower = torch.cat((values, distances.lower(rows, columns)), dim=1)  # n K+m
        here = torch.arange(columns.start, columns.stop).expand(len(lower), -1)
        values, order = lower.topk(min(count, lower.shape[1]), largest=False)  # n K
        numbers = torch.cat((numbers, here), dim=1).gather(1, order)
    return values, numbers


def _exact_radii(distances: Distances, rows: slice, neighbours: int, block: int) -> Tensor:
    """Distances (n,) of some rows to their k-th neighbour.

    The k-th of the candidates' exact distances is the k-th of all where it is below the bounds of all others.
    A row with more candidates, as in a tight cluster, is settled alone; no radius is below zero.
    """
    total = len(distances.second)
    lower, columns = candidates(distances, rows, min(neighbours + 1 + _SPARE, total), block)
    numbers = torch.arange(rows.start, rows.stop)[:, None].expand_as(columns)
    exact = distances.exact(numbers.flatten(), columns.flatten()).view(lower.shape)  # n K
    found = exact.kthvalue(neighbours + 1, dim=1).values  # the image itself is the first
    if columns.shape[1] < total:
        edge = (lower[:, -1].double() * distances.scale).clamp(min=0)
        for row in (found > edge).nonzero()[:, 0].tolist():
            found[row] = _settled(distances, rows.start + row, float(found[row]), neighbours)
    return found


def _settled(distances: Distances, row: int, highest: float, neighbours: int) -> float:
    """The distance of one row to its k-th neighbour, which is ``highest`` or less."""
    lower = distances.lower(slice(row, row + 1), slice(None))[0].double() * distances.scale
    columns = (lower <= highest).nonzero()[:, 0]
    exact = distances.exact(torch.full_like(columns, row), columns)
    return float(exact.kthvalue(neighbours + 1).values)


def _within_block(distances: Distances, rows: slice, columns: slice, reach: Tensor, known: Tensor) -> Tensor:
    """``known`` (n,), and which other points of a block of rows lie in a ball of a block of columns."""
    lower, upper = distances.bounds(rows, columns)  # n m
    scaled = (reach / distances.scale).float()
    found = known | (upper <= scaled * (1 - 4 * UNIT)).any(dim=1)
    i, j = ((lower <= scaled * (1 + 4 * UNIT)) & ~found[:, None]).nonzero(as_tuple=True)
    for part in torch.arange(len(i)).split(_PAIRS):
        open_ = part[~found[i[part]]]
        exact = distances.exact(i[open_] + rows.start, j[open_] + columns.start)
        found[i[open_][exact <= reach[j[open_]]]] = True
    return found


def _half_radii(distances: HalfDistances, rows: slice, neighbours: int, block: int) -> Tensor:
    lowest = torch.empty(rows.stop - rows.start, 0)
    for columns in blocks(len(distances.second), block):
        here = torch.cat((lowest, distances.block(rows, columns)), dim=1)
        lowest = here.topk(min(neighbours + 1, here.shape[1]), largest=False).values  # n k+1
    return lowest[:, -1].double()
