"""Reading ahead: the next portions are made in a thread of their own while the last one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

DEPTH = 2
"""Portions that wait to be used, so that memory holds three at most."""


def ahead(portions: Generator[T, None, None] | Iterator[T], depth: int = DEPTH) -> Iterator[T]:
    """The same portions, of which so many are made before they are asked for; errors come in their place."""
    end = object()
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[Future[T | object]] = deque(thread.submit(next, portions, end) for _ in range(depth))
        try:
            while (portion := waiting.popleft().result()) is not end:
                waiting.append(thread.submit(next, portions, end))
                yield portion  # type: ignore[misc]
        finally:
            for future in waiting:
                future.cancel()
            thread.shutdown()
            if isinstance(portions, Generator):
                portions.close()
