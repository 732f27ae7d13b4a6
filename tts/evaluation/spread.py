"""How far figures would differ for other samples of the same generator.

Axis letters: N samples, R resamples, C classes of the extractor.

Resamples leave samples out and repeat none: the bootstrap's copies (Efron 1979) make a Frechet distance of
few images vary three times as much as it does. The jackknife, which leaves out a group at a time, counts the
part of the variance that comes from pairs of images twice (Efron and Stein 1981), and so is too wide where
the distance is near zero; random halves count it three times. Their difference is that part, which is taken
off. ``benchmarks/coverage.py`` measures what the intervals hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor

from tts.evaluation.classes import correct, resampled_variance
from tts.evaluation.extrapolation import (
    fewest_for_interval,
    resampled_fid_infinity,
    resampled_score_infinity,
)
from tts.evaluation.features import Features
from tts.evaluation.figures import Figures, MetricOptions, Reference
from tts.evaluation.frechet_spread import resampled_parts
from tts.evaluation.inception_score import resampled_scores
from tts.evaluation.paired import t_quantile
from tts.evaluation.recall_spread import recall_of_parts
from tts.evaluation.resampling import halves, without_groups, without_quarters

Intervals = dict[str, tuple[float, float]]

FEWEST = 50
"""Images that an interval needs; of fewer the spread itself is not known well enough."""

WIDEST = 5
"""Half an interval in its figure, at most: ends a factor exp(5) = 148 away tell nothing."""

_SIGNED = ("fid_infinity", "inception_score_infinity")
"""Figures at infinity are differences, whose intervals are symmetric; others are positive and have those of
their logarithm."""


@dataclass(frozen=True)
class _Resamples:
    """Rows of ``kept`` (R, N), bool: first the ``groups`` that lack one group each, then random halves."""

    kept: Tensor
    groups: int

    @staticmethod
    def of(images: int, options: MetricOptions) -> _Resamples:
        left = without_groups(images, options.bootstrap // 2, options.seed)
        rest = halves(images, options.bootstrap - options.bootstrap // 2, options.seed)
        return _Resamples(torch.cat((left, rest)), len(left))

    def deviation(self, values: Tensor) -> float:
        """The standard deviation of a figure whose values (R,) of the resamples are given."""
        images, sizes = self.kept.shape[1], self.kept.sum(dim=1)
        kept, half = int(sizes[0]), int(sizes[-1])
        left, rest = values[: self.groups].var(), values[self.groups :].var()
        jackknife = float(left) * kept**2 / (images * (images - kept))
        halved = float(rest) * half / (images - half)
        return math.sqrt(min(max(2 * jackknife - halved, jackknife / 2), jackknife))


def bootstrap(
    samples: Features,
    reference: Reference,
    options: MetricOptions,
    figures: Figures,
    inside: Tensor | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> Intervals:
    """Intervals (low, high) at ``options.confidence`` of the figures of samples, by name.

    The reference is fixed: what other reference images would change is not in the intervals. They are those
    of figures of N images, with the bias that the FID of N images has; ``fid_infinity`` has none, and an
    interval of its own, at about five times the work. ``figures`` are those of the samples, ``inside`` (N,)
    says which samples precision counts. ``warn`` hears which figures have no interval, and why.
    """
    if len(samples) < FEWEST:
        warn(f"no intervals: {len(samples)} images, they need at least {FEWEST}; generate more")
        return {}
    resamples = _Resamples.of(len(samples), options)
    quantile = t_quantile((1 + options.confidence) / 2, resamples.groups - 1)
    found = dict(_shares(samples, figures, inside, options))
    for name, values in _resampled(samples, reference, options, figures, resamples.kept):
        half = quantile * resamples.deviation(values)
        found[name] = _around(getattr(figures, name), half, name in _SIGNED)
    found.update(_recall(samples, reference, options, figures))
    for said in _too_few_for_infinity(samples, figures):
        warn(said)
    flat = sorted(name for name, (low, high) in found.items() if not low < high)
    if flat:
        why = "too near 0, or all resamples agree, so nothing tells how sure it is"
        warn(f"no interval of {', '.join(flat)}: {why}")
    return {name: ends for name, ends in found.items() if name not in flat}


def _around(estimate: float, half: float, signed: bool) -> tuple[float, float]:
    """Ends at a distance from an estimate, on the scale of logarithms for positive figures."""
    if signed:
        return estimate - half, estimate + half
    if half >= WIDEST * estimate:  # as of a set against itself, whose distance is rounding
        return 0.0, 0.0
    factor = math.exp(half / estimate)
    return estimate / factor, estimate * factor


def _shares(
    samples: Features, figures: Figures, inside: Tensor | None, options: MetricOptions
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Precision and accuracy, which are shares of independent samples."""
    if inside is not None:
        yield "precision", share_interval(float(inside.double().mean()), len(samples), options.confidence)
    if figures.accuracy is not None and samples.logits is not None and samples.labels is not None:
        share = float(correct(samples.logits, samples.labels).double().mean())
        yield "accuracy", share_interval(share, len(samples), options.confidence)


