"""What ``tts sweep --against`` left in a sweep's folder."""

from __future__ import annotations

from pathlib import Path

from tts.evaluation.report.figures import figure_section
from tts.evaluation.report.page import Anchors, Section
from tts.evaluation.sweep.against import FORMAT, Comparison
from tts.evaluation.sweep.against_table import comparison_table
from tts.records import read_record


def comparison_section(folder: Path, anchors: Anchors) -> Section | None:
    """A table for each comparison, by the names of their files; nothing where there are none."""
    found = [read_comparison(path) for path in sorted(folder.glob("against-*.json"))]
    return figure_section("Comparisons", map(comparison_table, found), anchors) if found else None


def read_comparison(path: Path) -> Comparison:
    """A comparison from its file."""
    return read_record(path, Comparison, "comparison", "run 'tts sweep --against' again", FORMAT, own=True)
