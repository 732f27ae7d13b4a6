"""Graceful stop: the first SIGINT or SIGTERM asks, a second one ends the process at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from tts.errors import StoppedError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Says whether a signal asked to stop; to be used in a ``with`` block around the work.

    Outside the main thread, where handlers cannot be set, and where a signal is ignored, nothing is changed.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        """Whether to stop now."""
        return self.signal is not None

    def check(self, remark: str) -> None:
        """Raise ``StoppedError`` with a remark on how to go on, if a signal has come."""
        if self.signal is not None:
            raise StoppedError(self.signal, remark)

    def __enter__(self) -> Stop:
        """Take over the signals."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.signal = number
