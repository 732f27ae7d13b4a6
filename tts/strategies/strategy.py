"""What a strategy is: from labels and seeds to chosen images, with a backbone and whoever judges.

Axis letters: B images, L tokens of a scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from tts.config import SearchSettings
from tts.errors import UsageError
from tts.interfaces import Backbone, BackboneInfo, ImageScorer, Scorer, Selector
from tts.search import Observer, SearchResult, search
from tts.specs import StrategyRequest


@dataclass(frozen=True)
class Judges:
    """Who may judge and choose: ``scorer`` and ``selector`` maps of one scale, ``image_scorer`` images."""

    scorer: Scorer | None
    selector: Selector
    image_scorer: ImageScorer | None = None
    observers: Sequence[Observer] = ()


class Strategy(Protocol):
    """A way to generate. An image depends on its label, seed and candidates, not on the batch.

    A strategy may also offer what ``SupportsCheck`` says.
    """

    def __call__(
        self,
        backbone: Backbone,
        judges: Judges,
        settings: SearchSettings,
        labels: Tensor,
        seeds: Tensor,
        prefix: Sequence[Tensor],
        counts: Sequence[Sequence[int]] | None = None,
    ) -> SearchResult:
        """One image for each label (B,) and seed (B,); ``prefix`` holds given maps (B, L) of first scales.

        ``counts`` (B, K) are each image's numbers of candidates, if they are not the settings'.
        """
        ...


@runtime_checkable
class SupportsCheck(Protocol):
    """A strategy whose options do not go with every backbone."""

    def check(self, info: BackboneInfo) -> None:
        """Raise ``UsageError`` for options that do not fit a backbone, before anything is made."""
        ...


def no_own_counts(counts: Sequence[Sequence[int]] | None, name: str) -> None:
    """Refuse numbers of candidates that differ within a batch, for strategies with one number for all."""
    if counts is not None:
        raise UsageError(f"strategy {name} has one number of candidates for all items; leave their own out")


def lsrs(
    backbone: Backbone,
    judges: Judges,
    settings: SearchSettings,
    labels: Tensor,
    seeds: Tensor,
    prefix: Sequence[Tensor],
    counts: Sequence[Sequence[int]] | None = None,
) -> SearchResult:
    """Latent scale rejection sampling (Algorithm 1); with one candidate everywhere the plain model."""
    scorer, selector, observers = judges.scorer, judges.selector, judges.observers
    return search(backbone, scorer, selector, settings, labels, seeds, observers, prefix, counts=counts)


def build_lsrs(_: StrategyRequest) -> Strategy:
    """Factory of latent scale rejection sampling."""
    return lsrs
