"""Grids of settings as text: ``candidates=1,2,4 selector=greedy,topk``. Imports no torch.

An axis is a field of ``SampleConfig``; a grid is the product of its axes. Values that hold commas are
separated by semicolons instead.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from tts.errors import UsageError
from tts.limits import brief, whole

Value = str | int | float


def _text(text: str) -> str:
    return text


AXES: dict[str, Callable[[str], Value]] = {
    "candidates": _text,
    "start_scale": int,
    "end_scale": int,
    "selector": _text,
    "top_k_select": int,
    "temperature": float,
    "cfg": float,
    "top_k": int,
    "top_p": float,
    "scorer": _text,
    "schedule": _text,
    "guidance": _text,
    "strategy": _text,
    "image_scorer": _text,
}
"""The axes, with what reads a value of each."""

LISTS = ("schedule",)
"""Axes whose values are lists themselves, so that only semicolons separate them."""

MOST_POINTS = 10_000
"""More points than this in one grid are a slip of the finger."""


@dataclass(frozen=True)
class Axis:
    """A field of ``SampleConfig`` with the values that it takes in turn."""

    name: str
    values: tuple[Value, ...]

    @property
    def text(self) -> str:
        """The axis as it is typed."""
        texts = [str(value) for value in self.values]
        listed = self.name in LISTS or any("," in text for text in texts)
        return f"{self.name}={';'.join(texts) + ';' * (len(texts) == 1) if listed else ','.join(texts)}"


@dataclass(frozen=True)
class Grid:
    """A product of axes."""

    axes: tuple[Axis, ...]

    @property
    def text(self) -> str:
        """The grid as it is typed, in quotes."""
        return shlex.join(axis.text for axis in self.axes)

    def __len__(self) -> int:
        """Number of its points, before equal ones are joined."""
        count = 1
        for axis in self.axes:
            count *= len(axis.values)
        return count

    def __iter__(self) -> Iterator[dict[str, Value]]:
        """The points as fields of ``SampleConfig``; the last axis changes fastest."""
        names = [axis.name for axis in self.axes]
        for values in itertools.product(*(axis.values for axis in self.axes)):
            yield dict(zip(names, values, strict=True))


def parse_grids(grids: Sequence[str], further: Sequence[str] = ()) -> tuple[Grid, ...]:
    """Grids from the texts of ``--grid``, of which a single one may go on in ``further`` arguments."""
    if further and len(grids) > 1:
        raise UsageError(
            f"{further[0]!r} could belong to any of {len(grids)} grids; put each grid in quotes,"
            ' like --grid "candidates=1,8 selector=greedy"'
        )
    texts = [[*_words(text)] for text in grids] or ([[]] if further else [])
    for words in texts:
        words += further
    return tuple(parse_grid(words) for words in texts)


def parse_grid(words: Sequence[str]) -> Grid:
    """A grid from its axes, ``AXIS=V,V`` each."""
    axes = tuple(parse_axis(word) for word in words)
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"axis {name} stands twice in one grid; put all its values into one")
    grid = Grid(axes)
    if not axes:
        raise UsageError("a grid needs an axis, like candidates=1,2,4")
    if len(grid) > MOST_POINTS:
        raise UsageError(f"a grid of {len(grid)} points is too large; {MOST_POINTS} are the most")
    return grid


def parse_axis(text: str) -> Axis:
    """An axis from ``AXIS=V,V``; its name may have dashes."""
    typed, equals, values = text.partition("=")
    if not equals:
        raise UsageError(f"{text!r} is no axis of a grid; write it as AXIS=V,V, like candidates=1,2,4")
    name = typed.strip().lstrip("-").replace("-", "_")
    if name not in AXES:
        close = " or ".join(repr(match) for match in get_close_matches(name, AXES))
        hint = f"did you mean {close}? " if close else ""
        raise UsageError(f"unknown axis {typed!r}; {hint}known: {', '.join(AXES)}")
    return Axis(name, tuple(_values(name, values)))


def parse_sets(text: str) -> tuple[int, ...]:
    """Numbers of seed sets: ``3`` stands for 0, 1 and 2, ``10-14`` and ``0,3`` for themselves."""
    from tts.config import parse_range

    count = whole(text)
    if count is not None:
        if not 1 <= count <= MOST_POINTS:
            raise UsageError(
                f"seeds {brief(count)} must be from 1 to {MOST_POINTS} sets; name others like 10-14"
            )
        return tuple(range(count))
    return parse_range(text, "seeds", 10**9)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"grid {text!r} has a quote without its end; close it") from error


def _values(name: str, text: str) -> Iterator[Value]:
    """The values of an axis, each read by its kind."""
    separator = ";" if ";" in text or name in LISTS else ","
    parts = [part.strip() for part in text.split(separator)]
    if separator == ";" and len(parts) > 1 and not parts[-1]:
        parts.pop()
    seen = set()
    for part in parts:
        if not part:
            raise UsageError(f"axis {name} has an empty value in {text!r}; write it like {name}=V,V")
        try:
            value = AXES[name](part)
        except ValueError:
            kind = "whole numbers" if AXES[name] is int else "numbers"
            raise UsageError(
                f"axis {name} takes {kind}, got {brief(part)!r}; write it like {name}=1,2"
            ) from None
        if value in seen:
            raise UsageError(f"axis {name} has the value {part} twice; name it once")
        seen.add(value)
        yield value
