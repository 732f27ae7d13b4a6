"""Pages of ``tts report`` as a browser shows them, on a phone and on a desk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tts.evaluation.report.page import Facts, Note, Page, Section, Table, Tile, Tiles
from tts.evaluation.report.render import write_page

pytestmark = pytest.mark.browser
PHONE, DESK = 390, 1280
SWEEP = ("sweep", "--grid", "candidates=1,2,4", "--images", 40, "--seeds", 2)


def tts(*args: object) -> None:
    """Run ``tts`` in a process of its own."""
    environment = {**os.environ, "TTS_PLUGINS": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tts_cli", *map(str, args)]
    subprocess.run(command, check=True, env=environment, capture_output=True)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The page of a real sweep, run or training; each is made once."""
    root = tmp_path_factory.mktemp("reports")

    def make(kind: str) -> Path:
        folder = root / kind
        if not folder.exists():
            if kind == "sweep":
                tts(*SWEEP, "--out", folder)
            if kind == "run":
                tts("sample", "--candidates", 2, "--seeds", "0-2", "--out", folder)
                tts("eval", folder, "--out", folder / "eval.json")
            if kind == "training":
                sides = {"generated": (), "real": ("--real", "digits")}
                for name, extra in sides.items():
                    tts("collect", "--per-class", 20, *extra, "--out", root / name)
                data = [word for name in sides for word in (f"--{name}", root / name)]
                tts("train-scorer", *data, "--epochs", 1, "--epoch-pairs", 128, "--out", folder)
            tts("report", folder)
        return folder / "report.html"

    return make


def check_page(seen: Any) -> None:
    """What must be so of every page at every width."""
    found = seen.findings
    assert (found["faults"], seen.console, found["loaded"], found["wide"]) == ([], [], [], [])
    assert found["scrollWidth"] <= found["width"]
    for image in found["images"]:
        assert image["natural"] > 0
        assert image["alt"]
        assert image["shown"] <= found["width"]


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize(("kind", "images", "tables"), [("sweep", 2, 2), ("run", 1, 1), ("training", 2, 2)])
def test_a_page_shows_its_tables_and_pictures_at_every_width(
    look: Any, reports: Callable[[str], Path], kind: str, images: int, tables: int, width: int
) -> None:
    seen = look(reports(kind), width)
    check_page(seen)
    assert seen.findings["width"] == width
    assert len(seen.findings["images"]) >= images
    assert len(seen.findings["tables"]) >= tables
    assert seen.findings["followed"] == "How it was made #"


def test_the_table_of_all_points_names_every_point(look: Any, reports: Callable[[str], Path]) -> None:
    tables = look(reports("sweep"), DESK).findings["tables"]
    points = next(table for table in tables if table[0][0] == "point")
    assert len(points) == 4
    assert points[1][0] == "plain"


def test_generated_images_keep_their_pixels(look: Any, reports: Callable[[str], Path]) -> None:
    (image,) = look(reports("run"), DESK).findings["images"]
    assert image["rendering"] == "pixelated"
    assert image["shown"] >= image["natural"]


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """A page with words, tables and names too long for a phone."""
    word = "unbroken" * 30
    header = ("Name of a point", *(f"Figure {i}" for i in range(30)))
    rows = tuple((f"{word} {i}", *("1.234 ± 0.056" for _ in range(30))) for i in range(3))
    blocks = (
        Tiles(tuple(Tile(word, word, word) for _ in range(5))),
        Table(word, header, rows),
        Facts(word, ((word, word), ("hash", "ab" * 64))),
        Note(f"{word} <img src=http://localhost:9/x.png onerror=document.title='hacked'>"),
    )
    page = Page("Words", word, word, (Section("one", word, blocks), Section("two", "End", ())))
    write_page(page, tmp_path / "crowded.html")
    return tmp_path / "crowded.html"


def test_long_names_and_wide_tables_do_not_widen_the_page(look: Any, crowded: Path) -> None:
    seen = look(crowded, PHONE)
    check_page(seen)
    assert "hacked" not in seen.findings["title"]
    (box,) = seen.findings["boxes"]
    assert box["right"] <= PHONE


def test_tables_scroll_in_their_boxes_and_the_first_column_stays(look: Any, crowded: Path) -> None:
    (box,) = look(crowded, PHONE).findings["boxes"]
    assert box["moved"] == 60
    assert 0 <= box["offset"] <= 2
    assert box["first"] <= box["box"] / 2
