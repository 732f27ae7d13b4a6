"""Numbers and settings as a reader wants to see them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NONE = "–"
MINUS = "−"


def number(value: object, digits: int = 4) -> str:
    """A number with so many significant digits, thousands apart; ``–`` for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return NONE
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return str(value)
    if value and not 1e-4 <= abs(value) < 1e9:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{_decimals(value, digits)}f}"


def change(value: float, base: float) -> str:
    """A value against its base in percent, with a sign; ``–`` where the base is zero."""
    return f"{100 * (value / base - 1):+.1f}\N{NO-BREAK SPACE}%".replace("-", MINUS) if base else NONE


def size(count: int) -> str:
    """A number of bytes in a unit that suits it."""
    if count < 1_000_000:
        return f"{max(1, round(count / 1000))} kB"
    return f"{count / 1_000_000:.1f} MB"


def seconds(value: object) -> str:
    """A duration: seconds, or minutes and hours where they are many."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return NONE
    if value < 120:
        return f"{number(float(value), 3)} s"
    minutes = round(value / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def plain(value: object) -> str:
    """A setting as text: lists joined by commas, yes and no for truth values, ``–`` for none."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {plain(part)}" for key, part in value.items()) or NONE
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(plain, value)) or NONE
    return str(value)


def flat(values: Mapping[str, Any], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Nested settings as names and texts: ``libraries.torch`` for what lies inside ``libraries``."""
    return tuple(_flat(values, prefix))


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", plain(value)


def _decimals(value: float, digits: int) -> int:
    if not value:
        return 0
    return max(0, digits - 1 - math.floor(math.log10(abs(value))))
