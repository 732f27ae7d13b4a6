"""The spread of recall over halves of the samples.

Axis letters: N samples, M reference images, R halves, K nearest neighbours, n m rows of a block, P pairs.

The samples' manifold does not survive drawing with replacement: copies are each other's neighbours at no
distance, and balls shrink. So each resample is a random half of the samples, without copies, with balls that
reach to the k-th neighbour within the half. The spread of an average over half the images, about that over
all of them, is the same as with replacement (the delete-half jackknife, Shao and Wu 1989).
"""

from __future__ import annotations

import torch
from torch import Tensor

from tts.evaluation.distances import Distances, blocks
from tts.evaluation.manifold import BLOCK, candidates, check_neighbours

_MORE = 28  # with these and 4 k neighbours, a half lacks the k-th less than once in 10^9 draws for k = 3


def recall_of_halves(
    reference: Tensor, samples: Tensor, halves: Tensor, neighbours: int = 3, block: int = BLOCK
) -> Tensor:
    """Recall (R,) of the samples (N, D) that ``halves`` (R, N), bool, choose, for a reference (M, D).

    Distances are computed twice, for the neighbours among the samples and for the reference, and no more for
    each half. They are those of float32, in full precision whatever the figure itself uses.
    """
    check_neighbours(int(halves.sum(dim=1).min()), neighbours)
    found, numbers = nearest(samples, 4 * neighbours + _MORE, block)
    reach = torch.stack([_reach(found, numbers, half, neighbours) for half in halves])  # R N
    distances = Distances(reference, samples)
    reach, farthest = reach / distances.scale, found[:, -1] / distances.scale
    covered = torch.zeros(len(halves), len(reference), dtype=torch.bool)
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


def _reach(found: Tensor, numbers: Tensor, half: Tensor, neighbours: int) -> Tensor:
    """Squared distances (N,) to the k-th neighbour of those in the half; none for samples outside of it.

    Where the nearest ``K`` hold fewer than k of the half, the last of them stands for it.
    """
    position = (half[numbers].cumsum(dim=1) < neighbours).sum(dim=1)  # N
    distance = found.gather(1, position.clamp(max=found.shape[1] - 1)[:, None])[:, 0]
    return torch.where(half, distance, -torch.inf)
