"""Batches of same-class pairs, read from two data sets on disk when they are needed.

Axis letters: N items of a side, b pairs of a batch, L tokens. In memory are an item's label, its place in
the split and its place in the sampler, about 20 bytes (twice that while they are made); tokens stay on disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tts.data.pairs import PairSampler, split
from tts.data.store import TokenStore
from tts.scorers.settings import TrainSettings


@dataclass(frozen=True)
class Batch:
    """Pairs by the numbers of their items in the data sets, real (b,) and generated (b,)."""

    real: Tensor
    generated: Tensor

    def __len__(self) -> int:
        """Number of pairs b."""
        return len(self.real)

    def cut(self, start: int, stop: int) -> Batch:
        """Some of the pairs."""
        return Batch(self.real[start:stop], self.generated[start:stop])


class PairData:
    """Pairs of one part of both sides, for training or held out."""

    def __init__(self, real: TokenStore, generated: TokenStore, parts: tuple[Tensor, Tensor], seed: int):
        """Take the numbers (N,) of each side's items that belong to the part."""
        self.real, self.generated, self.parts = real, generated, parts
        self._sampler = PairSampler(real.labels[parts[0]], generated.labels[parts[1]], seed)
        self.total = self._sampler.total

    def batches(self, epoch: int, pairs: int, batch: int, skip: int = 0) -> Iterator[Batch]:
        """The pairs of an epoch, the same whenever they are drawn, without the first ``skip`` batches."""
        for real, generated in self._sampler.epoch(epoch, pairs, batch, skip):
            yield Batch(self.parts[0][real], self.parts[1][generated])

    def read(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Real tokens (b, L), generated tokens (b, L) and labels (b,)."""
        labels = self.real.labels[batch.real]
        return self.real.rows(batch.real), self.generated.rows(batch.generated), labels


def split_pairs(
    real: TokenStore, generated: TokenStore, settings: TrainSettings
) -> tuple[PairData, PairData]:
    """Pairs for training and pairs held out, without an item in common."""
    generator = torch.Generator().manual_seed(settings.seed)
    first, second = (split(store.labels.long(), settings.held_out, generator) for store in (real, generated))
    training = PairData(real, generated, (first[0], second[0]), settings.seed)
    return training, PairData(real, generated, (first[1], second[1]), settings.seed + 1)
