"""``tts report``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Succeed = Callable[..., str]
Refuse = Callable[..., str]


def check_alone(page: Path) -> str:
    """A page refers to nothing but itself; gives its text."""
    text = page.read_text(encoding="utf-8")
    references = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert len(references) > 5
    names = set(re.findall(r'id="([^"]*)"', text))
    for reference in references:
        assert reference.startswith("data:") or reference[1:] in names, reference[:100]
    assert not re.search(r"url\(|@import|<script|<iframe", text)
    return text


@pytest.fixture(scope="module")
def samples(succeed: Succeed, run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with figures."""
    out = tmp_path_factory.mktemp("report") / "greedy"
    succeed("sample", "--candidates", 2, "--labels", "0-2", "--seeds", "0-3", "--out", out)
    assert run("eval", out, "--out", out / "eval.json").code == 0  # warns that the images are few
    return out


@pytest.fixture(scope="module")
def swept(succeed: Succeed, run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two points with two seed sets."""
    out = tmp_path_factory.mktemp("report") / "sweep"
    done = run("sweep", "--grid", "candidates=1,4", "--images", 20, "--seeds", 2, "--out", out)
    assert done.code == 0, done.stderr
    return out


def test_a_sweep_becomes_one_page_with_its_tables_plots_and_images(succeed: Succeed, swept: Path) -> None:
    line = succeed("report", swept)
    page = swept / "report.html"
    figures = len(json.loads((swept / "figures.json").read_text())["figures"])
    assert line == f"report of a sweep in {page} ({page.stat().st_size / 1000:.0f} kB, {figures} figures)\n"
    text = check_alone(page)
    for title in ("Overview", "Tables", "Plots", "Images", "How it was made"):
        assert f">{title} <a" in text
    for point in json.loads((swept / "results.json").read_text())["points"]:
        assert f"<span>{point['label']}</span>" in text
    assert "tts sweep --grid candidates=1,4 --images 20 --seeds 2" in text
    assert page.stat().st_size < 2_000_000


def test_a_run_becomes_a_page_with_its_images_and_figures(succeed: Succeed, samples: Path) -> None:
    made = json.loads(succeed("report", samples, "--json"))
    page = samples / "report.html"
    assert made == {"kind": "run", "out": str(page), "bytes": page.stat().st_size, "figures": 1}
    text = check_alone(page)
    assert "Figures (eval.json)" in text
    assert '<p class="note">greedy: 12 images for 64 features' in text
    assert "tts sample --scorer learned --candidates 2 --labels 0-2 --seeds 0-3" in text


def test_a_training_becomes_a_page_with_its_curves(succeed: Succeed, trained: Any, tmp_path: Path) -> None:
    succeed("report", trained.scorer, "--out", tmp_path / "new" / "scorer.html")
    text = check_alone(tmp_path / "new" / "scorer.html")
    assert text.count("<img") == 2
    assert not (trained.scorer / "report.html").exists()


def test_a_second_page_is_the_same_and_replaces_the_first(succeed: Succeed, samples: Path) -> None:
    succeed("report", samples)
    before = (samples / "report.html").read_bytes()
    (samples / "report.html").write_text("old")
    succeed("report", samples)
    assert (samples / "report.html").read_bytes() == before


def test_a_folder_of_something_else_is_refused(refuse: Refuse, trained: Any, tmp_path: Path) -> None:
    assert "nothing that a report can be made of; give an output folder" in refuse("report", trained.real)
    assert "nothing that a report can be made of" in refuse("report", tmp_path)
    assert "is no folder" in refuse("report", tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_sweep_is_refused_with_the_next_step(
    refuse: Refuse, swept: Path, tmp_path: Path
) -> None:
    (tmp_path / "sweep.json").write_bytes((swept / "sweep.json").read_bytes())
    assert refuse("report", tmp_path).endswith(
        "holds an unfinished sweep; run its 'tts sweep' again to go on"
    )


def test_the_page_must_be_html(refuse: Refuse, samples: Path) -> None:
    assert "is no name for an HTML file" in refuse("report", samples, "--out", samples / "run.json")
    assert json.loads((samples / "run.json").read_text())["finished"]
