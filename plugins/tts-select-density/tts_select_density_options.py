"""Options of the selector in the text after its name: ``density:k=4,mode=random``. No torch here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tts.errors import UsageError

TOP, RANDOM, SCALES, ADAPTIVE = MODES = ("top", "random", "scales", "adaptive")
MAP, POSITION, TOKENS = SPACES = ("map", "position", "tokens")
MEDIAN, SILVERMAN = RULES = ("median", "silverman")

FORM = "write --selector density:k=4,mode=top,space=map,bandwidth=median, or some of it"


@dataclass(frozen=True)
class Options:
    """What the text after the colon may say.

    ``k`` is the number of candidates that are kept for the draw, by default half of them, as the published
    code keeps 10 of 20. ``mode`` says which: the densest (``top``), any (``random``), the densest at scales
    up to ``general`` and any after them (``scales``), or the densest where an image's largest density is at
    least ``alpha`` times its mean and any elsewhere (``adaptive``). ``bandwidth`` is a rule or a number,
    ``weight`` the factor of the log density that is added to the scores; ``None`` leaves the scorer out.
    """

    k: int | None = None
    mode: str = TOP
    space: str = MAP
    bandwidth: str | float = MEDIAN
    general: int = 2
    alpha: float = 2.3
    weight: float | None = None


def parse(text: str | None) -> Options:
    """Options from ``key=value`` parts between commas."""
    given: dict[str, Any] = {}
    known = [field.name for field in fields(Options)]
    for part in text.split(",") if text else ():
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key not in known or not value:
            raise UsageError(f"selector density cannot read {part!r} (options: {', '.join(known)}); {FORM}")
        if key in given:
            raise UsageError(f"selector density has {key} twice; leave one out")
        given[key] = READERS[key](key, value)
    _check_together(given)
    return Options(**given)


def _check_together(given: Mapping[str, Any]) -> None:
    mode = given.get("mode", TOP)
    for key, owner in (("general", SCALES), ("alpha", ADAPTIVE)):
        if key in given and mode != owner:
            raise UsageError(
                f"{key} of selector density does not go with mode={mode}; leave it out or write mode={owner}"
            )
    if given.get("space") == TOKENS and given.get("bandwidth") == SILVERMAN:
        raise UsageError(
            "bandwidth silverman of selector density does not go with space=tokens, which has no variance;"
            " write bandwidth=median or a number"
        )


def _count(key: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise UsageError(f"{key} {value!r} of selector density must be a whole number of at least 1; {FORM}")
    return int(value)


def _number(key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{key} {value!r} of selector density must be a finite number; {FORM}")
    return number


def _alpha(key: str, value: str) -> float:
    number = _number(key, value)
    if number < 1:
        raise UsageError(f"{key} {value!r} of selector density must be at least 1; mode=top is its limit")
    return number


def _bandwidth(key: str, value: str) -> str | float:
    if value in RULES:
        return value
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise UsageError(
            f"{key} {value!r} of selector density must be {' or '.join(RULES)}, or at least 0; {FORM}"
        )
    return number


def _one_of(choices: tuple[str, ...]) -> Any:
    def read(key: str, value: str) -> str:
        if value not in choices:
            raise UsageError(
                f"{key} {value!r} of selector density is unknown; write {key}={f' or {key}='.join(choices)}"
            )
        return value

    return read


READERS = {
    "k": _count,
    "mode": _one_of(MODES),
    "space": _one_of(SPACES),
    "bandwidth": _bandwidth,
    "general": _count,
    "alpha": _alpha,
    "weight": _number,
}
