"""All figures of a set of images against a reference, from their features.

Axis letters: N images, D pooled features. The protocol is the ADM evaluation's (Dhariwal and Nichol 2021).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tts import limits
from tts.evaluation.features import Features
from tts.evaluation.frechet import FrechetStatistics


@dataclass(frozen=True)
class Reference:
    """What samples are compared with.

    ``pool`` and ``spatial`` are the statistics for FID and sFID: a reference file's own, which cover more
    images than it holds, or those of ``features``, the features of its images, which serve precision and
    recall. A metric whose part is ``None`` is left out.
    """

    pool: FrechetStatistics
    spatial: FrechetStatistics | None
    features: Features | None

    @staticmethod
    def of(features: Features) -> Reference:
        """A reference that is known by its images alone."""
        spatial = None if features.spatial is None else FrechetStatistics.of(features.spatial)
        return Reference(FrechetStatistics.of(features.pool), spatial, features)


@dataclass(frozen=True)
class MetricOptions:
    """How figures are computed.

    ``neighbours`` is the k of precision and recall, ``half`` computes their distances in half precision as
    the ADM evaluator does, ``split`` is the number of consecutive images of a part of the Inception Score.
    ``bootstrap`` is the number of resamples for the intervals (0: none) at ``confidence``; ``extrapolate``
    adds FID and Inception Score at infinitely many samples (Chong and Forsyth 2020). ``seed`` decides what is
    drawn for both. Without ``manifold`` precision and recall, which take time quadratic in the images, are
    left out.
    """

    neighbours: int = 3
    half: bool = False
    split: int = 5000
    bootstrap: int = 0
    confidence: float = 0.95
    extrapolate: bool = False
    seed: int = 0
    manifold: bool = True


@dataclass(frozen=True)
class Figures:
    """Figures of a set of images; ``None`` where features or labels for one are missing.

    ``fid`` is ``mean_diff2 + trace_reference + trace_samples - two_trace_sqrt`` (LSRS paper, appendix F).
    ``inception_score`` is the mean over consecutive parts, ``inception_score_single`` that of all images as
    one part. ``accuracy`` is the share of images that the extractor gives their own class, ``variance`` the
    mean total variance of pooled features within a class. ``intervals`` holds (low, high) by figure name.
    """

    images: limits.Items
    fid: float
    mean_diff2: float
    trace_reference: float
    trace_samples: float
    two_trace_sqrt: float
    sfid: float | None = None
    inception_score: float | None = None
    inception_score_single: float | None = None
    precision: float | None = None
    recall: float | None = None
    accuracy: float | None = None
    variance: float | None = None
    fid_infinity: float | None = None
    inception_score_infinity: float | None = None
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
