"""The page of a sweep."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tts.errors import CheckpointError
from tts.evaluation.report.sweep import sweep_page
from tts.io import write_json

MakeSweep = Callable[..., Path]
ReadPage = Callable[[Any], Any]


def change_results(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    content = json.loads((folder / "results.json").read_text())
    change(content)
    write_json((folder / "results.json"), content)
    return folder


def test_it_shows_figures_points_and_how_it_was_made(make_sweep: MakeSweep, read_page: ReadPage) -> None:
    page = sweep_page(make_sweep())
    titles = [section.title for section in page.sections]
    assert titles == ["Overview", "Tables", "Plots", "Images", "How it was made"]
    html = read_page(page)
    assert len(html.images) == 2
    for text in ("tts sweep --grid", "heldout", "2.13.0", "ab" * 32, "cd" * 32, "Seed sets"):
        assert text in html.text


def test_the_overview_compares_the_lowest_distance_with_the_plain_model(
    make_sweep: MakeSweep, read_page: ReadPage
) -> None:
    html = read_page(sweep_page(make_sweep()))
    plain, best = html.texts.index("FD, plain model"), html.texts.index("Lowest FD")
    assert html.texts[plain + 1 :][:2] == ["1.55 ± 0.07", "no selection"]
    assert html.texts[best + 1 :][:2] == [
        "1.23 ± 0.04",
        "greedy M 8 ST 2: −20.6\N{NO-BREAK SPACE}% against plain",
    ]


def test_without_figures_it_says_so_and_shows_the_first_images(
    make_sweep: MakeSweep, read_page: ReadPage
) -> None:
    page = sweep_page(make_sweep(figures=False))
    titles = [section.title for section in page.sections]
    assert titles == ["Overview", "Tables", "First images", "How it was made"]
    html = read_page(page)
    assert "figures.json" in html.text
    (image,) = html.images
    assert image["alt"] == "First images of plain"


def test_many_first_images_are_cut_off_with_a_note(
    make_sweep: MakeSweep, read_page: ReadPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tts.evaluation.report.points.STRIPS", 10)
    html = read_page(sweep_page(make_sweep(figures=False)))
    assert html.images == []
    assert "left out" in html.text


def test_one_seed_set_has_no_spread(make_sweep: MakeSweep, read_page: ReadPage) -> None:
    def keep_one(content: dict[str, Any]) -> None:
        for point in content["points"]:
            del point["sets"]["1"]

    html = read_page(sweep_page(change_results(make_sweep(figures=False), keep_one)))
    assert html.tables[-1][1][:2] == ["plain", "1.50"]
    assert "±" not in html.text


def test_points_that_are_not_measured_yet_are_counted(make_sweep: MakeSweep, read_page: ReadPage) -> None:
    html = read_page(sweep_page(make_sweep(points=["plain", "greedy-m8-st2", "greedy-m16-st2"])))
    assert "1 of 3 points are not measured yet" in html.text


def test_hostile_labels_stay_text(make_sweep: MakeSweep, read_page: ReadPage) -> None:
    label = "<script>alert(1)</script>"

    def rename(content: dict[str, Any]) -> None:
        content["points"][1]["label"] = label

    html = read_page(sweep_page(change_results(make_sweep(figures=False), rename)))
    assert html.tables[-1][2][0] == label


@pytest.mark.parametrize("content", ["[]", '{"format": "other"}', "no json"])
def test_results_that_are_none_are_refused(make_sweep: MakeSweep, content: str) -> None:
    folder = make_sweep()
    (folder / "results.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"results\.json"):
        sweep_page(folder)
