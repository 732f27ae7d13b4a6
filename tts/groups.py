"""Images of one batch with different numbers of candidates, by groups of the same number.

Axis letters: B images, N images of a group, M candidates, K scales.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

EVERY = slice(None)
"""All images of the batch."""


@dataclass(frozen=True)
class Group:
    """The images ``rows`` (N,) of a batch that have ``count`` candidates each at one scale."""

    count: int
    rows: Tensor | slice


def grouped(counts: Sequence[int], device: torch.device) -> tuple[Group, ...]:
    """Groups of images by their number of candidates (B), the smallest number first."""
    distinct = sorted(set(counts))
    if len(distinct) == 1:
        return (Group(distinct[0], EVERY),)
    return tuple(
        Group(count, torch.tensor([row for row, own in enumerate(counts) if own == count], device=device))
        for count in distinct
    )


def portions(groups: Sequence[Group], size: int) -> Iterator[tuple[range, Tensor | slice]]:
    """Candidate numbers, ``size`` at a time, with the images that have all of them and have a choice."""
    first = 0
    choosing = [group for group in groups if group.count > 1]
    for i, group in enumerate(choosing):
        rows = EVERY if len(groups) == len(choosing[i:]) else _joined(choosing[i:])
        for start in range(first, group.count, size):
            yield range(start, min(start + size, group.count)), rows
        first = group.count


def _joined(groups: Sequence[Group]) -> Tensor:
    """The images of several groups in their order."""
    rows = [group.rows for group in groups if isinstance(group.rows, Tensor)]
    return torch.cat(rows).sort().values


def unscored(groups: Sequence[Group], batch: int, device: torch.device) -> Tensor:
    """Scores (B, M) before any is known: NaN, and -inf for candidates that an image does not have."""
    scores = torch.full((batch, groups[-1].count), torch.nan, device=device)
    for group in groups:
        scores[group.rows, group.count :] = -torch.inf
    return scores
