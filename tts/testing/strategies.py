"""The conformance check of strategies.

Axis letters: B images, K scales, L tokens, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from tts.config import SearchSettings
from tts.errors import UsageError
from tts.interfaces import Backbone, BackboneInfo, Selector
from tts.search import SearchResult, search
from tts.selectors import GreedySelector
from tts.strategies.strategy import Judges, Strategy
from tts.testing.chance import no_global_chance
from tts.testing.contract import Contract, title
from tts.testing.fakes import FakeImageScorer, FakeScorer
from tts.testing.toy import ToyBackbone

WHERE = "Strategy in tts/strategies/strategy.py and SearchResult in tts/search.py"
ROUNDING = 1e-4
CANDIDATES = 3
GREEDY = cast(Selector, GreedySelector())
SEEDS = (0, 7, 0, 2**40)


@dataclass(frozen=True)
class Trial:
    """A strategy with all that it needs to generate ``labels`` (B,) and ``seeds`` (B,)."""

    strategy: Strategy
    backbone: Backbone
    settings: SearchSettings
    labels: Tensor
    seeds: Tensor

    def run(
        self,
        rows: slice = slice(None),
        prefix: Sequence[Tensor] = (),
        counts: Sequence[Sequence[int]] | None = None,
    ) -> SearchResult:
        """Generate some rows, with judges of their own."""
        judges = Judges(FakeScorer(), GREEDY, FakeImageScorer())
        given = [tokens[rows] for tokens in prefix]
        return self.strategy(
            self.backbone, judges, self.settings, self.labels[rows], self.seeds[rows], given, counts
        )

    def changed(self, **settings: object) -> Trial:
        """The same with other settings."""
        return replace(self, settings=replace(self.settings, **settings))  # type: ignore[arg-type]


@torch.inference_mode()
def check_strategy(strategy: Strategy, backbone: Backbone | None = None) -> None:
    """Check the contract of a built strategy, with ``ToyBackbone()`` unless another is given.

    It gets three candidates a scale, or three whole images, and exact judges of both. Raises
    ``ConformanceError``.
    """
    contract = Contract(title("strategy", strategy), WHERE)
    source = ToyBackbone() if backbone is None else backbone
    info = source.info
    counts = (1, *[CANDIDATES] * (info.scales - 1))
    sampling = info.sampling
    settings = SearchSettings(counts, sampling.cfg, sampling.top_k, sampling.top_p, whole_images=CANDIDATES)
    last = info.classes - 1
    trial = Trial(strategy, source, settings, torch.tensor([0, 0, last, last // 2]), torch.tensor(SEEDS))
    result = check_results(trial, contract)
    check_batches(trial, result, contract)
    check_prefix(trial, result, contract)
    check_decode_off(trial, result, contract)
    check_plain(trial, contract)
    check_own_counts(trial, result, contract)


def check_results(trial: Trial, contract: Contract) -> SearchResult:
    """What comes out, which must be the same twice, without chance or changes to the arguments."""
    found = []
    for seed in (1, 2):
        with (
            contract.keeps("a strategy must generate with a scorer, a selector and an image scorer"),
            no_global_chance(contract, "a strategy", seed),
            contract.unchanged("a strategy", labels=trial.labels, seeds=trial.seeds),
        ):
            result = trial.run()
        check_shapes(result, trial.backbone.info, len(trial.labels), contract)
        found.append(result)
    rule = "the same labels and seeds must give the same images each time, whatever the global seed is"
    contract.same(found[1].tokens, found[0].tokens, rule, "tokens")
    images = found[0].images
    if images is None:
        contract.fail("images must be there unless settings.decode is off", "got None")
    rule = "images must be those of the tokens"
    contract.same(images, trial.backbone.decode(found[0].tokens), rule, "images", ROUNDING)
    return found[0]


def check_shapes(result: SearchResult, info: BackboneInfo, batch: int, contract: Contract) -> None:
    """Tokens in range, images in [0, 1], and a score and an index for each scale."""
    named = all(hasattr(result, name) for name in ("tokens", "images", "winner_scores", "winner_index"))
    contract.require(named, "a strategy must return a tts.SearchResult", f"got {type(result).__name__}")
    tokens = contract.tensor(result.tokens, (batch, info.tokens), "tokens", torch.int64)
    contract.within(tokens, 0, info.codebook_size - 1, "tokens")
    if result.images is not None:
        shape = (batch, 3, info.image_size, info.image_size)
        images = contract.tensor(result.images, shape, "images", torch.float32)
        contract.within(images, 0, 1, "images", 1e-6)
    filled = result.winner_scores
    if isinstance(filled, Tensor) and filled.is_floating_point():
        filled = filled.nan_to_num(0.0)  # NaN at scales without selection
    contract.tensor(filled, (batch, info.scales), "winner_scores")
    contract.tensor(result.winner_index, (batch, info.scales), "winner_index", torch.int64)


def check_batches(trial: Trial, result: SearchResult, contract: Contract) -> None:
    """One image for each label and seed, whatever is beside it and however candidates are chunked."""
    rule = "an image depends on its label, seed and candidates, not on the batch"
    for size in (1, 3):
        with contract.keeps(rule):
            parts = [trial.run(slice(start, start + size)) for start in range(0, len(SEEDS), size)]
        for name in ("tokens", "winner_index"):
            found = torch.cat([getattr(part, name) for part in parts])
            contract.same(found, getattr(result, name), rule, f"{name} in batches of {size}")
    rule = "an image does not depend on settings.chunk, the number of candidates scored at once"
    for chunk in (1, 2):
        with contract.keeps(rule):
            found = trial.changed(chunk=chunk).run().tokens
        contract.same(found, result.tokens, rule, f"tokens in chunks of {chunk}")


def check_prefix(trial: Trial, result: SearchResult, contract: Contract) -> None:
    """Given maps of the first scales must be kept."""
    info = trial.backbone.info
    rule = "given maps of the first scales (prefix) must be kept"
    other = result.tokens.roll(1, dims=0)  # maps of other images
    maps = [tokens.clone() for tokens in other.split(info.lengths, dim=1)]
    for given in range(1, info.scales):
        prefix = maps[:given]
        with contract.keeps(rule), contract.unchanged("a strategy", prefix=torch.cat(prefix, dim=1)):
            found = trial.run(prefix=prefix)
        check_shapes(found, info, len(SEEDS), contract)
        kept = sum(info.lengths[:given])
        contract.same(found.tokens[:, :kept], other[:, :kept], rule, f"tokens of {given} given scales")


def check_decode_off(trial: Trial, result: SearchResult, contract: Contract) -> None:
    """Without decoding there are the same tokens, and no images."""
    rule = "with settings.decode off there must be the same tokens and no images"
    with contract.keeps(rule):
        found = trial.changed(decode=False).run()
    contract.require(found.images is None, rule, f"images are {type(found.images).__name__}")
    contract.same(found.tokens, result.tokens, rule, "tokens")


def check_own_counts(trial: Trial, result: SearchResult, contract: Contract) -> None:
    """Images' own numbers of candidates must be respected, or refused with a ``UsageError``."""
    rule = "counts equal to the settings' must change nothing, or be refused with a UsageError"
    try:
        with contract.keeps(rule):
            found = trial.run(counts=[trial.settings.candidates] * len(SEEDS))
    except AssertionError as error:
        if isinstance(error.__cause__, UsageError):
            return
        raise
    contract.same(found.tokens, result.tokens, rule, "tokens")


def check_plain(trial: Trial, contract: Contract) -> None:
    """With one candidate everywhere a strategy must be the plain model."""
    rule = "with one candidate everywhere a strategy must give the images of the plain model"
    ones = trial.changed(candidates=(1,) * trial.backbone.info.scales, whole_images=1)
    with contract.keeps(rule):
        found = ones.run()
    plain = search(trial.backbone, None, GREEDY, ones.settings, trial.labels, trial.seeds)
    contract.same(found.tokens, plain.tokens, rule, "tokens")
