"""What must hold before figures are computed, and what makes them doubtful.

Axis letters: N images, D features, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from tts.checks import check_labels, check_matrix, check_numbers_in
from tts.errors import ShapeError, UsageError
from tts.evaluation.features import Features
from tts.evaluation.figures import MetricOptions, Reference
from tts.evaluation.frechet import FrechetStatistics
from tts.limits import check_numbers

_DEVIATIONS = 6.0  # above chance, for neighbours to be alike: once in 10^9 shuffled sets
_RATIO = 1.5  # and this many times as often as by chance: less does no harm to the Inception Score


def check_comparable(samples: Features, reference: Reference, options: MetricOptions) -> None:
    """Refuse sets that no figures can be computed of, and options that are out of range."""
    for what, value, kind in (
        ("samples", samples, Features),
        ("reference", reference, Reference),
        ("options", options, MetricOptions),
    ):
        if not isinstance(value, kind):
            raise ShapeError(f"{what} must be {kind.__name__}, got {type(value).__name__}")
    _check_options(options)
    check_matrix(samples.pool, "pooled features of the samples")
    if len(samples) < 2:
        raise UsageError(f"figures need at least 2 images, got {len(samples)}; generate more")
    _check_finite(samples, "samples")
    _check_width("pooled features", samples.pool, len(reference.pool.mean))
    if samples.spatial is not None and reference.spatial is not None:
        _check_width("spatial features", samples.spatial, len(reference.spatial.mean))
    if reference.features is not None:
        _check_finite(reference.features, "reference")
        _check_width("pooled features", samples.pool, reference.features.pool.shape[1])
    for name, part in (("logits", samples.logits), ("spatial", samples.spatial)):
        if part is not None and len(part) != len(samples):
            raise ShapeError(f"{len(samples)} images have {len(part)} rows of {name}, expected one each")
    if samples.labels is not None:
        check_labels(samples.labels, len(samples))


def doubts(samples: Features, reference: Reference, options: MetricOptions) -> Iterator[str]:
    """One line for each thing that makes figures of these sets doubtful."""
    images, features = samples.pool.shape
    if images <= features:
        remedy = "use more images" if options.extrapolate else "use more images, or --extrapolate"
        yield (
            f"{images} images for {features} features: their covariance is singular and the distance is"
            f" biased upwards; {remedy}"
        )
    if _few(reference.pool):
        yield (
            f"the reference has {reference.pool.count} images for {features} features: its covariance is"
            " singular and the distance is biased upwards; use a reference of more images"
        )
    if options.extrapolate and images <= 2 * features:
        yield (
            f"{images} images are too few to extrapolate over: half of them do not fill {features} features;"
            f" use more than {4 * features}"
        )
    if small := _too_few_for_manifold(samples, reference, options):
        yield (
            f"{small} images are too few for precision and recall with {options.neighbours} neighbours, which"
            " are left out; use more images"
        )
    if samples.logits is not None and images > options.split and _ordered(samples.labels, samples.logits):
        yield (
            "the images are not shuffled, neighbours have the same class: the Inception Score of consecutive"
            f" parts of {options.split} is meaningless; shuffle them with 'tts pack'"
        )


def has_manifold(samples: Features, reference: Reference, options: MetricOptions) -> bool:
    """Whether precision and recall are asked for, and both sets have enough images."""
    return (
        options.manifold
        and reference.features is not None
        and not _too_few_for_manifold(samples, reference, options)
    )


def _too_few_for_manifold(samples: Features, reference: Reference, options: MetricOptions) -> int:
    """The number of images of the smaller set, if it is too small; 0 where nothing is wrong."""
    if not options.manifold or reference.features is None:
        return 0
    smaller = min(len(samples), len(reference.features))
    return smaller if smaller <= options.neighbours else 0


def _few(statistics: FrechetStatistics) -> bool:
    return statistics.count is not None and statistics.count <= len(statistics.mean)


def _ordered(labels: Tensor | None, logits: Tensor) -> bool:
    """Whether neighbours have the same class far more often than in a shuffled set.

    Classes are the labels, or what the extractor takes the images for.
    """
    classes = (logits.argmax(dim=1) if labels is None else labels).unique(return_inverse=True)[1]
    pairs = len(classes) - 1
    counts = classes.bincount().double()
    chance = float((counts * (counts - 1)).sum()) / (len(classes) * pairs)
    alike = float((classes[1:] == classes[:-1]).double().mean())
    error = (chance * (1 - chance) / pairs) ** 0.5
    return alike > chance + _DEVIATIONS * error and alike > _RATIO * chance


def _check_options(options: MetricOptions) -> None:
    check_numbers(options)
    rules = (
        (
            "bootstrap",
            options.bootstrap,
            options.bootstrap == 0 or options.bootstrap >= 20,
            "0, or 20 or more",
        ),
        ("confidence", options.confidence, 0 < options.confidence < 1, "between 0 and 1"),
    )
    for name, value, holds, rule in rules:
        if not holds:
            raise UsageError(f"{name} is {value}, it must be {rule}; change it")


def _check_width(what: str, samples: Tensor, expected: int) -> None:
    if samples.ndim != 2 or samples.shape[1] != expected:
        raise UsageError(
            f"{what} of the samples have shape {tuple(samples.shape)}, the reference has {expected} of them;"
            " use the extractor that the reference was made with"
        )


def _check_finite(features: Features, whose: str) -> None:
    check_numbers_in(features.pool, f"pooled features of the {whose}")
    for name, part in (("spatial features", features.spatial), ("logits", features.logits)):
        if part is not None:
            check_numbers_in(part, f"{name} of the {whose}")
