"""``tts grid``."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tts.tiles import GAP, TITLE, margin_of

Run = Callable[..., Any]
Text = Callable[..., str]
CELL, PITCH = 48, 48 + GAP
TOP, LEFT = GAP + TITLE, margin_of(["1", "4", "6"])


@pytest.fixture(scope="module")
def runs(succeed: Text, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs with the same items."""
    root = tmp_path_factory.mktemp("runs")
    items = ("--labels", "1,4,6", "--seeds", "0-3", "--scorer", "likelihood")
    for m in (1, 4):
        succeed("sample", *items, "--candidates", m, "--out", root / f"m{m}")
    return root / "m1", root / "m4"


def picture(file: Path) -> Any:
    with Image.open(file) as image:
        return np.asarray(image)


def test_one_block_a_run_one_row_a_class(succeed: Text, runs: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "new" / "compare.png"
    assert succeed("grid", *runs, "--out", out) == f"12 images of each run in {out}\n"
    pixels = picture(out)
    assert pixels.shape == (3 * PITCH + TOP, 2 * (LEFT + 4 * PITCH), 3)
    corner = pixels[TOP + PITCH :, LEFT + PITCH :][:CELL, :CELL]  # class 4, seed 1
    small = picture(runs[0] / "images" / "0004" / "000001.png")
    assert (corner == small.repeat(3, axis=0).repeat(3, axis=1)).all()
    second = pixels[TOP:, 2 * LEFT + 4 * PITCH :][:CELL, :CELL]  # class 1, seed 0 of the second run
    small = picture(runs[1] / "images" / "0001" / "000000.png")
    assert (second == small.repeat(3, axis=0).repeat(3, axis=1)).all()
    labels = [pixels[TOP + row * PITCH :][:CELL, :LEFT] for row in range(3)]
    assert all((label < 128).any() for label in labels)
    assert not np.array_equal(labels[0], labels[1])


def test_rows_and_columns_can_be_limited(succeed: Text, runs: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "small.png"
    line = succeed("grid", *runs, "--rows", 2, "--columns", 3, "--out", out)
    assert line.startswith("6 images of each run")
    left = margin_of(["1", "4"])
    assert picture(out).shape == (2 * PITCH + TOP, 2 * (left + 3 * PITCH), 3)


def test_the_default_file_is_in_the_work_folder(
    succeed: Text, runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTS_WORK", str(tmp_path / "work"))
    assert succeed("grid", *runs).endswith(f" in {tmp_path}/work/compare.png\n")
    assert (tmp_path / "work" / "compare.png").is_file()


def test_only_common_images_are_shown(succeed: Text, runs: tuple[Path, Path], tmp_path: Path) -> None:
    items = ("--labels", "4,6,7", "--seeds", "0-3", "--candidates", 1)
    succeed("sample", *items, "--out", tmp_path / "part")
    line = succeed("grid", runs[0], tmp_path / "part", "--out", tmp_path / "c.png")
    assert line.startswith("8 images of each run")


def test_bad_input_is_one_line_and_an_existing_picture_stays(
    succeed: Text, refuse: Text, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "c.png"
    out.write_bytes(b"mine")
    (tmp_path / "file").touch()
    succeed("sample", "--labels", "9", "--seeds", "0", "--candidates", "1", "--out", tmp_path / "other")
    shutil.copytree(runs[0], tmp_path / "damaged")
    (tmp_path / "damaged" / "images" / "0001" / "000000.png").write_bytes(b"no picture")
    for options, expected in (
        ((runs[0], tmp_path / "nothing"), "is no folder"),
        ((runs[0], tmp_path / "other"), "no image in common"),
        ((tmp_path / "damaged",), "damaged --repair'"),
        ((*runs, "--rows", 0), "invalid value for '--rows'"),
        ((*runs, "--columns", 0), "invalid value for '--columns'"),
        ((), "no finished runs in "),
    ):
        assert expected in refuse("grid", *options, "--out", out)
        assert out.read_bytes() == b"mine"
    assert "cannot write to folder" in refuse("grid", *runs, "--out", tmp_path / "file" / "c.png")


def test_a_folder_is_no_file_to_write(run: Run, runs: tuple[Path, Path], tmp_path: Path) -> None:
    done = run("grid", *runs, "--out", tmp_path)
    assert (done.code, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
