"""Time: how it is written, how much of it is spent, and how it is divided."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from tts.errors import UsageError
from tts.limits import brief

SEARCH_SHARE = 0.6
"""The part of the time that goes into searching; the rest confirms what was found."""

SLACK = 0.05
"""The part of the budget by which a measurement that is begun may exceed it."""

LONGEST = 366 * 86400.0

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def parse_duration(text: str) -> float:
    """Seconds of text like ``90s``, ``20m`` or ``1h30m``."""
    number = r"(\d+(?:\.\d+)?)"
    match = re.fullmatch(rf"(?:{number}h)?(?:{number}m)?(?:{number}s)?", text.strip())
    parts = match.groups() if match and text.strip() else ()
    seconds = sum(float(part) * UNITS[unit] for part, unit in zip(parts, UNITS, strict=False) if part)
    if not 0 < seconds <= LONGEST:
        raise UsageError(
            f"budget {brief(text)!r} must be a time above 0 like 90s, 20m or 1h30m, of at most a year"
        )
    return seconds


def format_duration(seconds: float) -> str:
    """Seconds as text that ``parse_duration`` takes, rounded up to whole seconds."""
    whole = max(1, int(-(-seconds // 1)))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{value}{unit}" for value, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if value]
    return "".join(parts)


class Clock:
    """Seconds of work on a tune; ``spent`` are those of processes before this one."""

    def __init__(self, spent: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        self.spent = spent
        self._now, self._began = now, now()

    @property
    def elapsed(self) -> float:
        """Seconds so far."""
        return self.spent + self._now() - self._began
