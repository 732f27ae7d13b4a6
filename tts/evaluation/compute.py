"""All figures of samples against a reference, from their features.

Axis letters: N images, D features, C classes of the extractor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tts.evaluation.checks import check_comparable, doubts, has_manifold
from tts.evaluation.classes import accuracy, strange_labels, within_class_variance
from tts.evaluation.extrapolation import fid_infinity, inception_score_infinity
from tts.evaluation.features import Features
from tts.evaluation.figures import Figures, MetricOptions, Reference
from tts.evaluation.frechet import FrechetStatistics, frechet_distance, frechet_parts
from tts.evaluation.inception_score import inception_score
from tts.evaluation.manifold import Coverage, coverage
from tts.evaluation.spread import bootstrap


def _ignore(doubt: str) -> None:
    """Tell nobody."""


def evaluate(
    samples: Features,
    reference: Reference,
    options: MetricOptions,
    knows_labels: bool = False,
    warn: Callable[[str], None] = _ignore,
) -> Figures:
    """Figures of samples against a reference.

    ``knows_labels`` says that the extractor's classes are those of the labels, so that there is an accuracy.
    ``warn`` is called with one line for each thing that makes figures doubtful: too few images, or images in
    the order of their classes. Raises ``UsageError`` for fewer than two images, features of another extractor
    than the reference's, NaN or infinity, and options out of range.
    """
    check_comparable(samples, reference, options)
    for doubt in doubts(samples, reference, options):
        warn(doubt)
    figures = _with_scores(_distances(samples, reference), samples, options, knows_labels, warn)
    found = _coverage(samples, reference, options)
    if found:
        figures = replace(figures, precision=found.precision, recall=found.recall)
    if options.extrapolate:
        figures = _extrapolated(figures, samples, reference, options.seed)
    if options.bootstrap:
        inside = found.inside if found else None
        figures = replace(figures, intervals=bootstrap(samples, reference, options, figures, inside, warn))
    return figures


def _distances(samples: Features, reference: Reference) -> Figures:
    """FID with its parts, and sFID."""
    parts = frechet_parts(reference.pool, FrechetStatistics.of(samples.pool))
    spatial: float | None = None
    if samples.spatial is not None and reference.spatial is not None:
        spatial = frechet_distance(reference.spatial, FrechetStatistics.of(samples.spatial))
    return Figures(
        images=len(samples),
        fid=parts.distance,
        mean_diff2=parts.mean_diff2,
        trace_reference=parts.trace_a,
        trace_samples=parts.trace_b,
        two_trace_sqrt=parts.two_trace_sqrt,
        sfid=spatial,
    )


def _with_scores(
    figures: Figures,
    samples: Features,
    options: MetricOptions,
    knows_labels: bool,
    warn: Callable[[str], None],
) -> Figures:
    """With the figures that need logits or labels."""
    logits, labels = samples.logits, samples.labels
    if logits is not None:
        figures = replace(
            figures,
            inception_score=inception_score(logits, options.split),
            inception_score_single=inception_score(logits),
        )
    if labels is not None:
        figures = replace(figures, variance=within_class_variance(samples.pool, labels))
        if knows_labels and logits is not None:
            if strange := strange_labels(labels, logits.shape[1]):
                warn(strange)
            else:
                figures = replace(figures, accuracy=accuracy(logits, labels))
    return figures


def _coverage(samples: Features, reference: Reference, options: MetricOptions) -> Coverage | None:
    if reference.features is None or not has_manifold(samples, reference, options):
        return None
    return coverage(reference.features.pool, samples.pool, options.neighbours, options.half)


def _extrapolated(figures: Figures, samples: Features, reference: Reference, seed: int) -> Figures:
    """With the figures at infinitely many samples."""
    score = None if samples.logits is None else inception_score_infinity(samples.logits, seed)
    return replace(
        figures,
        fid_infinity=fid_infinity(samples.pool, reference.pool, seed),
        inception_score_infinity=score,
    )
