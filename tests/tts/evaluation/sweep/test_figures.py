"""Everything of a sweep at once, and the index of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tts.evaluation.sweep import figures
from tts.evaluation.sweep.figures import lacks_plots, write_figures
from tts.io import read_json

GREEDY = {"selector": "greedy", "start_scale": 2, "end_scale": 4}


@pytest.fixture
def small(sweep: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A sweep of the embedded model with M at 1, 2 and 4."""
    monkeypatch.setattr("tts.evaluation.sweep.scorer_maps.LEAST_GENERATED", 1)
    for number, m in enumerate((1, 2, 4)):
        chosen = {"candidates": str(m), "scorer": "learned", **GREEDY} if m > 1 else {}
        sweep.strip(sweep.add(**chosen), number)
    sweep.write()
    return sweep


def test_the_index_lists_what_was_written(small: Any) -> None:
    said: list[str] = []
    entries = write_figures(small.folder, said.append)
    index = read_json(small.folder / "figures.json")["figures"]
    assert said == []
    assert [entry["file"] for entry in index] == [entry.file for entry in entries]
    assert len({entry["file"] for entry in index}) == len(index)
    assert {entry["kind"] for entry in index} == {"table", "plot", "grid"}
    for entry in index:
        assert {"kind", "file", "title", "caption", "paper"} <= set(entry)
        assert (small.folder / entry["file"]).is_file()
        assert entry["png"] is None or (small.folder / entry["png"]).is_file()
    assert {entry["paper"] for entry in index} >= {"table 5", "table 7", "table 10", "figure 1", "figure 3"}
    assert {"grids/m.png", "grids/randomised.png"} <= {entry["file"] for entry in index}


def test_tables_are_in_the_index_as_text(small: Any) -> None:
    write_figures(small.folder)
    index = {entry["file"]: entry for entry in read_json(small.folder / "figures.json")["figures"]}
    entry = index["tables/m.md"]
    assert entry["header"][:2] == ["M", "FD ↓"]
    assert [row[0] for row in entry["rows"]] == ["1 (plain)", "2", "4"]
    written = (small.folder / "tables" / "m.md").read_text()
    for r, row in enumerate(entry["rows"]):
        for c, cell in enumerate(row):
            assert "*" not in cell
            assert (f"**{cell}**" if [r, c] in entry["best"] else cell) in written


def test_what_needs_the_backbone_is_computed_once(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write_figures(small.folder)
    before = (small.folder / "scorers.json").read_bytes()
    monkeypatch.setattr(figures, "build_model", lambda config: pytest.fail("built again"))
    again = write_figures(small.folder)
    assert again == first
    assert (small.folder / "scorers.json").read_bytes() == before


def test_without_matplotlib_tables_and_pictures_still_appear(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "can_draw", lambda: False)
    said: list[str] = []
    entries = write_figures(small.folder, said.append)
    assert {entry.kind for entry in entries} == {"table", "grid"}
    assert len(said) == 1
    assert "scalewise-tts[demo]" in said[0]
    assert not lacks_plots(small.folder)  # none can be drawn
    monkeypatch.undo()
    assert lacks_plots(small.folder)
    write_figures(small.folder)
    assert not lacks_plots(small.folder)


def test_a_backbone_that_cannot_be_built_costs_a_warning(small: Any) -> None:
    small.base["backbone"] = "of-a-missing-plugin"
    said: list[str] = []
    entries = write_figures(small.write(), said.append)
    assert len(said) == 2
    assert all("of-a-missing-plugin" in text for text in said)
    assert "tables/m.md" in {entry.file for entry in entries}
    assert "plots/m.svg" in {entry.file for entry in entries}
    assert not (small.folder / "scorers.json").exists()


def test_a_sweep_without_scorers_has_no_analysis(sweep: Any) -> None:
    sweep.add()
    entries = write_figures(sweep.write())
    assert [entry.file for entry in entries] == ["tables/points.md", "grids/randomised.png"]
    assert not (sweep.folder / "scorers.json").exists()


def test_a_scorer_file_that_is_gone_costs_a_warning(sweep: Any, tmp_path: Path) -> None:
    sweep.add()
    sweep.add(candidates="2", scorer=str(tmp_path / "gone.safetensors"), **GREEDY)
    said: list[str] = []
    entries = write_figures(sweep.write(), said.append)
    assert [text for text in said if "gone.safetensors" in text]
    assert "tables/m.md" in {entry.file for entry in entries}
