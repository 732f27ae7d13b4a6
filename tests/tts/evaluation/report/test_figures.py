"""What figures.json lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tts.errors import CheckpointError
from tts.evaluation.report.figures import drawn_sections, table_section
from tts.evaluation.report.page import Anchors, Figure, Note, Picture, Table
from tts.evaluation.sweep.reading import read_results
from tts.io import read_json, write_json

MakeSweep = Callable[..., Path]


def figures(folder: Path) -> list[Figure]:
    """All figures of a folder's list."""
    return [figure for section in drawn_sections(folder, Anchors()) for figure in section.figures]


def test_sections_hold_tables_plots_and_grids(make_sweep: MakeSweep) -> None:
    folder = make_sweep()
    titles = [section.title for section in drawn_sections(folder, Anchors())]
    assert titles == ["Tables", "Plots", "Images"]
    table, plot, grid = figures(folder)
    assert [table.paper, plot.paper, grid.paper] == ["table 5", "", "figure 4"]
    rows = (("1", "1.50 ± 0.01", "–"), ("8", "1.21 ± 0.02", "7.90"))
    assert table.body == Table("Quality by M", ("M", "FD ↓", "IS ↑"), rows, frozenset({(1, 1)}))
    assert isinstance(plot.body, Picture)
    assert plot.body.uri.startswith("data:image/svg+xml;")
    assert isinstance(grid.body, Picture)
    assert (grid.body.sharp, grid.body.alt) == (True, "Images by M. A row an M.")


def test_figures_stand_in_the_order_of_the_list(make_sweep: MakeSweep) -> None:
    folder = make_sweep()
    entries = read_json(folder / "figures.json")["figures"]
    entries.insert(0, {**entries[0], "title": "Another"})
    write_json((folder / "figures.json"), {"figures": entries})
    assert [figure.title for figure in figures(folder)[:2]] == ["Another", "Quality by M"]


def test_a_folder_without_a_list_has_no_sections_but_tables_of_its_results(make_sweep: MakeSweep) -> None:
    folder = make_sweep(figures=False)
    assert figures(folder) == []
    section = table_section(read_results(folder), Anchors())
    last = section.figures[-1]
    assert (section.title, last.title) == ("Tables", "All points")
    assert isinstance(last.body, Table)
    assert [row[:2] for row in last.body.rows] == [
        ("plain", "1.55 ± 0.07"),
        ("greedy M 8 ST 2", "1.23 ± 0.04"),
    ]
    assert (1, 1) in last.body.best


def test_kinds_that_are_missing_have_no_section(make_sweep: MakeSweep) -> None:
    folder = make_sweep()
    entries = read_json(folder / "figures.json")["figures"]
    write_json((folder / "figures.json"), {"figures": entries[:1]})
    assert [section.title for section in drawn_sections(folder, Anchors())] == ["Tables"]


def test_a_picture_that_is_gone_leaves_a_note(make_sweep: MakeSweep) -> None:
    folder = make_sweep()
    (folder / "plots" / "fd.svg").unlink()
    assert figures(folder)[1].body == Note("plots/fd.svg is missing; draw the figures anew.")


TABLE = {"kind": "table", "title": "T", "header": ["a", "b"], "rows": [["1", "2"]]}


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ({"kind": "plot", "title": "P"}, "lacks 'figures.0.file'"),
        ({"kind": "plot", "file": "a.svg"}, "lacks 'figures.0.title'"),
        ({"kind": "film", "file": "a.svg", "title": "P"}, "unknown kind 'film'"),
        ({"kind": "plot", "file": "../a.svg", "title": "P"}, "outside its folder"),
        ({"kind": "grid", "file": "/etc/hostname", "title": "P"}, "outside its folder"),
        ({**TABLE, "rows": [["1"]]}, "no proper table 'T'"),
        ({**TABLE, "rows": 5}, "no proper table 'T'"),
        ({**TABLE, "best": [1]}, "no proper table 'T'"),
        ({**TABLE, "header": None}, "lacks 'figures.0.header'"),
        ("a.md", "no JSON object"),
    ],
)
def test_a_damaged_list_is_refused(tmp_path: Path, entry: Any, what: str) -> None:
    write_json((tmp_path / "figures.json"), {"figures": [entry]})
    with pytest.raises(CheckpointError, match=f"{what}.*; draw the figures anew"):
        figures(tmp_path)
