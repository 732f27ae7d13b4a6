"""Training in parts: by several processes at once, and one part of a batch after the other.

Every process draws the same batches and holds the same random state. It takes its parts of each batch, and
the parts' gradients are added with weights that make the sum the gradient of the whole batch's mean loss.
Axis letters: n pairs of the whole batch, b of a part.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Part:
    """Pairs ``start`` to ``stop`` of a batch of ``count``, with their share of its mean loss.

    A part without pairs of its own borrows the first one and has weight 0: its process then takes part in
    the exchange of gradients and adds nothing.
    """

    start: int
    stop: int
    count: int

    @property
    def borrowed(self) -> bool:
        """Whether the part has no pairs of its own."""
        return self.start == self.stop

    @property
    def rows(self) -> tuple[int, int]:
        """The pairs that go through the network."""
        return (0, 1) if self.borrowed else (self.start, self.stop)

    @property
    def weight(self) -> float:
        """Share of the whole batch's mean loss."""
        return (self.stop - self.start) / self.count


def cut(count: int, parts: int) -> list[Part]:
    """Cut a batch of ``count`` pairs into parts whose sizes differ by one at most."""
    bounds = [count * i // parts for i in range(parts + 1)]
    return [Part(start, stop, count) for start, stop in pairwise(bounds)]


class PartDropout(nn.Dropout):
    """Dropout that treats the rows of a part as it would treat them in the whole batch.

    It draws the mask of the whole batch, as plain dropout does, and takes the part's rows of it. Its price is
    the memory of one such mask at a time.
    """

    part: Part | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Rows (groups * b, ...) of all pairs of the part, group by group; without a part plain dropout."""
        if self.part is None or not self.training:
            return super().forward(x)
        start, stop = self.part.rows
        groups = len(x) // (stop - start)
        ones = torch.ones(groups * self.part.count, *x.shape[1:], device=x.device)
        mask = F.dropout(ones, self.p).unflatten(0, (groups, self.part.count))[:, start:stop]
        return x * mask.flatten(0, 1).to(x.dtype)
