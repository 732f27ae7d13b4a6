"""Squared Euclidean distances between two sets of features, by blocks, so that no N x M matrix is ever held.

Axis letters: N rows of the first set, M rows of the second, D features, n m rows of a block, P pairs.

``Distances`` gives bounds in float32, which settle nearly every comparison, and exact values in float64 for
chosen pairs, which settle the others. ``HalfDistances`` gives what the ADM evaluator compares.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

UNIT = 2.0**-24  # a rounding in float32, relative
_TINY = 2.0**-100  # more than what underflow takes from sums of products of numbers in [-1, 1]
_VALUES = 1 << 22  # float64 values at a time


def blocks(count: int, block: int) -> Iterator[slice]:
    """The slices of 0 to ``count`` of at most ``block`` rows."""
    return (slice(first, min(first + block, count)) for first in range(0, count, block))


class Distances:
    """Bounds in float32, in units of ``scale``, and exact distances in float64.

    Both sets are moved by the mean of the second and divided by their largest value: distances keep their
    order, and far less cancels in |x|^2 - 2 x y + |y|^2. An inner product of D terms, summed in any order,
    errs by at most about D roundings of |x| |y| (Higham 2002, section 3.1), and 2 |x| |y| <= |x|^2 + |y|^2.
    ``slack`` is that, and some roundings for the move and the sums, relative to |x|^2 + |y|^2.
    """

    def __init__(self, first: Tensor, second: Tensor) -> None:
        self.first, self.second = first, second
        self.slack = (first.shape[1] + 16) * UNIT
        centre = second.mean(dim=0, dtype=torch.float64)  # D
        largest = max(_largest(first, centre), _largest(second, centre)) or 1.0
        self.scale = largest**2
        self._columns, self._column_norms = _moved(second, centre, largest)
        self._rows, self._row_norms = self._columns, self._column_norms
        if first is not second:
            self._rows, self._row_norms = _moved(first, centre, largest)

    def lower(self, rows: slice, columns: slice) -> Tensor:
        """Lower bounds (n, m) of the distances of a block."""
        return self._bound(self._products(rows, columns), rows, columns, 1 - self.slack) - _TINY

    def bounds(self, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """Lower and upper bounds (n, m) of the distances of a block."""
        products = self._products(rows, columns)
        lower = self._bound(products, rows, columns, 1 - self.slack) - _TINY
        return lower, self._bound(products, rows, columns, 1 + self.slack) + _TINY

    def exact(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Distances (P,) in float64, unscaled, of pairs of a row (P,) and a column (P,).

        A value depends on the two vectors alone, so that equal pairs have equal distances.
        """
        step = max(1, _VALUES // max(1, self.first.shape[1]))
        pairs = zip(rows.split(step), columns.split(step), strict=True)
        found = [(self.first[i].double() - self.second[j].double()).square_().sum(dim=1) for i, j in pairs]
        return torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)

    def _products(self, rows: slice, columns: slice) -> Tensor:
        return self._rows[rows] @ self._columns[columns].T  # n m

    def _bound(self, products: Tensor, rows: slice, columns: slice, factor: float) -> Tensor:
        norms = self._row_norms[rows, None] * factor + self._column_norms[columns] * factor  # n m
        return norms.sub_(products, alpha=2)


def _by_rows(features: Tensor) -> Iterator[Tensor]:
    return iter(features.split(max(1, _VALUES // max(1, features.shape[1]))))


def _largest(features: Tensor, centre: Tensor) -> float:
    """The largest value of features (N, D) about a centre (D,)."""
    return max(float((rows.double() - centre).abs().max()) for rows in _by_rows(features))


def _moved(features: Tensor, centre: Tensor, largest: float) -> tuple[Tensor, Tensor]:
    """Features (N, D) about a centre (D,), with values in [-1, 1], and squared lengths (N,), in float32."""
    found, norms = [], []
    for rows in _by_rows(features):
        moved = (rows.double() - centre) / largest
        found.append(moved.float())
        norms.append(moved.square_().sum(dim=1).float())
    return torch.cat(found), torch.cat(norms)


class HalfDistances:
    """Distances in half precision, as the ADM evaluator computes them.

    |x|^2, x y and each sum of |x|^2 - 2 x y + |y|^2, of features as they are, are rounded to float16: around
    |x|^2 = 600 a distance is a multiple of 0.5. Sums inside a product are taken in float64, so that blocks
    never matter. Where a value passes 65504, float16 has infinity; the evaluator then takes its whole block
    of 10 000 x 10 000 distances in float32, here only the pairs concerned are.
    """

    def __init__(self, first: Tensor, second: Tensor) -> None:
        self.first, self.second = first.float(), second.float()
        self._rows, self._columns = first.half(), second.half()
        self._row_norms, self._column_norms = _half_norms(self._rows), _half_norms(self._columns)

    def block(self, rows: slice, columns: slice) -> Tensor:
        """Distances (n, m) of a block, float32."""
        products = (self._rows[rows].double() @ self._columns[columns].double().T).half()  # n m
        found = self._row_norms[rows, None] - 2 * products + self._column_norms[columns]  # n m
        broken = ~found.isfinite()
        found = found.float()
        if bool(broken.any()):
            single = _single(self.first[rows], self.second[columns])
            found = torch.where(broken, single, found)
        return found.clamp_(min=0)


def _half_norms(features: Tensor) -> Tensor:
    """Squared lengths (N,) in float16 of squares in float16."""
    norms = [rows.square().sum(dim=1, dtype=torch.float64).half() for rows in _by_rows(features)]
    return torch.cat(norms)


def _single(first: Tensor, second: Tensor) -> Tensor:
    """Distances (n, m) by the same formula in float32."""
    a, b = first.double(), second.double()
    products = (a @ b.T).float()  # n m
    norms_a, norms_b = a.square().sum(dim=1).float(), b.square().sum(dim=1).float()
    return norms_a[:, None] - 2 * products + norms_b
