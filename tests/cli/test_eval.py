"""``tts eval``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tts.io import read_json

FEATURES = 1e-3
"""Relative: other batches give float32 features other last digits (3e-5: sums of 576 products, 5 in a row),
and a distance is the difference of traces some ten times as large."""

Run = Callable[..., Any]
Text = Callable[..., str]
Start = Callable[..., "subprocess.CompletedProcess[str]"]
LIKELIHOOD = ("--candidates", "4", "--scorer", "likelihood")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "tts_cli")
TITLES = "RUN IMAGES FD ↓ sFD ↓ IS ↑ IS-1 ↑ PRECISION ↑ RECALL ↑ ACCURACY ↑ VARIANCE"
COLUMNS = TITLES.split()


@pytest.fixture(scope="module")
def runs(succeed: Text, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run of the plain backbone and one with selection."""
    root = tmp_path_factory.mktemp("runs")
    items = ("--labels", "0-9", "--seeds", "0-7")
    succeed("sample", *items, "--candidates", "1", "--format", "png,npz", "--out", root / "plain")
    succeed("sample", *items, *LIKELIHOOD, "--out", root / "chosen")
    return root / "plain", root / "chosen"


def rows(stdout: str) -> list[list[str]]:
    return [line.split() for line in stdout.splitlines()]


def test_a_table_compares_runs_with_the_first(succeed: Text, runs: tuple[Path, Path]) -> None:
    stdout = succeed("eval", *runs)
    header, first, second, _, note = rows(stdout)
    assert " ".join(note) == "features are digits: reference heldout are real digits"
    assert header == [*COLUMNS, "IMAGES/S", "OVERHEAD"]
    assert first[:2] == ["plain", "80"]
    assert first[-1] == "+0%"
    assert second[:2] == ["chosen", "80"]
    legend = stdout.splitlines()[-2]
    assert legend.startswith("Against real digits, heldout (364 images); ↓ lower is better, ↑ higher.")
    assert "FD: Frechet distance of digits features" in legend
    assert "OVERHEAD: time beyond that of plain" in legend


def test_json_holds_everything(succeed: Text, runs: tuple[Path, Path], tmp_path: Path) -> None:
    stdout = succeed("eval", *runs, "--json", "--out", tmp_path / "deeper" / "figures.json")
    found = json.loads(stdout)
    assert read_json(tmp_path / "deeper" / "figures.json", own=True) == found
    assert found["format"] == "scalewise-tts-eval-1"
    assert (found["title"], found["features"]["name"]) == ("FD", "digits")
    assert (found["reference"]["text"], found["reference"]["statistics"]) == ("heldout", "computed")
    assert (found["options"]["neighbours"], found["warnings"]) == (3, [])
    assert set(found["versions"]) >= {"scalewise-tts", "python", "libraries", "device"}
    plain, chosen = found["runs"]
    assert (plain["run"], plain["path"], plain["images"]) == ("plain", str(runs[0]), 80)
    assert (plain["overhead"], plain["uint8_rule"]) == (0.0, "truncate")
    for row, folder in zip((plain, chosen), runs, strict=True):
        timing = json.loads((folder / "run.json").read_text())["timing"]
        assert row["images_per_second"] == timing["images_per_second"]
        parts = row["mean_diff2"] + row["trace_reference"] + row["trace_samples"] - row["two_trace_sqrt"]
        assert row["fid"] == pytest.approx(parts)
        assert row["variance"] > 0
        assert 0.5 < row["accuracy"] <= 1
        assert 0 < row["precision"] <= 1
    assert chosen["overhead"] == plain["images_per_second"] / chosen["images_per_second"] - 1


