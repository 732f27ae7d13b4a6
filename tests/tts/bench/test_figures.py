"""From seconds to figures."""

from __future__ import annotations

import numpy as np
import pytest

from tts.bench.figures import Estimate, figures


def test_overheads_are_those_of_a_round():
    found = figures([1.1, 2.2, 4.8], [1.0, 2.0, 4.0], batch=2, candidates=400)
    assert found.overhead_percent.median == pytest.approx(10)
    assert found.overhead_ms.median == pytest.approx(200)
    assert found.relative_time.median == pytest.approx(1.1)
    assert found.ms_per_1000_candidates.median == pytest.approx(500)
    assert found.images_per_second == pytest.approx(2 / 2.2)


def test_the_plain_model_adds_nothing_to_itself():
    found = figures([1.0, 2.0], [1.0, 2.0], batch=1, candidates=0)
    assert found.overhead_percent == Estimate(0, None, None)
    assert found.ms_per_1000_candidates is None


@pytest.mark.parametrize("values", [[3.0], [3.0, 4.0], [1.0, 2.0, 3.0, 4.0, 5.0], [2.0] * 20])
def test_few_rounds_and_equal_ones_have_no_interval(values):
    assert Estimate.of(values) == Estimate(np.median(values), None, None)


def test_an_interval_is_from_one_round_to_another():
    assert Estimate.of([5.0, 1.0, 2.0, 9.0, 4.0, 6.0]) == Estimate(4.5, 1.0, 9.0)
    assert Estimate.of(list(range(15, 0, -1))) == Estimate(8, 4, 12)


@pytest.mark.parametrize("count", [6, 9, 15, 30])
def test_intervals_hold_the_true_median_at_least_as_often_as_they_say(count):
    rows = np.random.default_rng(count).lognormal(sigma=0.5, size=(2000, count))
    found = [Estimate.of(list(row)) for row in rows]
    assert 0.93 < np.mean([one.low <= 1 <= one.high for one in found]) < 0.99
