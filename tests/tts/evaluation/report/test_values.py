"""Numbers and settings as text."""

from __future__ import annotations

import pytest

from tts.evaluation.report.values import change, flat, number, plain, seconds, size


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (50000, "50,000"),
        (1.23456, "1.235"),
        (123456.7, "123,457"),
        (0.00001234, "1.234e-05"),
        (float("nan"), "nan"),
        (None, "–"),
        (True, "–"),
        ("x", "–"),
    ],
)
def test_a_number_has_four_digits(value: object, text: str) -> None:
    assert number(value) == text


def test_a_change_is_in_percent_of_the_base_with_a_sign() -> None:
    assert (change(1.5, 2.0), change(3.0, 2.0), change(1.0, 0.0)) == ("−25.0\u00a0%", "+50.0\u00a0%", "–")


def test_sizes_and_durations_have_units_that_suit_them() -> None:
    assert [size(n) for n in (12, 81_234, 2_340_000)] == ["1 kB", "81 kB", "2.3 MB"]
    durations = [seconds(value) for value in (0.2252, 90, 600, 7200 + 1800, None)]
    assert durations == ["0.225 s", "90.0 s", "10 min", "2 h 30 min", "–"]


def test_settings_are_read_as_words() -> None:
    assert [plain(value) for value in (None, True, 1.5, 3e-4, [1, 2], [], {"a": 1}, "x")] == [
        *("–", "yes", "1.5", "0.0003", "1, 2", "–", "a: 1", "x")
    ]


def test_what_lies_inside_a_setting_is_named_with_a_dot() -> None:
    nested = {"a": {"b": {"c": 1}, "d": [2, 3]}, "e": {}, "f": None}
    assert flat(nested) == (("a.b.c", "1"), ("a.d", "2, 3"), ("e", "–"), ("f", "–"))