def share_interval(share: float, count: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share of ``count`` independent cases; it is never empty."""
    z = t_quantile((1 + confidence) / 2, 10_000)
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def _recall(
    samples: Features, reference: Reference, options: MetricOptions, figures: Figures
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Recall, whose resamples have balls of their own (``tts.evaluation.recall_spread``)."""
    images, count = len(samples), options.bootstrap // 2
    left_out = images // 4
    if figures.recall is None or not reference.features or images - left_out <= options.neighbours:
        return
    chosen = without_quarters(images, count, options.seed)
    values = recall_of_parts(reference.features.pool, samples.pool, chosen, options.neighbours)
    deviation = math.sqrt(float(values.var()) * (images - left_out) / left_out)
    half = t_quantile((1 + options.confidence) / 2, count - 1) * deviation
    yield "recall", (max(0.0, figures.recall - half), min(1.0, figures.recall + half))


def _resampled(
    samples: Features, reference: Reference, options: MetricOptions, figures: Figures, kept: Tensor
) -> Iterator[tuple[str, Tensor]]:
    """Name and values (R,) of every smooth figure that the samples have."""
    weights = kept.to(torch.int16)
    yield from _distances(samples, reference, weights).items()
    if samples.logits is not None:
        yield "inception_score", resampled_scores(samples.logits, weights, options.split)
        yield "inception_score_single", resampled_scores(samples.logits, weights, len(samples))
    if figures.fid_infinity is not None and _enough(samples.pool):
        yield "fid_infinity", resampled_fid_infinity(samples.pool, reference.pool, weights, options.seed)
    if figures.inception_score_infinity is not None and _enough(samples.logits):
        score = resampled_score_infinity(samples.logits, weights, options.seed)
        yield "inception_score_infinity", score
    if samples.labels is not None:
        yield "variance", resampled_variance(samples.pool, samples.labels, weights)


def _enough(values: Tensor | None) -> TypeGuard[Tensor]:
    """Whether there are values, of enough images for an interval at infinity."""
    return values is not None and len(values) >= fewest_for_interval(values)


def _too_few_for_infinity(samples: Features, figures: Figures) -> Iterator[str]:
    """A line for each figure at infinity that has no interval."""
    for name, values, what in (
        ("fid_infinity", samples.pool, "features"),
        ("inception_score_infinity", samples.logits, "classes"),
    ):
        if getattr(figures, name) is not None and values is not None and not _enough(values):
            yield (
                f"no interval of {name}: {len(values)} images for {values.shape[1]} {what}, it needs at least"
                f" {fewest_for_interval(values)}; generate more"
            )


def _distances(samples: Features, reference: Reference, weights: Tensor) -> Mapping[str, Tensor]:
    """FID and its parts, and sFID."""
    parts = resampled_parts(samples.pool, reference.pool, weights)
    columns = {
        "fid": [part.signed for part in parts],
        "mean_diff2": [part.mean_diff2 for part in parts],
        "trace_samples": [part.trace_b for part in parts],
        "two_trace_sqrt": [part.two_trace_sqrt for part in parts],
    }
    if samples.spatial is not None and reference.spatial is not None:
        spatial = resampled_parts(samples.spatial, reference.spatial, weights)
        columns["sfid"] = [part.signed for part in spatial]
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in columns.items()}
