"""How far figures would differ for other samples of the same generator: the bootstrap (Efron 1979).

Axis letters: N samples, R resamples, C classes of the extractor, n samples of a part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from tts.evaluation.classes import correct, resampled_variance
from tts.evaluation.extrapolation import FEWEST, resampled_fid_infinity, resampled_score_infinity
from tts.evaluation.features import Features
from tts.evaluation.figures import Figures, MetricOptions, Reference
from tts.evaluation.frechet_spread import resampled_parts
from tts.evaluation.inception_score import resampled_scores
from tts.evaluation.recall_spread import recall_of_halves
from tts.evaluation.resampling import all_weights, half_of

Intervals = dict[str, tuple[float, float]]
_RANGES = {
    "precision": (0.0, 1.0),
    "recall": (0.0, 1.0),
    "accuracy": (0.0, 1.0),
    "inception_score": (1.0, np.inf),
    "inception_score_single": (1.0, np.inf),
    "fid_infinity": (-np.inf, np.inf),
    "inception_score_infinity": (-np.inf, np.inf),
}


def bootstrap(
    samples: Features,
    reference: Reference,
    options: MetricOptions,
    figures: Figures,
    inside: Tensor | None = None,
) -> Intervals:
    """Intervals (low, high) at ``options.confidence`` of the figures of samples, by name.

    The reference is fixed: what other reference images would change is not in the intervals. Resample r draws
    N samples with replacement, by the seed and r alone, and serves all figures; recall takes halves without
    replacement (``tts.evaluation.recall_spread``). Intervals are those between percentiles of the resamples,
    moved so that the resamples' mean is the figure: a resample has fewer different images, and its FID is
    higher for that alone. An interval is thus one for figures of N images, with the bias that the FID of N
    images has; ``fid_infinity`` has none, and an interval of its own, at about five times the work.

    ``figures`` are those of the samples, ``inside`` (N,) says which samples precision counts.
    """
    found: Intervals = {}
    for name, values in _resampled(samples, reference, options, figures, inside):
        estimate = getattr(figures, name)
        moved = values.numpy() - float(values.mean()) + estimate
        tail = (1 - options.confidence) / 2
        low, high = np.quantile(moved, (tail, 1 - tail)).clip(*_RANGES.get(name, (0.0, np.inf)))
        found[name] = (float(low), float(high))
    return found


def _resampled(
    samples: Features,
    reference: Reference,
    options: MetricOptions,
    figures: Figures,
    inside: Tensor | None,
) -> Iterator[tuple[str, Tensor]]:
    """Name and values (R,) of every figure that the samples have."""
    weights = all_weights(len(samples), options.bootstrap, options.seed)
    yield from _distances(samples, reference, weights).items()
    if samples.logits is not None:
        yield "inception_score", resampled_scores(samples.logits, weights, options.split)
        yield "inception_score_single", resampled_scores(samples.logits, weights, len(samples))
    if inside is not None:
        yield "precision", _share(inside, weights)
    if figures.recall is not None and reference.features and len(samples) // 2 > options.neighbours:
        numbers = range(options.bootstrap)
        halves = torch.stack([half_of(len(samples), number, options.seed) for number in numbers])
        yield "recall", recall_of_halves(reference.features.pool, samples.pool, halves, options.neighbours)
    if figures.fid_infinity is not None and len(samples) >= 2 * FEWEST:
        yield "fid_infinity", resampled_fid_infinity(samples.pool, reference.pool, weights, options.seed)
        if samples.logits is not None:
            score = resampled_score_infinity(samples.logits, weights, options.seed)
            yield "inception_score_infinity", score
    if samples.labels is not None:
        yield "variance", resampled_variance(samples.pool, samples.labels, weights)
        if figures.accuracy is not None and samples.logits is not None:
            yield "accuracy", _share(correct(samples.logits, samples.labels), weights)


def _distances(samples: Features, reference: Reference, weights: Tensor) -> Mapping[str, Tensor]:
    """FID and its parts, and sFID."""
    parts = resampled_parts(samples.pool, reference.pool, weights)
    columns = {
        "fid": [part.distance for part in parts],
        "mean_diff2": [part.mean_diff2 for part in parts],
        "trace_samples": [part.trace_b for part in parts],
        "two_trace_sqrt": [part.two_trace_sqrt for part in parts],
    }
    if samples.spatial is not None and reference.spatial is not None:
        spatial = resampled_parts(samples.spatial, reference.spatial, weights)
        columns["sfid"] = [part.distance for part in spatial]
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in columns.items()}


def _share(flags: Tensor, weights: Tensor) -> Tensor:
    """Shares (R,) of samples with a flag (N,)."""
    return weights.double() @ flags.double() / len(flags)
