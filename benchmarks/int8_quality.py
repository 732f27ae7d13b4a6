"""What int8 blocks change, for ``benchmarks/int8_blocks.py``: logits, draws, choices, Frechet distances.

Logits and draws are compared on the same prefixes: all arms are given token maps that float32 sampled.

Axis letters: B images, M candidates, L tokens of a scale, V codes.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from digits_quality import Setting, generate
from torch import Tensor

from tts.config import SearchSettings
from tts.evaluation.compute import evaluate
from tts.evaluation.figures import MetricOptions
from tts.evaluation.references import load_reference
from tts.interfaces import Backbone, BackboneState, Proposals, Scorer
from tts.noise import token_uniforms
from tts.noise_streams import Stream
from tts.resolve import build_features
from tts.sampling import TokenDistribution
from tts.search import search
from tts.selectors import GreedySelector

CPU = torch.device("cpu")
CANDIDATES = 8


@dataclass
class Changes:
    """An arm's figures so far, a tensor a scale: of tokens, of candidates' maps, of choices."""

    spread: list[Tensor] = field(default_factory=list)
    difference: list[Tensor] = field(default_factory=list)
    largest: list[Tensor] = field(default_factory=list)
    divergence: list[Tensor] = field(default_factory=list)
    distance: list[Tensor] = field(default_factory=list)
    other_token: list[Tensor] = field(default_factory=list)
    other_map: list[Tensor] = field(default_factory=list)
    other_number: list[Tensor] = field(default_factory=list)
    other_choice: list[Tensor] = field(default_factory=list)

    def add_logits(self, wanted: Tensor, found: Tensor) -> None:
        """Guided logits (B, L, V), of which softmax sees differences only."""
        wanted, found = (x - x.mean(dim=-1, keepdim=True) for x in (wanted, found))
        self.spread.append(wanted.std(dim=-1))
        self.difference.append((found - wanted).abs().mean(dim=-1))
        self.largest.append((found - wanted).abs().amax(dim=-1))
        logs = wanted.log_softmax(dim=-1)
        self.divergence.append((logs.exp() * (logs - found.log_softmax(dim=-1))).sum(dim=-1))

    def add_draws(self, wanted: Draws, found: Draws) -> None:
        """Distributions of one scale, what the same uniforms draw from them, and what a scorer keeps."""
        probabilities = (draws.distribution.log_probs.exp() for draws in (wanted, found))
        self.distance.append(torch.sub(*probabilities).abs().sum(dim=-1) / 2)
        other = wanted.tokens != found.tokens  # B M L
        self.other_token.append(other.float())
        self.other_map.append(other.any(dim=-1).float())
        if wanted.winner is not None and found.winner is not None:
            self.other_number.append((wanted.winner != found.winner).float())
            self.other_choice.append((wanted.chosen != found.chosen).any(dim=-1).float())

    def figures(self) -> dict[str, float]:
        """Means over all tokens, maps or choices; changes of logits in spreads of a token's logits."""
        spread = joined(self.spread).mean()
        found = {
            "logits_mean_change": joined(self.difference).mean() / spread,
            "logits_largest_change": joined(self.largest).max() / spread,
            "kl_divergence": joined(self.divergence).mean(),
            "total_variation": joined(self.distance).mean(),
            "total_variation_largest": joined(self.distance).max(),
            "other_tokens": joined(self.other_token).mean(),
            "other_maps_of_a_scale": joined(self.other_map).mean(),
        }
        if self.other_number:
            found["other_winner_number"] = joined(self.other_number).mean()
            found["other_winner_map"] = joined(self.other_choice).mean()
        return {name: float(value) for name, value in found.items()}


@dataclass(frozen=True)
class Draws:
    """Candidates (B, M, L) of one scale, and the number (B,) of the one that a scorer, if any, prefers."""

    distribution: TokenDistribution
    tokens: Tensor
    winner: Tensor | None

    @property
    def chosen(self) -> Tensor:
        """The preferred map (B, L)."""
        assert self.winner is not None
        return self.tokens[torch.arange(len(self.tokens)), self.winner]


