"""Beam search over scales: several paths an image, of which the best are kept at each scale.

Riise et al. 2025 (2510.16751). With W paths p, candidates r of scale k and a scorer S, the paths after the
scale are the W best of all (p, r):

    P_k = argmax^W { S(c, e_k(p, r), k) : p in P_(k-1), r of m_k drawn after p }

W = 1 is Algorithm 1 of the LSRS paper with the greedy selector. A scale takes as many transformer passes an
image as there are paths before it, W at most; every candidate is scored once; one image is decoded.

Axis letters: B images, P paths of an image, R = B P rows, M candidates of a path, L tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tts.checks import check_batch, check_logits
from tts.config import SearchSettings, parse_scales
from tts.errors import UsageError
from tts.interfaces import Backbone, BackboneInfo, ScaleEvent
from tts.limits import CANDIDATES, brief
from tts.ranked import filtered
from tts.sampling import Distribution
from tts.search import SearchResult, Step, effective_candidates
from tts.specs import StrategyRequest
from tts.strategies.arguments import parse_options
from tts.strategies.paths import Paths, check_paths
from tts.strategies.strategy import Judges, no_own_counts


@dataclass(frozen=True)
class BeamOptions:
    """``paths`` is W; ``prune`` the scales, counted from 1, after which the W best of all candidates go on.

    After others each path goes on with the best of its own. ``prune`` reads like ``3-`` or ``2-4``; scales
    are joined by ``+`` (``2+5``).
    """

    paths: int = 4
    prune: str = "1-"

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if self.paths < 1:
            raise ValueError(f"paths {self.paths} must be at least 1; 1 is lsrs with the greedy selector")
        if self.paths > CANDIDATES:
            raise ValueError(f"paths {brief(self.paths)} must be at most {CANDIDATES}")

    def prunes(self, scales: int) -> frozenset[int]:
        """The zero-based scales."""
        return frozenset(parse_scales(self.prune.replace("+", ","), scales))


@dataclass(frozen=True)
class Beam:
    """Beam search with at most ``options.paths`` paths an image, from one at the first scale."""

    options: BeamOptions

    def check(self, info: BackboneInfo) -> None:
        """Refuse scales that a backbone does not have."""
        self.options.prunes(info.scales)

    @torch.inference_mode()
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
        """One image for each label (B,) and seed (B,): of the last paths the one with the highest score.

        Candidate i of an image's path p has the noise of number p M + i, so that the first path's are those
        of ``lsrs``. ``winner_index`` counts all candidates of an image at a scale.
        """
        no_own_counts(counts, "beam")
        info = backbone.info
        prunes = self.options.prunes(info.scales)
        check_batch(backbone.info, labels, seeds, prefix)
        state = backbone.begin(labels, settings.cfg)
        check_paths(state, info, "beam")
        paths = Paths(state, labels, seeds, info)
        for scale, count in enumerate(effective_candidates(info, settings)):
            logits = state.logits()  # R V
            if scale < len(prefix):
                paths.commit(prefix[scale])
                continue
            check_logits(logits, info, scale, len(paths.labels))
            step = Step(state, scale, paths.labels, paths.seeds, settings, info)
            top_k = settings.top_k if info.stochastic[scale] else 1
            distribution = filtered(logits, top_k, settings)
            numbers = paths.number[:, None] * count + torch.arange(count, device=labels.device)  # R M
            kept = min(self.options.paths, paths.count * count) if scale in prunes else paths.count
            if count == 1 and kept == paths.count:
                paths.commit(step.draw(distribution, numbers)[:, 0])
                continue
            if judges.scorer is None:
                raise UsageError("strategy beam needs a scorer; pass --scorer or --candidates 1")
            expand(paths, step, distribution, numbers, kept, scale in prunes, judges)
        return paths.finish(paths.latest().argmax(dim=1), settings.decode)


def expand(
    paths: Paths,
    step: Step,
    distribution: Distribution,
    numbers: Tensor,
    kept: int,
    prunes: bool,
    judges: Judges,
) -> None:
    """Score the candidates (R, M) of all paths, and go on with the ``kept`` best of each image."""
    assert judges.scorer is not None
    count = numbers.shape[1]
    scores = step.scores(distribution, numbers, judges.scorer)  # R M
    if prunes:
        ranks = masked_repeats(scores, paths, step, distribution, numbers) if kept > 1 else scores
        order = paths.of_image(ranks).flatten(1).argsort(dim=1, descending=True, stable=True)
        chosen = order[:, :kept].sort(dim=1).values  # B W, in the order of their numbers
    else:
        best = paths.of_image(scores).argmax(dim=2)  # B P
        chosen = best + count * torch.arange(paths.count, device=best.device)
    flat = paths.of_image(scores).flatten(1)  # B PM
    observe(paths, step, distribution, numbers, flat, judges)
    if step.settings.trace:
        paths.trace[step.scale] = flat
    rows = paths.keep(chosen // count)  # R'
    after = replace(step, labels=paths.labels, seeds=paths.seeds)
    tokens = after.draw(distribution.of_rows(rows), chosen.flatten()[:, None])[:, 0]
    paths.scores[:, step.scale] = flat.gather(1, chosen).flatten()
    paths.index[:, step.scale] = chosen.flatten()
    paths.commit(tokens)


def masked_repeats(
    scores: Tensor, paths: Paths, step: Step, distribution: Distribution, numbers: Tensor
) -> Tensor:
    """Scores (R, M) with -inf for candidates that repeat an earlier one of the same path.

    Equal ones would be the same path several times. Scales of few tokens have many of them.
    """
    tokens = step.draw(distribution, numbers)  # R M L
    row = torch.arange(len(tokens), device=tokens.device)[:, None, None].expand(-1, tokens.shape[1], 1)
    flat = torch.cat((row, tokens), dim=2).flatten(0, 1)  # RM 1+L
    _, group = flat.unique(dim=0, return_inverse=True)  # RM
    order = torch.arange(len(flat), device=flat.device)
    first = order.new_full((len(flat),), len(flat)).scatter_reduce(0, group, order, "amin")
    repeats = (first[group] != order).view_as(scores)
    return scores.masked_fill(repeats, -torch.inf)


def observe(
    paths: Paths, step: Step, distribution: Distribution, numbers: Tensor, scores: Tensor, judges: Judges
) -> None:
    """Tell observers of all candidates of each image (B, P M) and of the best one."""
    if not judges.observers:
        return

    count = paths.count

    def tokens() -> Tensor:
        drawn = step.draw(distribution, numbers)  # R M L
        return drawn.unflatten(0, (-1, count)).flatten(1, 2)  # B PM L

    labels, seeds = paths.labels[::count], paths.seeds[::count]
    event = ScaleEvent(step.scale, labels, seeds, scores, scores.argmax(dim=1), tokens)
    for observer in judges.observers:
        observer(event)


def build(request: StrategyRequest) -> Beam:
    """Factory of beam search: ``beam:4``, ``beam:paths=8,prune=3-``."""
    return Beam(parse_options(BeamOptions, "beam", request.argument))
