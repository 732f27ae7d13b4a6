"""Strategies that break their contract, each in one way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tts.config import SearchSettings
from tts.interfaces import Backbone
from tts.search import SearchResult
from tts.strategies.strategy import Judges, lsrs
from tts.testing import ToyBackbone, check_strategy

Broken = Callable[..., AbstractContextManager[None]]


class Mine:
    """``lsrs`` with changes to what goes in and what comes out."""

    name = "mine"

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
        """One image for each label and seed."""
        self.settings = settings
        arguments = self.before(backbone, judges, settings, labels, seeds, prefix)
        return self.after(lsrs(*arguments, counts), backbone, labels)

    def before(self, *arguments: Any) -> tuple[Any, ...]:
        """The arguments of ``lsrs``."""
        return arguments

    def after(self, result: SearchResult, backbone: Backbone, labels: Tensor) -> Any:
        """The result."""
        return result


class SeedsOfPosition(Mine):
    def before(self, *arguments: Any) -> tuple[Any, ...]:
        *others, seeds, prefix = arguments
        return (*others, torch.arange(len(seeds)), prefix)


class NoPrefix(Mine):
    def before(self, *arguments: Any) -> tuple[Any, ...]:
        return (*arguments[:-1], ())


class OneMore(Mine):
    def before(self, *arguments: Any) -> tuple[Any, ...]:
        backbone, judges, settings, *others = arguments
        more = tuple(count + (scale > 0) for scale, count in enumerate(settings.candidates))
        return (backbone, judges, replace(settings, candidates=more), *others)


class Chance(Mine):
    def before(self, *arguments: Any) -> tuple[Any, ...]:
        *others, seeds, prefix = arguments
        return (*others, torch.randint(99, seeds.shape), prefix)


class MutatesLabels(Mine):
    def after(self, result: SearchResult, backbone: Backbone, labels: Tensor) -> Any:
        labels.zero_()
        return result


class OtherImages(Mine):
    def after(self, result: SearchResult, backbone: Backbone, labels: Tensor) -> Any:
        return result if result.images is None else replace(result, images=1 - result.images)


class ByChunk(Mine):
    def before(self, *arguments: Any) -> tuple[Any, ...]:
        *others, seeds, prefix = arguments
        return (*others, seeds + (self.settings.chunk or 0), prefix)


class AlwaysDecodes(Mine):
    def after(self, result: SearchResult, backbone: Backbone, labels: Tensor) -> Any:
        return replace(result, images=backbone.decode(result.tokens))


class ShortTokens(Mine):
    def after(self, result: SearchResult, backbone: Backbone, labels: Tensor) -> Any:
        return replace(result, tokens=result.tokens[:, 1:])


class LargeTokens(Mine):
    def after(self, result: SearchResult, backbone: Backbone, labels: Tensor) -> Any:
        return replace(result, tokens=result.tokens + 9)


class LastScores(Mine):
    def after(self, result: SearchResult, backbone: Backbone, labels: Tensor) -> Any:
        return replace(result, winner_scores=result.winner_scores[:, -1])


class FloatIndex(Mine):
    def after(self, result: SearchResult, backbone: Backbone, labels: Tensor) -> Any:
        return replace(result, winner_index=result.winner_index.float())


class NoImages(Mine):
    def after(self, result: SearchResult, backbone: Backbone, labels: Tensor) -> Any:
        return replace(result, images=None)


STRATEGIES: dict[type[Mine], tuple[str, ...]] = {
    SeedsOfPosition: ("an image depends on its label, seed and candidates", "tokens in batches of 1"),
    NoPrefix: ("given maps of the first scales (prefix) must be kept", "tokens of 1 given scales"),
    OneMore: ("with one candidate everywhere a strategy must give the images of the plain model",),
    Chance: ("a strategy must not use a global random generator",),
    MutatesLabels: ("must not change its arguments", "it changed labels"),
    OtherImages: ("images must be those of the tokens",),
    ByChunk: ("an image does not depend on settings.chunk", "tokens in chunks of 1"),
    AlwaysDecodes: ("with settings.decode off",),
    ShortTokens: ("tokens must be a int64 tensor of shape (4, 30)", "shape (4, 29)"),
    LargeTokens: ("tokens must be from 0 to 15",),
    LastScores: ("winner_scores must be a floating-point tensor of shape (4, 4)",),
    FloatIndex: ("winner_index must be a int64 tensor", "got float32"),
    NoImages: ("images must be there unless settings.decode is off",),
}


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.__name__)
def test_a_broken_strategy_is_found(strategy: type[Mine], broken: Broken) -> None:
    with broken("strategy mine", *STRATEGIES[strategy], "Strategy in tts/strategies/strategy.py"):
        check_strategy(strategy())


def test_a_good_one_passes_also_where_scales_are_greedy() -> None:
    check_strategy(Mine())
    check_strategy(Mine(), ToyBackbone(stochastic=(True, True, False, True)))
