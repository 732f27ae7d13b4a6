"""Intervals of paired differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tts.errors import UsageError
from tts.evaluation.paired import paired_interval, t_quantile


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 10, 29, 100, 999])
@pytest.mark.parametrize("probability", [0.5, 0.6, 0.9, 0.975, 0.995])
def test_quantiles_are_scipys(freedom: int, probability: float) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(
        stats.t.ppf(probability, freedom),
        abs=1e-9,
        rel=1e-8,  # older versions of SciPy are right to 3e-9
    )


def test_the_interval_is_that_of_a_one_sample_t_test_with_a_fifth_of_the_misses() -> None:
    values = [0.3, -0.1, 0.4, 0.2, 0.25]
    interval = paired_interval(values, 0.9)
    assert interval is not None
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.98)
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert interval.mean == pytest.approx(np.mean(values))
    assert interval.half_width == pytest.approx((high - low) / 2)
    assert (interval.count, interval.confidence) == (5, 0.9)


def test_a_shift_moves_the_interval_and_keeps_its_width() -> None:
    here, there = paired_interval([1.0, 2.0, 4.0]), paired_interval([11.0, 12.0, 14.0])
    assert here is not None
    assert there is not None
    assert there.low == pytest.approx(here.low + 10)
    assert there.half_width == pytest.approx(here.half_width)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [0.5] * 4])
def test_too_few_or_equal_differences_have_no_interval(values: list[float]) -> None:
    assert paired_interval(values) is None


@pytest.mark.parametrize("kind", ["normal", "skewed"])
@pytest.mark.parametrize("count", [3, 4, 6, 10, 20])
def test_intervals_hold_the_true_mean_as_often_as_they_say(count: int, kind: str) -> None:
    random = np.random.default_rng(count)
    rows = (
        random.normal(size=(2000, count)) if kind == "normal" else random.exponential(size=(2000, count)) - 1
    )
    found = [interval for row in rows if (interval := paired_interval(list(row)))]
    assert len(found) == 2000
    assert np.mean([one.low <= 0 <= one.high for one in found]) > 0.935  # three standard errors below 0.95


@pytest.mark.parametrize("values", [[1.0, math.nan], [1.0, 2.0, 3.0, math.inf]])
def test_broken_differences_are_refused(values: list[float]) -> None:
    with pytest.raises(UsageError):
        paired_interval(values)


@pytest.mark.parametrize(("probability", "freedom"), [(0.4, 3), (1.0, 3), (0.9, 0)])
def test_quantiles_that_do_not_exist_are_refused(probability: float, freedom: int) -> None:
    with pytest.raises(UsageError):
        t_quantile(probability, freedom)
