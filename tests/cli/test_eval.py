"""``tts eval``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Text = Callable[..., str]
LIKELIHOOD = ("--candidates", "4", "--scorer", "likelihood")


@pytest.fixture(scope="module")
def runs(succeed: Text, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run of the plain backbone and one with selection."""
    root = tmp_path_factory.mktemp("runs")
    items = ("--labels", "0-9", "--seeds", "0-3")
    succeed("sample", *items, "--candidates", "1", "--format", "png,npz", "--out", root / "plain")
    succeed("sample", *items, *LIKELIHOOD, "--out", root / "chosen")
    return root / "plain", root / "chosen"


def test_a_table_compares_runs_with_the_first(succeed: Text, runs: tuple[Path, Path]) -> None:
    header, first, second = succeed("eval", *runs).splitlines()
    assert header.split() == ["RUN", "IMAGES", "FRECHET", "ACCURACY", "VARIANCE", "IMAGES/S", "OVERHEAD"]
    assert first.split()[:2] == ["plain", "40"]
    assert first.split()[-1] == "+0%"
    assert second.split()[:2] == ["chosen", "40"]


def test_json_holds_the_figures(succeed: Text, runs: tuple[Path, Path]) -> None:
    plain, chosen = json.loads(succeed("eval", *runs, "--json"))
    assert (plain["run"], plain["images"], plain["overhead"]) == ("plain", 40, 0.0)
    for row, folder in zip((plain, chosen), runs, strict=True):
        timing = json.loads((folder / "run.json").read_text())["timing"]
        assert row["images_per_second"] == timing["images_per_second"]
        assert row["frechet"] > 0
        assert row["variance"] > 0
        assert 0.5 < row["accuracy"] <= 1
    assert chosen["overhead"] == plain["images_per_second"] / chosen["images_per_second"] - 1


def test_png_and_npz_give_the_same_figures(succeed: Text, runs: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(runs[0], tmp_path / "png", ignore=shutil.ignore_patterns("*.npz"))
    a, b = json.loads(succeed("eval", runs[0], tmp_path / "png", "--json"))
    for name in ("images", "frechet", "accuracy", "variance"):
        assert a[name] == pytest.approx(b[name], rel=1e-5)


def test_the_reference_can_be_chosen(succeed: Text, runs: tuple[Path, Path]) -> None:
    distances = [
        json.loads(succeed("eval", runs[0], "--reference", part, "--json"))[0]["frechet"]
        for part in ("heldout", "train", "all")
    ]
    assert len(set(distances)) == 3


def test_a_run_without_a_record_has_no_speed(succeed: Text, runs: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(runs[0], tmp_path / "bare", ignore=shutil.ignore_patterns("run.json"))
    (row,) = succeed("eval", tmp_path / "bare").splitlines()[1:]
    assert row.split()[-2:] == ["-", "-"]


def test_what_is_no_run_is_refused(
    succeed: Text, refuse: Text, runs: tuple[Path, Path], converted: Any, tmp_path: Path
) -> None:
    assert "holds no images of 'tts sample'" in refuse("eval", runs[0], tmp_path / "nothing")
    assert "unknown reference 'test'; use heldout, train, all" in refuse("eval", *runs, "--reference", "test")
    assert "missing argument" in refuse("eval")
    options = ("--labels", "3", "--seeds", "0-1", "--candidates", "1")
    succeed("sample", "--backbone", converted("var_tiny"), *options, "--out", tmp_path / "large")
    assert "has images of 64x64; this is for digits of 16x16" in refuse("eval", tmp_path / "large")
    succeed("sample", "--labels", "3", "--seeds", "0", "--candidates", "1", "--out", tmp_path / "one")
    assert "at least 2 images, got 1" in refuse("eval", tmp_path / "one")


@pytest.mark.parametrize("damage", ["png", "npz", "record", "json"])
def test_a_damaged_run_is_refused(refuse: Text, runs: tuple[Path, Path], tmp_path: Path, damage: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs[damage != "npz"], run)
    if damage == "npz":
        whole = (run / "samples.npz").read_bytes()
        (run / "samples.npz").write_bytes(whole[: len(whole) // 2])
        expected = "samples.npz is no complete npz"
    elif damage == "png":
        file = run / "images" / "0003" / "000001.png"
        file.write_bytes(file.read_bytes()[:60])
        expected = "000001.png is no readable image"
    else:
        (run / "run.json").write_text("{}" if damage == "record" else "{")
        expected = "run.json is no record" if damage == "record" else "run.json is not valid JSON"
    assert expected in refuse("eval", run)
