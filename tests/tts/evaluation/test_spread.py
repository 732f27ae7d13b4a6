"""Intervals of all figures: what they hold, where there are none, and on what they depend."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tts.evaluation.compute import evaluate
from tts.evaluation.features import Features
from tts.evaluation.figures import Figures, MetricOptions, Reference
from tts.evaluation.frechet import FrechetStatistics
from tts.evaluation.spread import _around, share_interval

NAMES = {
    "fid",
    "mean_diff2",
    "trace_samples",
    "two_trace_sqrt",
    "sfid",
    "inception_score",
    "inception_score_single",
    "precision",
    "recall",
    "accuracy",
    "variance",
}
INFINITE = {"fid_infinity", "inception_score_infinity"}
OPTIONS = MetricOptions(bootstrap=60, split=75, confidence=0.9)


def _features(count: int, seed: int, shift: float = 0.0) -> Features:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (count,), generator=generator)
    pool = torch.randn(count, 8, generator=generator) + shift
    pool[:, :4] += 1.5 * torch.eye(4)[labels]
    spatial = torch.randn(count, 5, generator=generator) + pool[:, :5]
    return Features(pool, spatial, 2 * pool[:, :4], labels)


REFERENCE = Reference.of(_features(300, 10**6))
SAMPLES = _features(150, 0, 0.3)


def _figures(samples: Features, **changes: object) -> Figures:
    return evaluate(samples, REFERENCE, replace(OPTIONS, **changes), True)  # type: ignore[arg-type]


def test_every_figure_of_the_samples_has_an_interval_around_it() -> None:
    found = _figures(SAMPLES)
    assert set(found.intervals) == NAMES
    for name, (low, high) in found.intervals.items():
        assert low < getattr(found, name) < high, name


@pytest.mark.slow
def test_intervals_cover_the_figures_of_other_samples() -> None:
    """The mean figure of many sets lies in about 90 % of the intervals of single sets."""
    sets = [_features(150, seed, 0.3) for seed in range(60)]
    means = {name: np.mean([getattr(_figures(one, bootstrap=0), name) for one in sets]) for name in NAMES}
    found = [_figures(one) for one in sets[:30]]
    for name, mean in means.items():
        inside = [low <= mean <= high for low, high in (one.intervals[name] for one in found)]
        assert np.mean(inside) >= 0.7, name


def test_intervals_are_as_wide_as_the_figures_vary() -> None:
    sets = [_features(150, seed, 0.3) for seed in range(80)]
    plain = [_figures(one, bootstrap=0) for one in sets]
    found = [_figures(one) for one in sets[:10]]
    for name in NAMES:
        spread = np.std([getattr(one, name) for one in plain], ddof=1)
        widths = [high - low for low, high in (one.intervals[name] for one in found)]
        assert 0.7 < np.mean(widths) / (2 * 1.645 * spread) < 1.4, name


def test_a_higher_confidence_is_wider() -> None:
    narrow, wide = _figures(SAMPLES, confidence=0.5), _figures(SAMPLES, confidence=0.95)
    for name in NAMES:
        assert wide.intervals[name][0] < narrow.intervals[name][0], name
        assert wide.intervals[name][1] > narrow.intervals[name][1], name


def test_more_images_are_narrower() -> None:
    few, many = _figures(SAMPLES), _figures(_features(1500, 1, 0.3))
    for name in NAMES - {"recall"}:  # whose own variance grows where more of the reference is covered
        widths = [high - low for low, high in (few.intervals[name], many.intervals[name])]
        assert widths[1] < 0.6 * widths[0], name


def test_the_seed_decides() -> None:
    assert _figures(SAMPLES, seed=1) == _figures(SAMPLES, seed=1)
    assert _figures(SAMPLES, seed=1).intervals != _figures(SAMPLES, seed=2).intervals


def test_figures_are_the_same_without_intervals() -> None:
    assert replace(_figures(SAMPLES), intervals={}) == _figures(SAMPLES, bootstrap=0)


def test_what_the_samples_lack_has_no_interval() -> None:
    bare = Features(SAMPLES.pool)
    found = _figures(bare, manifold=False)
    assert set(found.intervals) == {"fid", "mean_diff2", "trace_samples", "two_trace_sqrt"}


def test_intervals_stay_in_range() -> None:
    same = REFERENCE.features
    assert same is not None
    found = _figures(replace(same, logits=50 * torch.eye(4)[same.labels]))
    for name in ("precision", "accuracy"):
        low, high = found.intervals[name]
        assert getattr(found, name) == high == 1.0
        assert 0.97 < low < 1


def test_no_interval_is_empty() -> None:
    """A set against itself has no distance, so nothing tells how sure that is."""
    same, said = REFERENCE.features, []
    assert same is not None
    found = evaluate(same, REFERENCE, OPTIONS, True, said.append)
    assert not {"fid", "sfid", "mean_diff2"} & set(found.intervals)
    assert all(low < high for low, high in found.intervals.values())
    (line,) = [line for line in said if line.startswith("no interval of")]
    assert line.startswith("no interval of fid, mean_diff2")


@pytest.mark.parametrize("estimate", [3.5e-15, 0.0, -1e-9])
def test_a_distance_of_rounding_alone_has_no_interval(estimate: float) -> None:
    """On some processors a set is that far from itself."""
    low, high = _around(estimate, 0.01, False)
    assert not low < high


def test_figures_at_infinity_have_intervals_as_wide_as_they_vary() -> None:
    sets = [_features(300, seed, 0.3) for seed in range(60)]
    plain = [_figures(one, bootstrap=0, extrapolate=True, manifold=False) for one in sets]
    found = [_figures(one, extrapolate=True, manifold=False) for one in sets[:10]]
    for name in INFINITE:
        values = [getattr(one, name) for one in plain]
        ends = [one.intervals[name] for one in found]
        widths = [high - low for low, high in ends]
        assert 0.7 < np.mean(widths) / (2 * 1.645 * np.std(values, ddof=1)) < 1.6, name
        assert np.mean([low <= np.mean(values) <= high for low, high in ends]) >= 0.6, name


def test_figures_at_infinity_may_be_below_zero() -> None:
    same = REFERENCE.features
    assert same is not None
    low, high = _figures(same, extrapolate=True, manifold=False).intervals["fid_infinity"]
    assert low < 0 < high - low


def test_few_images_have_no_intervals() -> None:
    """Not below 50 images, and at infinity not before two parts have four images a feature."""
    said: list[str] = []
    options = replace(OPTIONS, extrapolate=True, manifold=False)
    found = {n: evaluate(_features(n, 3), REFERENCE, options, True, said.append) for n in (49, 50, 64)}
    assert found[49].intervals == {}
    assert found[50].intervals.keys() & (INFINITE | {"fid"}) == {"fid", "inception_score_infinity"}
    assert found[64].intervals.keys() >= INFINITE | {"fid"}
    assert [line for line in said if line.startswith("no interval")] == [
        "no intervals: 49 images, they need at least 50; generate more",
        "no interval of fid_infinity: 50 images for 8 features, it needs at least 64; generate more",
    ]


@pytest.mark.parametrize(("images", "shift"), [(50, 0.0), (50, 0.5), (200, 0.0), (200, 0.5)])
def test_a_distance_of_few_images_varies_as_its_interval_says(images: int, shift: float) -> None:
    """Copies of images made intervals of 50 images and 64 features three times too wide, near 0 twice."""

    def draw(seed: int) -> Features:
        noise = torch.randn(images, 64, generator=torch.Generator().manual_seed(seed))
        return Features(noise * torch.linspace(0, -2, 64).exp() + shift)

    covariance = np.diag(np.exp(np.linspace(0, -4, 64)))
    reference = Reference(FrechetStatistics.stored(np.zeros(64), covariance), None, None)
    fids = [evaluate(draw(seed), reference, MetricOptions()).fid for seed in range(200)]
    options = MetricOptions(bootstrap=100)
    ends = [evaluate(draw(seed), reference, options).intervals["fid"] for seed in range(20)]
    width = np.mean([high - low for low, high in ends]) / (2 * 1.96 * np.std(fids, ddof=1))
    assert 0.85 < width < 1.4
    assert np.mean([low <= np.mean(fids) <= high for low, high in ends]) >= 0.8


@pytest.mark.parametrize(("share", "count"), [(0.0, 50), (1.0, 50), (0.98, 100), (0.5, 1000)])
def test_intervals_of_shares_hold_the_share_and_have_a_width(share: float, count: int) -> None:
    low, high = share_interval(share, count, 0.95)
    assert 0 <= low <= share <= high <= 1
    assert 0.9 / count < high - low < 4 / count**0.5
