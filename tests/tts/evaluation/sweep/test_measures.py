"""How numbers are written."""

from __future__ import annotations

import pytest

from tts.evaluation.sweep.measures import ACCURACY, SECONDS, Names, Number, decimals_for, signed


def test_a_header_says_which_side_is_better() -> None:
    assert Names("FD").fid.header == "FD ↓"
    assert ACCURACY.header == "accuracy (%) ↑"
    assert ACCURACY.axis == "accuracy (%), higher is better"
    assert SECONDS.header == SECONDS.axis == "seconds per 1 000 images"


def test_the_distance_is_named_after_its_features() -> None:
    assert [Names("FID").fid.name, Names("FID").sfid.name, Names("FD").sfid.name] == ["FID", "sFID", "sFD"]


@pytest.mark.parametrize(
    ("means", "expected"),
    [([1.66, 12.0], 2), ([0.79, 2.4], 3), ([0.05], 4), ([1e-9], 5), ([], 2), ([0.0], 2)],
)
def test_a_column_shows_three_digits_of_its_smallest_number(means: list[float], expected: int) -> None:
    assert decimals_for(Names("FD").fid, means) == expected


def test_a_spread_has_the_decimals_of_its_mean() -> None:
    assert Number(1.664, 0.0187).text(2) == "1.66 ± 0.02"
    assert Number(1.664).text(3) == "1.664"


@pytest.mark.parametrize(("value", "text"), [(-0.12, "−0.12"), (0.35, "+0.35"), (-0.001, "+0.00")])
def test_differences_have_a_sign(value: float, text: str) -> None:
    assert signed(value, 2) == text
