"""Warnings of libraries kept from the screen while some threads are at work."""

from __future__ import annotations

import warnings
from threading import Lock
from types import TracebackType


class Quiet:
    """Warnings are ignored while any thread is in the ``with`` block, and treated as before afterwards.

    ``warnings.catch_warnings`` changes the filters of the whole process, so that the threads that leave it
    would bring warnings back for those that have not, or silence them for good.
    """

    def __init__(self) -> None:
        self._lock, self._inside = Lock(), 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        """Ignore warnings."""
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The last thread that leaves lets them through again."""
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.__exit__(kind, error, trace)
