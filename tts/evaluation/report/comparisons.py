"""What ``tts sweep --against`` left in a sweep's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tts.errors import CheckpointError
from tts.evaluation.report.figures import figure_section
from tts.evaluation.report.page import Anchors, Section
from tts.evaluation.sweep.against import FORMAT, Comparison, Difference, Pair
from tts.evaluation.sweep.against_table import comparison_table
from tts.io import read_json


def comparison_section(folder: Path, anchors: Anchors) -> Section | None:
    """A table for each comparison, by the names of their files; nothing where there are none."""
    found = [read_comparison(path) for path in sorted(folder.glob("against-*.json"))]
    return figure_section("Comparisons", map(comparison_table, found), anchors) if found else None


def read_comparison(path: Path) -> Comparison:
    """A comparison from its file."""
    content = read_json(path, own=True)
    try:
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}")
        values = {key: value for key, value in content.items() if key != "format"}
        apart = {name: (mine, other) for name, (mine, other) in values["apart"].items()}
        lists = {name: tuple(values[name]) for name in ("only_this", "only_other")}
        return Comparison(**{**values, **lists, "apart": apart, "pairs": tuple(map(_pair, values["pairs"]))})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        text = " ".join(f"{type(error).__name__} {error}".split())
        raise CheckpointError(
            f"{path} holds no comparison ({text}); run 'tts sweep --against' again"
        ) from None


def _pair(entry: Mapping[str, Any]) -> Pair:
    differences = {name: Difference(**one) for name, one in entry["differences"].items()}
    return Pair(**{**entry, "seed_sets": tuple(entry["seed_sets"]), "differences": differences})
