"""Sequential Monte Carlo over scales: a population of paths an image, weighted by what a scorer says of them.

TTS-VAR (2507.18537) resamples VAR's paths by scores with populations that shrink from scale to scale; the
method is that of Del Moral, Doucet and Jasra 2006. Path i at scale k has the weight

    log w_k(i) = log w_(k-1)(i) + g S(c, e_k(i), k) - g S(c, e_(k-1)(i), k - 1)    potential "increment"
    log w_k(i) = log w_(k-1)(i) + g S(c, e_k(i), k)                                potential "value"

with the strength g, and S = 0 before the first scored scale, so that increments sum to g S(c, e_K, K): then
the last population stands for p(image | c) exp(g S(c, e_K, K)) up to a constant. Where the effective sample
size 1 / sum W^2 of the normalised weights W falls below a share of the population, and where the next
population is smaller, the paths are resampled systematically: path i has floor or ceil of n W_i descendants,
n W_i on average, of equal weight.

m_k of ``--candidates`` is the population at scale k. A scale takes one transformer pass a path that comes to
it, and one score a path; one image is decoded.

Axis letters: B images, P paths of an image, R = B P rows, L tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tts.checks import check_batch, check_logits
from tts.config import SearchSettings
from tts.errors import UsageError
from tts.interfaces import Backbone, BackboneInfo, ScaleEvent
from tts.noise import resampling_uniforms
from tts.ranked import filtered
from tts.sampling import Distribution
from tts.search import SearchResult, Step
from tts.specs import StrategyRequest
from tts.strategies.arguments import parse_options
from tts.strategies.paths import Paths, check_paths
from tts.strategies.strategy import Judges, no_own_counts

POTENTIALS = ("increment", "value")
CHOICES = ("draw", "best")


@dataclass(frozen=True)
class ParticleOptions:
    """``strength`` is g; below ``ess`` of the population as effective sample size it is resampled.

    ``final`` says which path becomes the image: a draw by the weights, or the ``best``, the one with the
    highest last score.
    """

    strength: float = 1.0
    ess: float = 0.5
    potential: str = "increment"
    final: str = "draw"

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if not 0 <= self.strength < float("inf"):
            raise ValueError(f"strength {self.strength} must be a number of at least 0; 0 ignores the scores")
        if not 0 <= self.ess <= 1:
            raise ValueError(f"ess {self.ess} must be from 0 (never resample) to 1 (after every scale)")
        for name, value, known in (
            ("potential", self.potential, POTENTIALS),
            ("final", self.final, CHOICES),
        ):
            if value not in known:
                raise ValueError(f"unknown {name} {value!r}; use {' or '.join(known)}")


@dataclass(frozen=True)
class Particles:
    """Sequential Monte Carlo with the populations m_1..m_K of the settings."""

    options: ParticleOptions

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
        """One image for each label (B,) and seed (B,).

        Path i has the noise of candidate i; what is resampled depends on the image's seed and scores only.
        ``winner_index`` holds the number of the image's path at each scale.
        """
        no_own_counts(counts, "particles")
        info = backbone.info
        check_batch(backbone.info, labels, seeds, prefix)
        state = backbone.begin(labels, settings.cfg)
        check_paths(state, info, "particles")
        paths = Paths(state, labels, seeds, info)
        weights = torch.zeros(len(labels), 1, device=labels.device)  # B P, logarithms
        for scale, count in enumerate(populations(info, settings)):
            if scale >= len(prefix) and count <= paths.count:
                weights = self.resample(paths, weights, count, scale, settings)
            logits = state.logits()  # R V
            if scale < len(prefix):
                paths.commit(prefix[scale])
                continue
            check_logits(logits, info, scale, len(paths.labels))
            top_k = settings.top_k if info.stochastic[scale] else 1
            distribution = filtered(logits, top_k, settings)
            if count > paths.count:  # after the pass, which more paths of one past share
                chosen = offspring(weights, uniforms(paths, scale, settings), count)
                distribution = distribution.of_rows(paths.keep(chosen))
                weights = torch.zeros(len(labels), count, device=labels.device)
            step = Step(state, scale, paths.labels, paths.seeds, settings, info)
            weights = self.advance(paths, step, distribution, weights, judges)
        return paths.finish(self.choose(paths, weights, settings), settings.decode)

    def resample(
        self, paths: Paths, weights: Tensor, count: int, scale: int, settings: SearchSettings
    ) -> Tensor:
        """Log-weights (B, count) of the paths that go on, if few carry the weight or there are too many."""
        few = effective_sample_size(weights) < self.options.ess * paths.count  # B
        shrinks = count < paths.count
        if not shrinks and not bool(few.any()):
            return weights
        chosen = offspring(weights, uniforms(paths, scale, settings), count)  # B count
        if not shrinks:
            same = torch.arange(count, device=chosen.device).expand_as(chosen)
            chosen = torch.where(few[:, None], chosen, same)
        paths.keep(chosen)
        return (
            torch.zeros_like(chosen, dtype=weights.dtype)
            if shrinks
            else weights.masked_fill(few[:, None], 0.0)
        )

    def advance(
        self, paths: Paths, step: Step, distribution: Distribution, weights: Tensor, judges: Judges
    ) -> Tensor:
        """Draw one map for each path, and give the log-weights (B, P) that its scores make."""
        numbers = paths.number[:, None]  # R 1
        tokens = step.draw(distribution, numbers)[:, 0]  # R L
        paths.index[:, step.scale] = paths.number
        if paths.count > 1:
            if judges.scorer is None:
                raise UsageError("strategy particles needs a scorer; pass --scorer or --candidates 1")
            scores = step.scores(distribution, numbers, judges.scorer)[:, 0]  # R
            before = paths.latest() if self.options.potential == "increment" else 0.0
            weights = weights + self.options.strength * (paths.of_image(scores) - before)
            paths.scores[:, step.scale] = scores
            self.tell(paths, step, tokens, judges)
        paths.commit(tokens)
        return weights

    def tell(self, paths: Paths, step: Step, tokens: Tensor, judges: Judges) -> None:
        """Keep the trace, and tell observers of all paths with the best one as the choice."""
        scores = paths.of_image(paths.scores[:, step.scale])  # B P
        if step.settings.trace:
            paths.trace[step.scale] = scores
        labels, seeds, maps = (paths.of_image(part) for part in (paths.labels, paths.seeds, tokens))
        event = ScaleEvent(step.scale, labels[:, 0], seeds[:, 0], scores, scores.argmax(dim=1), lambda: maps)
        for observer in judges.observers:
            observer(event)

    def choose(self, paths: Paths, weights: Tensor, settings: SearchSettings) -> Tensor:
        """The path (B,) of each image that becomes it."""
        if self.options.final == "best":
            return paths.latest().argmax(dim=1)
        return offspring(weights, uniforms(paths, paths.info.scales, settings), 1)[:, 0]


def populations(info: BackboneInfo, settings: SearchSettings) -> tuple[int, ...]:
    """Paths an image at each scale: one everywhere if no token is drawn at random."""
    if settings.top_k == 1 or not any(info.stochastic):
        return (1,) * info.scales
    return settings.candidates


def uniforms(paths: Paths, scale: int, settings: SearchSettings) -> Tensor:
    """One uniform (B,) an image for what happens before a scale."""
    return resampling_uniforms(paths.of_image(paths.seeds)[:, 0], settings.stream, scale)


def normalised(weights: Tensor) -> Tensor:
    """Weights (B, P) that sum to one, float64 and so on the CPU, of log-weights (B, P)."""
    return weights.cpu().double().softmax(dim=1)


def effective_sample_size(weights: Tensor) -> Tensor:
    """1 / sum W^2 (B,): from 1, where one path has all the weight, to P, where all have the same."""
    return (1 / normalised(weights).square().sum(dim=1)).to(weights.device, torch.float32)


def offspring(weights: Tensor, uniforms: Tensor, count: int) -> Tensor:
    """Systematic resampling: ``count`` paths (B, count) in ascending order by log-weights (B, P).

    ``uniforms`` (B,) shift an even comb over the cumulative weights, so path i appears floor or ceil of
    ``count`` W_i times, and ``count`` W_i times on average.
    """
    cumulative = normalised(weights).cumsum(dim=1)
    comb = (torch.arange(count) + uniforms.cpu().double()[:, None]) / count  # B count
    found = torch.searchsorted(cumulative, comb * cumulative[:, -1:], right=True)
    return found.clamp_max(weights.shape[1] - 1).to(weights.device)


def build(request: StrategyRequest) -> Particles:
    """Factory of sequential Monte Carlo: ``particles``, ``particles:strength=2,final=best``."""
    return Particles(parse_options(ParticleOptions, "particles", request.argument))