@dataclass(frozen=True)
class Prefixes:
    """Token maps (B, L_k) that a float32 model sampled for labels and seeds (B,)."""

    labels: Tensor
    seeds: Tensor
    maps: tuple[Tensor, ...]

    @staticmethod
    def sampled(backbone: Backbone, images: int) -> Prefixes:
        """By plain sampling with the model's own settings."""
        info, seeds = backbone.info, torch.arange(images)
        labels, plan = seeds * 7 % info.classes, (1,) * info.scales
        defaults = info.sampling
        settings = SearchSettings(plan, defaults.cfg, defaults.top_k, defaults.top_p, decode=False)
        tokens = search(backbone, None, GreedySelector(), settings, labels, seeds).tokens
        return Prefixes(labels, seeds, tokens.split(info.lengths, dim=1))


@dataclass(frozen=True)
class Comparison:
    """Arms on the same prefixes; the first is the one that the others are compared with."""

    arms: Mapping[str, Backbone]
    scorer: Scorer | None
    prefixes: Prefixes

    @torch.inference_mode()
    def figures(self) -> dict[str, dict[str, float]]:
        """What every arm but the first changes."""
        base, *others = self.arms
        sampling, found = self.arms[base].info.sampling, {name: Changes() for name in others}
        states = {name: arm.begin(self.prefixes.labels, sampling.cfg) for name, arm in self.arms.items()}
        for scale, tokens in enumerate(self.prefixes.maps):
            logits = {name: state.logits() for name, state in states.items()}
            draws = {name: self._draws(x, states[base], scale) for name, x in logits.items()}
            for name, changes in found.items():
                changes.add_logits(logits[base], logits[name])
                changes.add_draws(draws[base], draws[name])
            for state in states.values():
                state.commit(tokens)
        return {name: changes.figures() for name, changes in found.items()}

    def _draws(self, logits: Tensor, state: BackboneState, scale: int) -> Draws:
        """Candidates of guided logits (B, L, V), and the winner from the second scale on."""
        prefixes, sampling = self.prefixes, next(iter(self.arms.values())).info.sampling
        distribution = TokenDistribution.from_logits(logits, sampling.top_k, sampling.top_p)
        uniforms = token_uniforms(prefixes.seeds, Stream.SAMPLE, scale, range(CANDIDATES), logits.shape[1])
        tokens = distribution.draw(uniforms)  # B M L
        if self.scorer is None or scale == 0:
            return Draws(distribution, tokens, None)
        maps, log_probs = state.propose(tokens), distribution.log_prob(tokens)
        scores = self.scorer.score(Proposals(scale, prefixes.labels, tokens, maps, log_probs))
        return Draws(distribution, tokens, scores.argmax(dim=1))


def joined(parts: list[Tensor]) -> Tensor:
    """All values, whatever their shapes."""
    return torch.cat([part.flatten() for part in parts])


def frechet_distances(
    name: str, arms: Mapping[str, Backbone], repeats: int, images: int
) -> dict[str, dict[str, object]]:
    """Frechet distances of plain samples to held-out digits, and their differences to the first arm's.

    All arms sample the same labels with the same seeds, set by set.
    """
    extractor = build_features("digits", CPU)
    real, options = load_reference("heldout", extractor), MetricOptions(manifold=False)
    values: dict[str, list[float]] = {}
    for arm, backbone in arms.items():
        made = [generate(Setting(name, 1), (backbone, None), extractor, i, images)[0] for i in range(repeats)]
        values[arm] = [evaluate(found, real, options, extractor.knows_labels).fid for found in made]
        print(f"{name}, {arm}: {values[arm]}", flush=True)
    base = next(iter(values.values()))
    changes = {arm: [a - b for a, b in zip(own, base, strict=True)] for arm, own in values.items()}
    return {
        arm: {
            "values": values[arm],
            "mean": statistics.fmean(values[arm]),
            "spread": statistics.stdev(values[arm]),
            "change": statistics.fmean(changes[arm]),
            "spread_of_change": statistics.stdev(changes[arm]),
        }
        for arm in values
    }
