"""Work items to batches to results: generation is an iterable, writers and metrics are its consumers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tts import limits
from tts.checks import check_counts, check_result
from tts.config import SearchSettings
from tts.errors import UsageError
from tts.fitting import Fit, fitting
from tts.interfaces import Backbone, ImageScorer, Scorer, Selector
from tts.noise import random_tokens
from tts.owners import titled
from tts.search import Observer, SearchResult, effective_candidates
from tts.strategies.strategy import Judges, Strategy, lsrs


@dataclass(frozen=True, slots=True)
class Item:
    """One image to make: a class label and a seed name it.

    ``candidates`` are its own m_1..m_K, or ``None`` for those of the settings; names are equal without them.
    """

    label: int
    seed: int
    candidates: tuple[int, ...] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Batch:
    """Finished items with their result."""

    items: tuple[Item, ...]
    result: SearchResult


@dataclass(frozen=True)
class Prefix:
    """Given token maps (N, sum L_k), row by row for the items, of which the first ``scales`` are kept."""

    tokens: Tensor
    scales: int


@dataclass(frozen=True)
class Generator:
    """A backbone with everything that decides what it draws; yields batches."""

    backbone: Backbone
    scorer: Scorer | None
    selector: Selector
    settings: SearchSettings
    device: torch.device
    observers: Sequence[Observer] = ()
    randomize_scale: int | None = None
    image_scorer: ImageScorer | None = None
    strategy: Strategy = lsrs

    def __post_init__(self) -> None:
        self._most(())

    def _most(self, items: Sequence[Item]) -> int:
        """The most candidates of an image at a scale; refuses to choose among them without a scorer."""
        info, own = self.backbone.info, {item.candidates for item in items if item.candidates is not None}
        check_counts(list(own), len(own), info.scales)
        most = max(max(effective_candidates(info, self.settings, count)) for count in (None, *own))
        if most > 1 and self.scorer is None and self.selector.needs_scores:
            raise UsageError(f"selector {self.selector.name} needs a scorer; pass --scorer or --candidates 1")
        return most

    def batches(
        self, items: Sequence[Item], size: int | Fit, prefix: Prefix | None = None
    ) -> Iterator[Batch]:
        """Generate the items, ``size`` at a time; the result of an item does not depend on ``size``."""
        fit = size if isinstance(size, Fit) else Fit(size)

        def make(rows: slice) -> Batch:
            part = tuple(items[rows])
            given = prefix.tokens[rows] if prefix else None
            return Batch(part, self._generate(part, given, prefix.scales if prefix else 0, fit.chunk))

        most = self._most(items)
        return fitting(len(items), fit, self.settings.chunk or most, make)

    def _generate(
        self, items: tuple[Item, ...], given: Tensor | None, kept: int, chunk: int | None
    ) -> SearchResult:
        settings = self.settings if chunk is None else replace(self.settings, chunk=chunk)
        labels = torch.tensor([item.label for item in items], device=self.device)
        seeds = torch.tensor([item.seed for item in items], device=self.device)
        maps = () if given is None else given.to(self.device).split(self.backbone.info.lengths, dim=1)[:kept]
        judges = Judges(self.scorer, self.selector, self.image_scorer, self.observers)
        counts = None
        if any(item.candidates for item in items):
            counts = [item.candidates or settings.candidates for item in items]
        result = self.strategy(self.backbone, judges, settings, labels, seeds, maps, counts)
        check_result(result, self.backbone.info, len(items), titled(self.strategy))
        if self.randomize_scale is None:
            return result
        return self._randomized(result, seeds, self.randomize_scale)

    def _randomized(self, result: SearchResult, seeds: Tensor, scale: int) -> SearchResult:
        """The result with one scale's map replaced by random tokens after generation (figure 1)."""
        info = self.backbone.info
        maps = list(result.tokens.split(info.lengths, dim=1))
        noise = random_tokens(seeds, self.settings.stream, scale, info.lengths[scale], info.codebook_size)
        maps[scale] = noise.cpu()
        tokens = torch.cat(maps, dim=1)
        return replace(result, tokens=tokens, images=self.backbone.decode(tokens))


def cross_items(labels: Sequence[int], seeds: Sequence[int]) -> list[Item]:
    """Every label with every seed, label by label. Images of one seed share noise across labels."""
    _check_total(len(labels), len(seeds))
    return [Item(label, seed) for label in labels for seed in seeds]


def distinct_items(labels: Sequence[int], per_class: int, classes: int) -> list[Item]:
    """``per_class`` images a label, no two of which share a seed: image i of class c has i x classes + c.

    More images a class add items and change none.
    """
    _check_total(len(labels), per_class)
    return [Item(label, i * classes + label) for label in labels for i in range(per_class)]


def _check_total(labels: int, each: int) -> None:
    """Refuse more images than a run can have, before there is a list of them."""
    if labels * each > limits.ITEMS:
        raise UsageError(
            f"{labels} labels with {each} images each are more than {limits.ITEMS} images; make several runs"
        )


def default_batch(tokens: int) -> int:
    """A batch size that suits small models on a laptop and large ones on a GPU."""
    return 256 if tokens <= 256 else 16