def test_every_form_of_a_run_gives_the_same_figures(
    run: Run, succeed: Text, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    succeed("pack", runs[0], "--to", tmp_path / "packed.npz")
    options = ("--labels", "0-9", "--seeds", "0-7", "--candidates", "1")
    succeed("sample", *options, "--out", tmp_path / "png")
    forms = (runs[0], tmp_path / "packed.npz", tmp_path / "png", runs[0] / "samples.npz", runs[0] / "images")
    first, *others = json.loads(succeed("eval", *forms, "--json"))["runs"]
    for row in others:
        for name in ("images", "fid", "sfid", "precision", "recall", "accuracy", "variance"):
            assert row[name] == pytest.approx(first[name], rel=FEATURES), (row["run"], name)
    done = run("eval", *forms, "--split", 16, "--json")
    assert done.code == 0
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("warning: samples.npz: the images are not shuffled")
    ordered = json.loads(done.stdout)["runs"]
    score, packed, png, sorted_by_class, _ = (row["inception_score"] for row in ordered)
    assert score == pytest.approx(packed, rel=FEATURES) == pytest.approx(png, rel=FEATURES)
    assert score > 1.2 * sorted_by_class


def test_the_reference_can_be_chosen(succeed: Text, runs: tuple[Path, Path]) -> None:
    distances = [
        json.loads(succeed("eval", runs[0], "--reference", reference, *features, "--json"))["runs"][0]["fid"]
        for reference, features in (
            ("heldout", ()),
            ("train", ()),
            ("all", ("--features", "auto")),
            (runs[1], ("--features", "digits")),
            (runs[0], ("--features", "digits")),
        )
    ]
    assert len(set(distances)) == 5
    assert distances[-1] == pytest.approx(0, abs=1e-6)


def test_parts_and_intervals_can_be_shown(run: Run, runs: tuple[Path, Path]) -> None:
    spread = ("--bootstrap", 20, "--extrapolate")
    done = run("eval", runs[0], "--parts", *spread, "--no-manifold")
    assert done.code == 0
    assert "warning: plain: 80 images are too few to extrapolate over" in done.stderr
    header, row, legend, _ = done.stdout.splitlines()
    titles = header.replace(" ↓", "").replace(" ↑", "").split()
    assert "[low, high]: 95% interval" in legend
    assert titles[2:9] == ["FD", "FD-INF", "sFD", "MEAN-DIFF2", "TRACE-REF", "TRACE-GEN", "2TR-SQRT"]
    assert "IS-INF" in titles
    assert not {"PRECISION", "RECALL"} & set(titles)
    record = json.loads(run("eval", runs[0], *spread, "--no-manifold", "--json").stdout)["runs"][0]
    low, high = record["intervals"]["fid"]
    assert f"{record['fid']:.3f} [{low:.3f}, {high:.3f}]" in row


def test_a_set_without_labels_and_speed_has_fewer_columns(
    succeed: Text, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    with np.load(runs[0] / "samples.npz") as arrays:
        images = arrays["arr_0"][np.random.default_rng(0).permutation(80)]
    np.savez_compressed(tmp_path / "bare.npz", arr_0=images)
    header, row, _, _ = rows(succeed("eval", tmp_path / "bare.npz"))
    assert header == COLUMNS[:-3]
    assert row[:2] == ["bare.npz", "80"]


def test_a_reference_of_one_s_own(
    succeed: Text, refuse: Text, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    to = tmp_path / "deeper" / "own.npz"
    said = succeed("eval", runs[1], "--write-reference", to)
    first, second = said.splitlines()
    assert first == f"statistics of 80 images by digits and 80 images in {to}"
    assert second == "features are digits: chosen is of var-digits"
    direct, stored = (
        json.loads(succeed("eval", runs[0], "--reference", reference, "--json"))
        for reference in (runs[1], to)
    )
    assert stored["notes"] == [f"features are digits: reference {to} says that it is of these"]
    assert stored["reference"]["statistics"] == "stored"
    for name in ("fid", "sfid", "precision", "recall", "inception_score"):
        assert stored["runs"][0][name] == pytest.approx(direct["runs"][0][name], rel=1e-9), name
    made = json.loads(succeed("eval", runs[1], "--write-reference", tmp_path / "b.npz", "--json"))
    assert (made["images"], made["features"], made["path"]) == (80, "digits", str(tmp_path / "b.npz"))
    line = refuse("eval", runs[0], "--reference", "all", "--write-reference", to)
    assert "--write-reference compares nothing; leave out --reference" in line
    assert line == refuse("eval", runs[0], "--out", tmp_path / "a.json", "--write-reference", to)
    assert "which is read; name another file" in refuse("eval", to, "--out", to)
    assert "which is read; name another file" in refuse("eval", to, "--write-reference", to)
    assert "made of one set of images, got 2" in refuse("eval", *runs, "--write-reference", to)
    assert "is a folder; give a file such as" in refuse("eval", runs[0], "--write-reference", tmp_path)


def test_images_of_other_sizes_are_resized(succeed: Text, refuse: Text, tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(70):
        pixels = noise.integers(0, 256, (40 + number, 50, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    line = refuse("eval", tmp_path / "photos")
    assert "0.png has 40x50 pixels, images must be square; crop them or pass --resize" in line
    record = json.loads(succeed("eval", tmp_path / "photos", "--resize", "16", "--json"))
    assert record["resize"]["rule"] == "adm"
    assert "must be SIZE or SIZE:RULE" in refuse("eval", tmp_path / "photos", "--resize", "16:cubic")


def test_what_does_not_fit_is_refused(
    succeed: Text, refuse: Text, runs: tuple[Path, Path], converted: Any, tmp_path: Path
) -> None:
    assert "nothing does not exist" in refuse("eval", runs[0], tmp_path / "nothing")
    assert "unknown reference 'test'; use heldout, train" in refuse("eval", *runs, "--reference", "test")
    assert "no finished runs in " in refuse("eval")
    assert "is a folder; give a file such as" in refuse("eval", *runs, "--out", tmp_path)
    assert "device 'gpu'" in refuse("eval", *runs, "--device", "gpu")
    options = ("--labels", "3", "--seeds", "0-1", "--candidates", "1")
    succeed("sample", "--backbone", converted("var_tiny"), *options, "--out", tmp_path / "large")
    assert "are 16x16, but large has 64x64; give another --reference" in refuse("eval", tmp_path / "large")
    line = refuse("eval", tmp_path / "large", "--features", "digits")
    assert "has images of 64x64, features 'digits' are for 16x16" in line
    succeed("sample", "--labels", "3", "--seeds", "0", "--candidates", "1", "--out", tmp_path / "one")
    assert "at least 2 images, got 1" in refuse("eval", tmp_path / "one")


@pytest.mark.parametrize("damage", ["png", "npz", "record", "json", "missing"])
def test_a_damaged_run_is_refused(refuse: Text, runs: tuple[Path, Path], tmp_path: Path, damage: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs[1], run)
    target, invalid = run, "run.json is not a valid record of 'tts sample'"
    if damage == "npz":
        target = tmp_path / "half.npz"
        whole = (runs[0] / "samples.npz").read_bytes()
        target.write_bytes(whole[: len(whole) // 2])
        expected = "half.npz is no complete npz"
    elif damage == "png":
        file = run / "images" / "0003" / "000001.png"
        file.write_bytes(file.read_bytes()[:60])
        expected = f"{file} does not match its checksum"
    elif damage == "missing":
        (run / "run.json").unlink()
        expected = "is unfinished (no run.json of all its images)"
    elif damage == "record":
        (run / "run.json").write_text("{}")
        expected = f"{invalid} (object missing required field `timing`)"
    else:
        (run / "run.json").write_text("{")
        expected = f"{invalid} (input data was truncated)"
    assert expected in refuse("eval", target)


@pytest.fixture
def launch(tts_environment: dict[str, str]) -> Start:
    """Runs ``tts`` in two processes of torchrun."""

    def start(*args: object) -> subprocess.CompletedProcess[str]:
        environment = {**tts_environment, "OMP_NUM_THREADS": "1", "TTS_PLUGINS": ""}
        command = [sys.executable, *TORCHRUN, *map(str, args)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return start


@pytest.mark.slow
def test_two_processes_give_the_figures_of_one(
    launch: Start, succeed: Text, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    succeed("pack", runs[0], "--to", tmp_path / "packed.npz")
    command = ("eval", *runs, tmp_path / "packed.npz", "--split", 16, "--batch-size", 9, "--json")
    done = launch(*command)
    assert done.returncode == 0, done.stderr
    together, alone = (json.loads(text)["runs"] for text in (done.stdout, succeed(*command)))
    assert len(together) == 3
    for a, b in zip(together, alone, strict=True):
        assert a["run"] == b["run"]
        numbers = [name for name, value in b.items() if isinstance(value, float)]
        assert {"fid", "sfid", "inception_score", "precision", "recall", "accuracy"} <= set(numbers)
        for name in numbers:
            assert a[name] == pytest.approx(b[name], rel=FEATURES), name


@pytest.mark.slow
def test_an_error_in_one_process_ends_both(launch: Start, runs: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(runs[1], tmp_path / "run")
    last = sorted((tmp_path / "run" / "images" / "0009").iterdir())[-1]  # only the second process reads it
    last.write_bytes(b"")
    for target, words in (
        (tmp_path / "run", f"{last} does not match its checksum"),
        (tmp_path / "no", "does not exist"),
    ):
        done = launch("eval", runs[0], target, "--batch-size", 5)
        assert (done.returncode, done.stdout) == (1, "")  # torchrun's own
        (refusal,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert words in refusal


def test_help_names_the_protocol(succeed: Text) -> None:
    text = " ".join(succeed("eval", "--help").split())
    for word in ("FID, sFID, IS, precision, recall", "--adm-half", "--reference", "--features"):
        assert word in text
