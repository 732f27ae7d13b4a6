"""The spread of recall over parts of the samples.

Axis letters: N samples, M reference images, R parts, K nearest neighbours, n m rows of a block, P pairs.

The samples' manifold does not survive drawing with replacement: copies are each other's neighbours at no
distance, and balls shrink. So each resample is a random part of the samples, without copies, with balls that
reach to the k-th neighbour within the part (the delete-d jackknife, Shao and Wu 1989). The recall of halves
varies up to a fifth too little, single images left out let it vary up to a half too much; with three quarters
the spread is right or up to a fifth wide (``benchmarks/coverage.py``).
"""

from __future__ import annotations

import torch
from torch import Tensor

from tts.evaluation.distances import Distances, blocks
from tts.evaluation.manifold import BLOCK, candidates, check_neighbours

_MORE = 28  # with these and 4 k, a part of half or more lacks the k-th less than once in 10^9 draws for k = 3


def recall_of_parts(
    reference: Tensor, samples: Tensor, parts: Tensor, neighbours: int = 3, block: int = BLOCK
) -> Tensor:
    """Recall (R,) of the samples (N, D) that ``parts`` (R, N), bool, choose, for a reference (M, D).

    Distances are computed twice, for the neighbours among the samples and for the reference, and no more for
    each part. They are those of float32, in full precision whatever the figure itself uses.
    """
    check_neighbours(int(parts.sum(dim=1).min()), neighbours)
    found, numbers = nearest(samples, 4 * neighbours + _MORE, block)
    reach = torch.stack([_reach(found, numbers, part, neighbours) for part in parts])  # R N
    distances = Distances(reference, samples)
    reach, farthest = reach / distances.scale, found[:, -1] / distances.scale
    covered = torch.zeros(len(parts), len(reference), dtype=torch.bool)
    for rows in blocks(len(reference), block):
        for columns in blocks(len(samples), block):
            lower = distances.lower(rows, columns)
            i, j = (lower <= farthest[columns]).nonzero(as_tuple=True)  # P
            length, i, j = lower[i, j], i + rows.start, j + columns.start
            for number, ball in enumerate(reach):
                covered[number, i[length <= ball[j]]] = True
    return covered.double().mean(dim=1)


def nearest(features: Tensor, count: int, block: int = BLOCK) -> tuple[Tensor, Tensor]:
    """Squared distances (N, K), float32, and numbers (N, K) of the nearest others, K at most ``count``."""
    distances = Distances(features, features)
    wanted = min(count + 1, len(features))
    found, numbers = [], []
    for rows in blocks(len(features), block):
        values, columns = candidates(distances, rows, wanted, block)
        itself = columns == torch.arange(rows.start, rows.stop)[:, None]
        itself[:, -1] |= ~itself.any(dim=1)  # among copies it may not be among the nearest
        keep = (~itself).nonzero(as_tuple=True)
        found.append((values[keep] * distances.scale).view(-1, wanted - 1))
        numbers.append(columns[keep].view(-1, wanted - 1))
    return torch.cat(found), torch.cat(numbers)


def _reach(found: Tensor, numbers: Tensor, part: Tensor, neighbours: int) -> Tensor:
    """Squared distances (N,) to the k-th neighbour of those in the part; none for samples outside of it.

    Where the nearest ``K`` hold fewer than k of the part, the last of them stands for it.
    """
    position = (part[numbers].cumsum(dim=1) < neighbours).sum(dim=1)  # N
    distance = found.gather(1, position.clamp(max=found.shape[1] - 1)[:, None])[:, 0]
    return torch.where(part, distance, -torch.inf)
