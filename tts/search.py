"""Latent scale rejection sampling: Algorithm 1 of the LSRS paper, for any backbone, scorer and selector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor

from tts.checks import (
    check_batch,
    check_counts,
    check_floats,
    check_images,
    check_logits,
    check_part,
    check_shape,
)
from tts.config import SearchSettings
from tts.errors import ScoreError, ShapeError, UsageError
from tts.fast.compiling import compiled_mix
from tts.groups import EVERY, Group, grouped, portions, unscored
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
    SupportsPreviews,
    no_previews,
)
from tts.limits import flat
from tts.noise import mixed, selection_uniforms, token_uniforms
from tts.owners import titled
from tts.ranked import filtered
from tts.sampling import Distribution

Observer = Callable[[ScaleEvent], None]

BYTES_PER_ELEMENT = 64
"""Memory a candidate needs while it is scored, for each element of its map: the map and activations."""

BYTES_PER_PIXEL = 1024
"""Memory a candidate needs while it is decoded, for each pixel of its image."""


@dataclass(frozen=True)
class SearchResult:
    """What was chosen: ``tokens`` (B, sum L_k), ``images`` (B, 3, H, W) in [0, 1] unless decoding is off.

    ``winner_scores`` (B, K) is NaN and ``winner_index`` (B, K) 0 at scales without selection; of a choice
    among whole images they tell at the last scale. ``trace`` holds all scores (B, m_k) of each scale with
    selection, if asked for. Where images have different numbers of candidates, m_k is the largest, scores
    of candidates that an image does not have are -inf, and an only one, which is not scored, has NaN.
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


def effective_candidates(
    info: BackboneInfo, settings: SearchSettings, candidates: Sequence[int] | None = None
) -> tuple[int, ...]:
    """m_1..m_K with one candidate where tokens are not drawn at random and all would be equal.

    ``candidates`` are those of one image, if they are not the settings'.
    """
    counts = candidates or settings.candidates
    if len(counts) != info.scales:
        raise UsageError(
            f"candidates must be a number for each of the {info.scales} scales, got {tuple(counts)!r:.80}"
        )
    greedy = settings.top_k == 1
    return tuple(
        1 if greedy or not random else count for count, random in zip(counts, info.stochastic, strict=True)
    )


def scale_groups(
    info: BackboneInfo, settings: SearchSettings, labels: Tensor, counts: Sequence[Sequence[int]] | None
) -> list[tuple[Group, ...]]:
    """For each scale the images of a batch by their number of candidates, which is in ``counts`` (B, K)."""
    if counts is None:
        return [(Group(count, EVERY),) for count in effective_candidates(info, settings)]
    check_counts(counts, labels.shape[0], info.scales)
    own = [effective_candidates(info, settings, count) for count in counts]
    return [grouped(scale, labels.device) for scale in zip(*own, strict=True)]


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
    counts: Sequence[Sequence[int]] | None = None,
) -> SearchResult:
    """Generate one image for each label (B,) and seed (B,).

    ``prefix`` holds given token maps (B, L_k) of the first scales; the rest is generated. ``number`` is that
    of the candidate which is drawn where no image has a choice. ``counts`` (B, K) are each image's own
    numbers of candidates, in place of the settings': an image comes out as it does alone. Raises
    ``ScoreError`` for scores that are not finite, ``ShapeError`` for tensors of the wrong shape and
    ``UsageError`` for labels, seeds, token maps and settings that are out of range.
    """
    check_part(backbone, "backbone", "info", "begin")
    check_part(selector, "selector", "needs_scores", "select")
    if scorer is not None:
        check_part(scorer, "scorer", "score")
    if not isinstance(settings, SearchSettings):
        raise UsageError(f"settings must be SearchSettings, got {flat(settings)}")
    info = backbone.info
    check_batch(info, labels, seeds, prefix, number)
    planned, shape = scale_groups(info, settings, labels, counts), (len(labels), info.scales)
    if scorer is None and selector.needs_scores and any(groups[-1].count > 1 for groups in planned):
        raise UsageError(f"selector {titled(selector)} needs a scorer; give one, or one candidate a scale")
    state = backbone.begin(labels, settings.cfg)
    chosen: list[Tensor] = []
    winner_scores = torch.full(shape, torch.nan, device=labels.device)
    winner_index = torch.zeros(shape, dtype=torch.int64, device=labels.device)
    trace: dict[int, Tensor] = {}
    for scale, groups in enumerate(planned):
        logits = state.logits()  # B L V; the pass also fills the cache, so given maps need it too
        if scale < len(prefix):
            tokens = prefix[scale]
        else:
            check_logits(logits, info, scale, labels.shape[0])
            step = Step(state, scale, labels, seeds, settings, info)
            top_k = settings.top_k if info.stochastic[scale] else 1
            distribution = filtered(logits, top_k, settings)
            if groups[-1].count == 1:
                tokens = step.draw(distribution, range(number, number + 1))[:, 0]  # B L
            else:
                choice = step.choose(distribution, groups, scorer, selector, observers)
                tokens = choice.tokens
                winner_index[:, scale] = choice.index
                winner_scores[:, scale] = choice.scores.gather(1, choice.index[:, None])[:, 0]
                if settings.trace:
                    trace[scale] = choice.scores
        state.commit(tokens)
        chosen.append(tokens)
    images = decoded(state, info, shape[0]) if settings.decode else None
    traced = {scale: scores.cpu() for scale, scores in trace.items()}
    return SearchResult(
        torch.cat(chosen, dim=1).cpu(), images, winner_scores.cpu(), winner_index.cpu(), traced
    )


