"""Numbers as texts, and their bounds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tts.limits import check_number, whole

Refused = Callable[..., AbstractContextManager[None]]


@pytest.mark.parametrize("text", ["\u0661\u0662", "\uff11", "1\u0662", "\u00b2", "", "-1"])
def test_only_ascii_digits_are_a_number(text: str) -> None:
    assert whole(text) is None
    assert whole("12") == 12


def test_a_learning_rate_above_one_is_refused(refused: Refused) -> None:
    check_number("learning_rate", 1.0)
    with refused("lr 1.5 must be at most 1"):
        check_number("learning_rate", 1.5)
