"""Results on stdout: aligned columns for people, JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    from tts.engine.work import Outcome


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], legend: str = "") -> None:
    """Print columns two spaces apart; lines are never wrapped, so that they can be searched.

    The ``legend`` says below what the columns are.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    if legend:
        print(legend)


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
