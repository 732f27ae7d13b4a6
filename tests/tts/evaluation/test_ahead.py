"""Portions that are made ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tts.evaluation.ahead import ahead


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 4, 20])
def test_portions_come_in_their_order(depth: int, count: int) -> None:
    assert list(ahead(iter(range(count)), depth)) == list(range(count))


def test_they_are_made_in_another_thread_and_not_too_many() -> None:
    made, threads = [], set()

    def portions() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            threads.add(threading.current_thread())
            yield number

    for number in ahead(portions(), 3):
        assert len(made) <= number + 4
    assert made == list(range(50))
    assert threading.current_thread() not in threads


def test_errors_come_after_what_was_made_before() -> None:
    def portions() -> Iterator[int]:
        yield from (1, 2, 3)
        raise ValueError("no fourth")

    numbers = ahead(portions())
    assert [next(numbers) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ValueError, match="no fourth"):
        next(numbers)


def test_files_are_closed_when_nobody_asks_for_more() -> None:
    closed = []

    def portions() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append(True)

    numbers = ahead(portions())
    assert next(numbers) == 0
    numbers.close()  # type: ignore[attr-defined]
    assert closed == [True]
