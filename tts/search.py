"""Latent scale rejection sampling: Algorithm 1 of the LSRS paper, for any backbone, scorer and selector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from tts.config import FAST, SearchSettings
from tts.errors import RunError, ScoreError, ShapeError
from tts.interfaces import (
    Backbone,
    BackboneInfo,
    BackboneState,
    Proposals,
    ScaleEvent,
    Scorer,
    SelectionContext,
    Selector,
    SupportsIncrements,
)
from tts.noise import selection_uniforms, token_uniforms
from tts.ranked import RankedDistribution
from tts.sampling import Distribution, TokenDistribution

Observer = Callable[[ScaleEvent], None]

BYTES_PER_ELEMENT = 64
"""Memory a candidate needs while it is scored, for each element of its map: the map and activations."""


@dataclass(frozen=True)
class SearchResult:
    """What was chosen: ``tokens`` (B, sum L_k), ``images`` (B, 3, H, W) in [0, 1] unless decoding is off.

    ``winner_scores`` (B, K) is NaN and ``winner_index`` (B, K) 0 at scales without selection; of a choice
    among whole images they tell at the last scale. ``trace`` holds all scores (B, m_k) of each scale with
    selection, if asked for.
    """

    tokens: Tensor
    images: Tensor | None
    winner_scores: Tensor
    winner_index: Tensor
    trace: dict[int, Tensor]


@dataclass(frozen=True)
class Choice:
    """The chosen map (B, L_k) of one scale, with its index (B,) and all scores (B, M)."""

    tokens: Tensor
    index: Tensor
    scores: Tensor


def effective_candidates(info: BackboneInfo, settings: SearchSettings) -> tuple[int, ...]:
    """m_1..m_K with one candidate where tokens are not drawn at random and all would be equal."""
    greedy = settings.top_k == 1
    return tuple(
        1 if greedy or not random else count
        for count, random in zip(settings.candidates, info.stochastic, strict=True)
    )


@torch.inference_mode()
def search(
    backbone: Backbone,
    scorer: Scorer | None,
    selector: Selector,
    settings: SearchSettings,
    labels: Tensor,
    seeds: Tensor,
    observers: Sequence[Observer] = (),
    prefix: Sequence[Tensor] = (),
    number: int = 0,
) -> SearchResult:
    """Generate one image for each label (B,) and seed (B,).

    ``prefix`` holds given token maps (B, L_k) of the first scales; the rest is generated. ``number`` is that
    of the candidate which is drawn where there is one only. Raises
    ``ScoreError`` for scores that are not finite and ``ShapeError`` for tensors of the wrong shape.
    """
    info = backbone.info
    state = backbone.begin(labels, settings.cfg)
    chosen: list[Tensor] = []
    winner_scores = torch.full((labels.shape[0], info.scales), torch.nan)
    winner_index = torch.zeros((labels.shape[0], info.scales), dtype=torch.int64)
    trace: dict[int, Tensor] = {}
    for scale, count in enumerate(effective_candidates(info, settings)):
        logits = state.logits()  # B L V; the pass also fills the cache, so given maps need it too
        if scale < len(prefix):
            tokens = prefix[scale]
        else:
            check_logits(logits, info, scale, labels.shape[0])
            step = Step(state, scale, labels, seeds, settings, info)
            top_k = settings.top_k if info.stochastic[scale] else 1
            distribution = filtered(logits, top_k, settings)
            if count == 1:
                tokens = step.draw(distribution, range(number, number + 1))[:, 0]  # B L
            else:
                choice = step.choose(distribution, count, scorer, selector, observers)
                tokens = choice.tokens
                winner_index[:, scale] = choice.index.cpu()
                winner_scores[:, scale] = choice.scores.gather(1, choice.index[:, None])[:, 0].cpu()
                if settings.trace:
                    trace[scale] = choice.scores.cpu()
        state.commit(tokens)
        chosen.append(tokens.cpu())
    images = state.decode() if settings.decode else None
    return SearchResult(torch.cat(chosen, dim=1), images, winner_scores, winner_index, trace)


@dataclass(frozen=True)
class Step:
    """One scale of one batch."""

    state: BackboneState
    scale: int
    labels: Tensor
    seeds: Tensor
    settings: SearchSettings
    info: BackboneInfo

    def draw(self, distribution: Distribution, candidates: range | Tensor) -> Tensor:
        """Tokens (B, m, L_k) of the given candidates, for all images or each image's own (B, m).

        Each depends on its own number only, so that any of them can be drawn again.
        """
        length = self.info.lengths[self.scale]
        return distribution.draw(
            token_uniforms(self.seeds, self.settings.stream, self.scale, candidates, length)
        )

    def chunks(self, count: int) -> Iterator[range]:
        """Candidate numbers in portions that fit the memory budget."""
        info = self.info
        row = BYTES_PER_ELEMENT * info.channels * info.grid**2
        size = self.settings.chunk or max(1, self.settings.chunk_bytes // (row * self.labels.shape[0]))
        return (range(first, min(first + size, count)) for first in range(0, count, size))

    def choose(
        self,
        distribution: Distribution,
        count: int,
        scorer: Scorer | None,
        selector: Selector,
        observers: Sequence[Observer],
    ) -> Choice:
        """Draw ``count`` candidates, score them in chunks, keep one an image (equation 6).

        Scores are all that is kept of a candidate, so memory does not grow with their number; the chosen ones
        are drawn again.
        """
        batch = self.labels.shape[0]
        scores = torch.full((batch, count), torch.nan, device=self.labels.device)  # B M
        if scorer is not None and selector.needs_scores:
            for part in self.chunks(count):
                drawn = self.draw(distribution, part)  # B m L
                scores[:, part.start : part.stop] = self.score(drawn, distribution, scorer)

        def tokens() -> Tensor:
            return self.draw(distribution, range(count))

        index = self.select(tokens, scores, selector)
        for observer in observers:
            observer(ScaleEvent(self.scale, self.labels, self.seeds, scores, index, tokens))
        return Choice(self.draw(distribution, index[:, None])[:, 0], index, scores)

    def score(self, tokens: Tensor, distribution: Distribution, scorer: Scorer) -> Tensor:
        """Scores (B, m) of candidates (B, m, L_k), checked."""
        info, (latent, maps) = self.info, self.proposed(tokens)
        check_shape(maps, (*tokens.shape[:2], info.channels, info.grid, info.grid), f"{info.name} proposals")
        log_probs = distribution.log_prob(tokens)
        proposals = Proposals(self.scale, self.labels, tokens, maps, log_probs, latent)
        scores = scorer.score(proposals)
        check_shape(scores, tuple(tokens.shape[:2]), f"scores of {scorer.name}")
        if not torch.isfinite(scores).all():
            raise ScoreError(
                f"scorer {scorer.name} gave a score that is not finite at scale {self.scale + 1};"
                " check its weights, or run in --dtype float32"
            )
        return scores.float()

    def proposed(self, tokens: Tensor) -> tuple[Tensor | None, Tensor]:
        """The latent with what candidates (B, m, L_k) add to it, or no latent and their maps."""
        if not hasattr(self.state, "increments"):
            return None, self.state.propose(tokens)
        state = cast(SupportsIncrements, self.state)  # by hasattr, since counters wrap states
        return state.latent, state.increments(tokens)

    def select(self, tokens: Callable[[], Tensor], scores: Tensor, selector: Selector) -> Tensor:
        """Index (B,) of the chosen candidates, checked."""
        count = scores.shape[1]
        uniforms = selection_uniforms(self.seeds, self.settings.stream, self.scale, count)
        context = SelectionContext(
            self.scale, self.labels, scores, uniforms, tokens, lambda: self.state.propose(tokens())
        )
        index = selector.select(context)
        check_shape(index, (scores.shape[0],), f"choice of {selector.name}")
        if index.dtype != torch.int64 or bool(((index < 0) | (index >= count)).any()):
            raise ShapeError(f"selector {selector.name} must choose int64 indices from 0 to {count - 1}")
        return index


def filtered(logits: Tensor, top_k: int, settings: SearchSettings) -> Distribution:
    """The distribution that tokens are drawn from, of guided logits (B, L, V)."""
    ranked = settings.sampler == FAST and (top_k > 0 or settings.top_p > 0)  # else nothing need be sorted
    kind = RankedDistribution if ranked else TokenDistribution
    return kind.from_logits(logits, top_k, settings.top_p)


def check_logits(logits: Tensor, info: BackboneInfo, scale: int, batch: int) -> None:
    """Refuse logits of the wrong shape, and NaN, which half precision makes when it overflows."""
    check_shape(logits, (batch, info.lengths[scale], info.codebook_size), f"{info.name} logits")
    if bool(logits.isnan().any()):
        raise RunError(
            f"{info.name} gave logits that are not numbers at scale {scale + 1};"
            " run in --dtype float32 or check the weights"
        )


def check_shape(tensor: Tensor, expected: tuple[int, ...], what: str) -> None:
    """Raise ``ShapeError`` with got and expected."""
    if tuple(tensor.shape) != expected:
        raise ShapeError(f"{what} must have shape {expected}, got {tuple(tensor.shape)}")
