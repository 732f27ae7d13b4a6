"""Same-class pairs of a real and a generated image, drawn when needed and never listed.

Axis letters: N items, b pairs of a batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from tts.checks import check_indices
from tts.errors import UsageError
from tts.limits import CLASSES


def split(
    labels: Tensor, fraction: float = 0.1, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Training and held-out indices (sorted, int64) of items with labels (N,), class by class.

    A class with two items or more keeps at least one of them on either side; a single item is for training.
    Split before pairing: no item then stands on both sides.
    """
    check_indices(labels, CLASSES, "labels")
    if not 0.0 < fraction < 1.0:
        raise UsageError(f"held-out fraction is {fraction}, it must lie between 0 and 1; use for example 0.1")
    shuffled = torch.randperm(len(labels), generator=generator)
    order, starts, counts = _by_class(labels[shuffled], 0)
    position = torch.arange(len(labels)) - starts.repeat_interleave(counts)  # within the class, shuffled
    held_out = (counts * fraction).round().clamp(min=1).minimum(counts - 1)  # a class
    mask = position < held_out.repeat_interleave(counts)
    items = shuffled[order]
    return items[~mask].sort().values, items[mask].sort().values


def _by_class(labels: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Items (N,) sorted by class, and where each class starts and how many items it has, (classes,) each."""
    counts = labels.to(torch.int64).bincount(minlength=classes)
    return labels.argsort(stable=True), counts.cumsum(0) - counts, counts


class PairSampler:
    """Uniform draws, with repetition, from all pairs (real item, generated item) of equal class.

    Memory grows with the number of items, not of pairs. Classes that one side lacks are skipped.
    """

    def __init__(self, real_labels: Tensor, generated_labels: Tensor, seed: int) -> None:
        """Index labels (N_real,) and (N_generated,)."""
        check_indices(real_labels, CLASSES, "labels of real items")
        check_indices(generated_labels, CLASSES, "labels of generated items")
        highest = [int(labels.max()) + 1 for labels in (real_labels, generated_labels) if len(labels)]
        classes = max(highest, default=0)
        self._real, self._real_starts, real_counts = _by_class(real_labels, classes)
        self._generated, self._generated_starts, self._generated_counts = _by_class(generated_labels, classes)
        self._ends = (real_counts * self._generated_counts).cumsum(0)
        self._seed = seed
        self.total = int(self._ends[-1]) if classes else 0
        if not self.total:
            raise UsageError(
                f"{len(real_labels)} real and {len(generated_labels)} generated items have no class in "
                "common, pairs need one; collect both sides for the same classes"
            )

    def epoch(
        self, epoch_index: int, pairs: int, batch: int, skip: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``pairs`` pairs as indices (real (b,), generated (b,)), ``batch`` at a time.

        The pairs depend on the seed and the epoch only; another batch size cuts the same stream elsewhere.
        The first ``skip`` batches are left out, for a training that goes on in the middle of an epoch.
        """
        if min(pairs, batch) < 1 or skip < 0:
            raise UsageError(f"pairs {pairs} and batch {batch} must be at least 1, skip {skip} at least 0")
        digest = hashlib.sha256(f"{self._seed}:{epoch_index}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        for start in range(0, pairs, batch):
            number = torch.randint(self.total, (min(batch, pairs - start),), generator=generator)
            if start >= skip * batch:
                yield self._pair(number)

    def _pair(self, number: Tensor) -> tuple[Tensor, Tensor]:
        """Pairs with the given numbers (b,): class by class, each real item with every generated one."""
        label = torch.searchsorted(self._ends, number, right=True)
        partners = self._generated_counts[label]
        before = torch.where(label > 0, self._ends[label - 1], 0)
        within = number - before
        real = self._real[self._real_starts[label] + within // partners]
        return real, self._generated[self._generated_starts[label] + within % partners]
