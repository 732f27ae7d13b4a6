"""Results on stdout: aligned columns for people, JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tts.engine.work import Outcome


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns two spaces apart; lines are never wrapped, so that they can be searched."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def print_json(value: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=2))


def state(outcome: Outcome, images: int, verb: str = "") -> str:
    """How far a run is, in words: all its images, or what one of several processes leaves to others."""
    if outcome.finished_before:
        return f"{images} images already{verb}"
    if outcome.finished:
        return f"{images} images{verb}"
    return f"{outcome.shards_done} of {outcome.shards} shards{verb}, the rest is left to other processes,"
