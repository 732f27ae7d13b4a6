"""Results on stdout: aligned columns for people, JSON for scripts."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
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


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], legend: str = "") -> None:
    """Print columns two spaces apart; lines are never wrapped, so that they can be searched.

    The ``legend`` says below what the columns are.
    """
    lines = [[escaped(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for row in lines:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        echo("  ".join(cells).rstrip())
    if legend:
        echo(legend)


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
