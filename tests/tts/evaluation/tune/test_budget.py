"""Durations, and the clock of a tune."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.errors import UsageError
from tts.evaluation.tune.budget import Clock, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("20m", 1200),
        ("1h30m", 5400),
        ("2h", 7200),
        ("1m30s", 90),
        (" 0.5m ", 30),
        ("1h0m5s", 3605),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "90", "s", "0s", "-5m", "5 m", "30s1m", "1d", "1e3s", "nan", "m20"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="like 90s, 20m or 1h30m"):
        parse_duration(text)


@given(st.integers(1, 10**6))
def test_a_duration_that_is_written_is_read_again(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


def test_parts_of_a_second_are_rounded_up() -> None:
    assert (format_duration(0.2), format_duration(59.2)) == ("1s", "1m")


def test_a_clock_goes_on_from_what_was_spent() -> None:
    now = [100.0]
    clock = Clock(7.0, lambda: now[0])
    assert clock.elapsed == 7
    now[0] += 5
    assert clock.elapsed == 12
