"""Results on stdout: aligned columns for people, JSON for scripts."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from itertools import zip_longest
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    from tts.engine.work import Outcome


_CONTROLS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
"""Characters that move the cursor, colour or hide text, turn its direction, or are none at all."""


def escaped(text: str) -> str:
    """A text that may hold names of files or contents of them, without power over the terminal."""
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def echo(text: object, err: bool = False) -> None:
    """Print one line, on stdout or stderr; all that commands print for people comes through here."""
    print(escaped(str(text)), file=sys.stderr if err else sys.stdout)


_NARROWEST, _LEAST_PROSE = 40, 28
"""The narrowest table, and the narrowest last column of running text, in characters."""


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], legend: str = "") -> None:
    """Print columns two spaces apart, within the width of the terminal, which is 80 where there is none.

    What is too wide goes on below: a long text in its own column, further columns as another block with the
    names repeated. Nothing is cut. The ``legend`` says below what the columns are.
    """
    limit = max(_NARROWEST, get_terminal_size().columns)
    lines = [[escaped(cell) for cell in row] for row in (header, *rows)]
    for number, block in enumerate(_blocks(lines, limit)):
        if number:
            echo("")
        for line in block:
            echo(line)
    for line in wrap(escaped(legend), limit, break_on_hyphens=False):
        echo(line)


def _blocks(lines: list[list[str]], limit: int) -> Iterator[list[str]]:
    """The lines of each block: as many columns as fit, after the names in the first."""
    first, *rest = [max(map(len, column)) for column in zip(*lines, strict=True)]
    if first + sum(rest) + 2 * len(rest) > limit:
        prose = _LEAST_PROSE if rest and rest[-1] > _LEAST_PROSE else 0
        fixed = sum(rest[:-1]) + 2 * len(rest) + prose if prose else 0
        if prose and fixed + limit // 3 <= limit:
            first = min(first, limit - fixed)
            rest[-1] = limit - (fixed - prose) - first
        else:
            first = min(first, limit // 3)
            rest = [min(width, limit - first - 2) for width in rest]
    groups: list[list[int]] = [[]]
    for column, width in enumerate(rest):
        used = first + sum(2 + rest[other] for other in groups[-1])
        if groups[-1] and used + 2 + width > limit:
            groups.append([])
        groups[-1].append(column)
    for group in groups:
        widths = [first, *(rest[column] for column in group)]
        yield [text for row in lines for text in _row([row[0], *(row[1 + c] for c in group)], widths)]


def _row(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """The lines of a row, whose cells go on below where they are too wide."""
    parts = [
        [cell] if len(cell) <= width else wrap(cell, width, break_on_hyphens=False)
        for cell, width in zip(cells, widths, strict=True)
    ]
    for texts in zip_longest(*parts, fillvalue=""):
        yield "  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip()


_STDOUT: ContextVar[TextIO | None] = ContextVar("stdout", default=None)
"""Where the document of ``--json`` goes, while nothing else does."""


def only_json(ctx: typer.Context, value: bool) -> bool:
    """Keep stdout for the document of ``--json``: what else is printed, as by a plugin, goes to stderr."""
    if value and not ctx.resilient_parsing:
        ctx.with_resource(_kept_for_json())
    return value


@contextmanager
def _kept_for_json() -> Iterator[None]:
    token = _STDOUT.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _STDOUT.reset(token)


def print_json(value: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=2), file=_STDOUT.get() or sys.stdout)


def state(outcome: Outcome, images: int, verb: str = "") -> str:
    """How far a run is, in words: all its images, or what one of several processes leaves to others."""
    if outcome.finished_before:
        return f"{images} images already{verb}"
    if outcome.finished:
        return f"{images} images{verb}"
    return f"{outcome.shards_done} of {outcome.shards} shards{verb}, the rest is left to other processes,"
