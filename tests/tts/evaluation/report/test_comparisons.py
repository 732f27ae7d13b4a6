"""Comparisons of sweeps on the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tts.errors import CheckpointError
from tts.evaluation.report.comparisons import comparison_section, read_comparison
from tts.evaluation.report.page import Anchors, Table
from tts.evaluation.sweep.against import Comparison, Difference, Pair, write_comparison
from tts.io import write_json

FOUND = Comparison(
    name="old",
    other="sweeps/old",
    title="FD",
    apart={"backbone": ("var-digits", "flexvar-digits")},
    pairs=(
        Pair("plain", "plain", "plain", "plain", (0, 1), {"fid": Difference(-0.2, 0.01, -0.3, -0.1, 0.95)}),
    ),
    only_this=("greedy-m8",),
    only_other=(),
)


def test_a_comparison_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_comparison(tmp_path, FOUND)
    assert read_comparison(tmp_path / "against-old.json") == FOUND


def test_every_comparison_of_a_folder_has_its_table(tmp_path: Path) -> None:
    write_comparison(tmp_path, FOUND)
    section = comparison_section(tmp_path, Anchors())
    assert section is not None
    (figure,) = section.figures
    assert figure.title == "Against sweeps/old"
    assert "var-digits against flexvar-digits" in figure.caption
    assert isinstance(figure.body, Table)
    (row,) = figure.body.rows
    assert row[:3] == ("plain", "plain", "2")
    assert row[3].startswith("−0.200 [")


def test_a_folder_without_comparisons_has_no_section(tmp_path: Path) -> None:
    assert comparison_section(tmp_path, Anchors()) is None


@pytest.mark.parametrize("content", ["{}", "[]", '{"format": "scalewise-tts-against-1", "apart": {}}'])
def test_a_damaged_comparison_is_refused(tmp_path: Path, content: str) -> None:
    write_json(tmp_path / "against-x.json", json.loads(content))
    with pytest.raises(CheckpointError, match=r"against-x\.json is not a valid comparison .*; run"):
        comparison_section(tmp_path, Anchors())