def decoded(state: BackboneState, info: BackboneInfo, batch: int) -> Tensor:
    """The images (B, 3, S, S) of a state, checked."""
    images = state.decode()
    check_images(images, info, batch, f"{titled(info)} images")
    return images


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
        length, stream = self.info.lengths[self.scale], self.settings.stream
        mix = compiled_mix() if self.settings.compiled else mixed
        return distribution.draw(token_uniforms(self.seeds, stream, self.scale, candidates, length, mix))

    @property
    def chunk(self) -> int:
        """Number of candidates of each image that fit the memory budget at once."""
        row = BYTES_PER_ELEMENT * self.info.channels * self.info.grid**2
        return self.settings.chunk or max(1, self.settings.chunk_bytes // (row * self.labels.shape[0]))

    def choose(
        self,
        distribution: Distribution,
        groups: Sequence[Group],
        scorer: Scorer | None,
        selector: Selector,
        observers: Sequence[Observer],
    ) -> Choice:
        """Draw the candidates, score them in chunks, keep one an image (equation 6).

        Scores are all that is kept of a candidate, so memory does not grow with their number; the chosen ones
        are drawn again. Selectors and observers meet images of one number of candidates at a time, so that
        neither can tell an image in a mixed batch from the same image alone.
        """
        batch, device = self.labels.shape[0], self.labels.device
        scores = unscored(groups, batch, device)  # B M
        if scorer is not None and selector.needs_scores:
            for part, rows in portions(groups, self.chunk):
                drawn = self.draw(distribution, part)  # B m L
                scores[rows, part.start : part.stop] = self.score(drawn, distribution, scorer, rows)
        index = torch.zeros(batch, dtype=torch.int64, device=device)
        for group in groups:
            if group.count > 1:
                own = scores[group.rows, : group.count]  # N m
                index[group.rows] = self.select(distribution, group, own, selector, observers)
        return Choice(self.draw(distribution, index[:, None])[:, 0], index, scores)

    def scores(self, distribution: Distribution, numbers: Tensor, scorer: Scorer) -> Tensor:
        """Scores (B, M) of the candidates with numbers (B, M), in chunks; nothing else is kept of them."""
        parts = numbers.split(self.chunk, dim=1)
        return torch.cat(
            [self.score(self.draw(distribution, part), distribution, scorer, EVERY) for part in parts], dim=1
        )

    def score(
        self, tokens: Tensor, distribution: Distribution, scorer: Scorer, rows: Tensor | slice
    ) -> Tensor:
        """Scores (N, m), checked, of the candidates (B, m, L_k) of the images ``rows`` (N,)."""
        info, (latent, maps) = self.info, self.proposed(tokens)
        shape = (*tokens.shape[:2], info.channels, info.grid, info.grid)
        check_floats(maps, shape, f"{titled(info)} proposals")
        log_probs = distribution.log_prob(tokens)
        latent = None if latent is None else latent[rows]
        proposals = Proposals(
            self.scale,
            self.labels[rows],
            tokens[rows],
            maps[rows],
            log_probs[rows],
            latent,
            partial(self.previews, tokens, rows) if hasattr(self.state, "preview") else no_previews,
        )
        scores = scorer.score(proposals)
        what, of = f"scores of {titled(scorer)}", proposals.tokens
        check_shape(scores, tuple(of.shape[:2]), what, of.device)
        if not torch.isfinite(scores).all():
            raise ScoreError(
                f"scorer {titled(scorer)} gave a score that is not finite at scale {self.scale + 1};"
                " check its weights, or run in --dtype float32"
            )
        return scores.float()

    def proposed(self, tokens: Tensor) -> tuple[Tensor | None, Tensor]:
        """The latent with what candidates (B, m, L_k) add to it, or no latent and their maps."""
        if not hasattr(self.state, "increments"):
            return None, self.state.propose(tokens)
        state = cast(SupportsIncrements, self.state)  # by hasattr, since counters wrap states
        return state.latent, state.increments(tokens)

    def previews(self, tokens: Tensor, rows: Tensor | slice) -> Tensor:
        """Images (N, m, 3, S, S) of the candidates (B, m, L_k) of the images ``rows`` (N,)."""
        size, state = self.info.image_size, cast(SupportsPreviews, self.state)
        most = self.settings.chunk_bytes // (BYTES_PER_PIXEL * size**2 * tokens.shape[0])
        parts = [state.preview(part)[rows] for part in tokens.split(max(1, most), dim=1)]
        images = torch.cat(parts, dim=1)
        shape = (images.shape[0], tokens.shape[1], 3, size, size)
        check_floats(images, shape, f"{titled(self.info)} previews")
        return images

    def select(
        self,
        distribution: Distribution,
        group: Group,
        scores: Tensor,
        selector: Selector,
        observers: Sequence[Observer],
    ) -> Tensor:
        """Index (N,) of the chosen candidates of a group by their scores (N, m), checked and observed."""
        rows, count = group.rows, group.count
        labels, seeds = self.labels[rows], self.seeds[rows]

        def drawn() -> Tensor:
            return self.draw(distribution, range(count))  # B m L

        def tokens() -> Tensor:
            return drawn()[rows]

        def maps() -> Tensor:
            return self.state.propose(drawn())[rows]

        uniforms = selection_uniforms(seeds, self.settings.stream, self.scale, count)
        own = scores.clone()  # a selector may write into its context
        index = selector.select(SelectionContext(self.scale, labels, own, uniforms, tokens, maps))
        check_shape(index, (scores.shape[0],), f"choice of {titled(selector)}", scores.device)
        if index.dtype != torch.int64 or bool(((index < 0) | (index >= count)).any()):
            raise ShapeError(f"selector {titled(selector)} must choose int64 indices from 0 to {count - 1}")
        for observer in observers:
            observer(ScaleEvent(self.scale, labels, seeds, scores, index, tokens))
        return index
