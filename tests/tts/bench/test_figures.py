"""From seconds to figures."""

from __future__ import annotations

import pytest

from tts.bench.figures import Estimate, figures


def test_overheads_are_those_of_a_round():
    found = figures([1.1, 2.2, 4.4], [1.0, 2.0, 4.0], batch=2, candidates=400)
    assert found.overhead_percent.median == pytest.approx(10)
    assert found.overhead_ms.median == pytest.approx(200)
    assert found.relative_time.low == pytest.approx(1.1)
    assert found.ms_per_1000_candidates.median == pytest.approx(500)
    assert found.images_per_second == pytest.approx(2 / 2.2)


def test_the_plain_model_adds_nothing_to_itself():
    found = figures([1.0, 2.0], [1.0, 2.0], batch=1, candidates=0)
    assert found.overhead_percent == Estimate(0, 0, 0)
    assert found.ms_per_1000_candidates is None


def test_one_round_has_no_interval():
    assert Estimate.of([3.0]) == Estimate(3.0, None, None)


def test_an_interval_holds_the_median():
    found = Estimate.of([5.0, 1.0, 2.0, 9.0, 4.0])
    assert found.median == 4
    assert 1 <= found.low <= 4 <= found.high <= 9
