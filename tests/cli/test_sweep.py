"""``tts sweep``."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tts.io import read_json

FEATURES = 1e-3
"""Relative: other batches give float32 features other last digits (3e-5: sums of 576 products, 5 in a row),
and a distance is the difference of traces some ten times as large."""

Text = Callable[..., str]
DOUBT = "40 images for 64 features"
SMALL = ("--images", 40, "--device", "cpu")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "tts_cli")


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tts.evaluation.sweep.summing._drawn", lambda folder: ())


@pytest.fixture
def sweep(run: Any) -> Text:
    """Run ``tts sweep``, which must succeed with nothing but the doubt about so few images on stderr."""

    def check(*args: object) -> str:
        done = run("sweep", *SMALL, *args)
        assert done.code == 0, done.stderr
        lines = done.stderr.splitlines()
        assert all(line.startswith(f"warning: {DOUBT}") for line in lines), done.stderr
        return str(done.stdout)

    return check


def test_a_table_has_a_row_a_point(sweep: Text, tmp_path: Path) -> None:
    axes = ("--grid", "candidates=1,2", "start_scale=1,2", "selector=greedy,softmax")
    header, *rows, legend, last = sweep(*axes, "--seeds", 2, "--out", tmp_path).splitlines()
    assert legend.startswith("Means over seed sets of ")
    assert "↓ lower is better, ↑ higher" in legend
    names = "POINT SETS FD ↓ sFD ↓ IS ↑ ACCURACY % ↑ PRECISION ↑ RECALL ↑"
    assert header.split() == [*names.split(), "S/1000", "PASSES", "SCORED", "DECODED"]
    labels = [" ".join(row.partition("  ")[0].split()) for row in rows]
    chosen = [f"{selector} M 2 ST {st}" for st in (1, 2) for selector in ("greedy", "softmax")]
    assert labels == ["plain", *chosen]
    assert all(row.count(" ± ") == 7 for row in rows)
    assert last == f"5 points in {tmp_path}"
    with (tmp_path / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 5 * 2
    assert {row["images"] for row in table} == {"40"}


def test_figures_are_those_of_tts_eval(sweep: Text, succeed: Text, run: Any, tmp_path: Path) -> None:
    sweep("--grid", "candidates=2", "--seeds", 1, "--keep-images", "--out", tmp_path / "sweep")
    succeed("sample", "--candidates", 2, "--per-class", 4, "--out", tmp_path / "run")
    point = json.loads((tmp_path / "sweep" / "results.json").read_text())["points"][0]
    images = tmp_path / "sweep" / "points" / "greedy-m2-st2" / "set-0.npz"
    judged = json.loads(run("eval", tmp_path / "run", images, "--json").stdout)["runs"]
    for one in judged:
        for name in ("fid", "sfid", "precision", "recall", "accuracy", "variance", "inception_score"):
            assert point["mean"][name] == pytest.approx(one[name], rel=FEATURES), name


def test_several_grids_are_united(sweep: Text, tmp_path: Path) -> None:
    grids = ("--grid", "candidates=1,2", "--grid", "strategy=best-of-n candidates=1,2")
    *_, plain, greedy, best, _, _ = sweep(*grids, "--seeds", 1, "--out", tmp_path).splitlines()
    assert plain.startswith("plain ")
    assert greedy.startswith("greedy M 2 ST 2 ")
    assert best.startswith("best of 2 by digits ")
    assert best.split()[-4:] == ["8", "0", "2", "2"]


def test_json_holds_the_results_and_the_comparison(sweep: Text, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "first")
    sweep("--grid", "candidates=1,2", "--seeds", 2, *out)
    other = ("--grid", "candidates=1,2", "--seeds", 2, "--cfg", 3, "--out", tmp_path / "second")
    found = json.loads(sweep(*other, "--against", tmp_path / "first", "--json"))
    assert found["results"] == read_json(tmp_path / "second" / "results.json")
    assert (found["points"], found["seed_sets"], found["made"]) == (2, 2, 4)
    assert found["against"]["apart"] == {"cfg": [3.0, 1.5]}
    assert [pair["point"] for pair in found["against"]["pairs"]] == ["plain-cfg3", "greedy-m2-st2-cfg3"]


def test_a_sweep_against_itself_differs_in_nothing(sweep: Text, tmp_path: Path) -> None:
    sweep("--grid", "candidates=1,2", "--seeds", 2, "--out", tmp_path)
    lines = sweep("--out", tmp_path, "--against", tmp_path).splitlines()
    header = next(i for i, line in enumerate(lines) if line.startswith("point "))
    for line in lines[header + 1 : -2]:
        differences = line.split("  ")[-8:]
        assert set("".join(differences)) <= set("+0. [],")


def test_points_are_timed(sweep: Text, succeed: Text, tmp_path: Path) -> None:
    sweep("--grid", "candidates=1,2", "--seeds", 1, "--out", tmp_path)
    out = ("--out", tmp_path, "--device", "cpu")
    lines = succeed("sweep", "--time", 2, "--time-images", 20, *out).splitlines()
    assert lines[0].split() == ["POINT", "TIME", "S/1000"]
    assert lines[1].split()[:2] == ["plain", "1.00"]
    assert lines[2].startswith("greedy M 2 ST 2 ")
    assert lines[3].startswith("TIME is relative to the plain model")
    assert lines[4:] == [f"2 points in {tmp_path}"]
    timing = json.loads((tmp_path / "timing.json").read_text())
    assert (timing["format"], timing["rounds"], timing["images"]) == ("scalewise-tts-timing-1", 2, 20)
    assert [len(times) for times in timing["seconds"].values()] == [2, 2]
    assert json.loads(succeed("sweep", *out, "--json"))["timing"]["seconds"] == timing["seconds"]


def test_timing_is_refused_in_one_line(refuse: Text, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "none")
    assert "time 0 must be at least 1" in refuse("sweep", "--time", 0, *out)
    assert "--time does not go with --grid" in refuse("sweep", "--time", 1, "--grid", "candidates=1", *out)
    assert "holds no figures yet" in refuse("sweep", "--time", 1, *out)
    assert not (tmp_path / "none").exists()


def test_slips_are_refused_in_one_line(refuse: Text, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "none")
    assert "unknown axis 'candidate'; did you mean" in refuse("sweep", "--grid", "candidate=1", *out)
    assert "start-scale 9 is out of range" in refuse("sweep", "--grid", "start_scale=1,9", *out)
    assert "holds no figures yet; pass --grid" in refuse("sweep", *out)
    several = ("--grid", "cfg=1", "--grid", "cfg=2", "candidates=1")
    assert "'candidates=1' could belong to any of 2 grids" in refuse("sweep", *several, *out)
    assert not (tmp_path / "none").exists()


def test_another_base_is_refused(sweep: Text, refuse: Text, tmp_path: Path) -> None:
    sweep("--grid", "candidates=1", "--seeds", 1, "--out", tmp_path)
    line = refuse("sweep", "--grid", "candidates=1", "--images", 50, "--dtype", "bfloat16", "--out", tmp_path)
    assert "holds a sweep with other settings (dtype, images); choose another --out" in line


def test_the_recorded_command_goes_on(sweep: Text, run: Any, tmp_path: Path) -> None:
    sweep("--grid", "candidates=1", "schedule=1,2,3,4", "--seeds", 1, "--cfg", 2, "--out", tmp_path)
    before = (tmp_path / "results.json").read_bytes()
    command = json.loads((tmp_path / "sweep.json").read_text())["command"]
    import shlex

    program, *words = shlex.split(command)
    assert program == "tts"
    assert run(*words).code == 0
    assert (tmp_path / "results.json").read_bytes() == before


def test_settings_can_come_from_a_file(sweep: Text, tmp_path: Path) -> None:
    settings = {"format": "scalewise-tts-settings-1", "settings": {"cfg": 3.0, "selector": "softmax"}}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    options = ("--settings", tmp_path / "settings.json", "--seeds", 1, "--out", tmp_path / "sweep")
    rows = sweep("--grid", "candidates=1,2", *options).splitlines()[1:-2]
    assert [row.partition("  ")[0] for row in rows] == ["plain cfg 3", "softmax M 2 ST 2 cfg 3"]
    (row, *_) = sweep("--grid", "candidates=1", "--cfg", 1, *options).splitlines()[3:]
    assert row.startswith("plain cfg 1 ")


def test_progress_is_told_as_json_lines(run: Any, tmp_path: Path) -> None:
    done = run("sweep", *SMALL, "--grid", "candidates=1,2", "--seeds", 1, "--log-json", "--out", tmp_path)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert (events[0]["event"], events[0]["items_done"], events[0]["items"]) == ("progress", 0, 80)
    assert "warning" in [event["event"] for event in events]
    assert events[-1]["event"] == "progress"
    assert (events[-1]["what"], events[-1]["shards_done"], events[-1]["shards"]) == ("sweeping", 2, 2)
    assert (events[-1]["items_done"], events[-1]["seconds_left"]) == (80, 0)


@pytest.fixture
def start(tts_environment: dict[str, str]) -> Any:
    """Starts Python with arguments; kills what is left at the end."""
    started: list[subprocess.Popen[str]] = []

    def begin(*args: object, launcher: tuple[str, ...] = ("-m", "tts_cli")) -> subprocess.Popen[str]:
        environment = {**tts_environment, "OMP_NUM_THREADS": "1", "TTS_PLUGINS": ""}
        command = [sys.executable, *launcher, "sweep", *map(str, (*SMALL, *args))]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process: Any = subprocess.Popen(command, env=environment, **pipes)  # type: ignore[call-overload]
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_in_good_order(
    start: Any, sweep: Text, tmp_path: Path, number: signal.Signals
) -> None:
    options = ("--grid", "candidates=1,2,4,8", "--seeds", 60, "--batch-size", 4, "--out", tmp_path)
    process = start(*options)
    while not list(tmp_path.glob("points/*/set-*.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (128 + number, "")
    last = stderr.splitlines()[-1]
    assert last.startswith(f"error: {'interrupted' if number == signal.SIGINT else 'terminated'}; ")
    assert last.endswith(
        "of 240 seed sets are measured, run the same command to go on, or without --grid to sum up"
    )
    assert not (tmp_path / ".work").exists()
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.slow
def test_two_processes_of_torchrun_sweep(start: Any, sweep: Text, tmp_path: Path) -> None:
    options = ("--grid", "candidates=1,2,4", "selector=greedy,softmax", "--seeds", 2)
    process = start(*options, "--out", tmp_path / "two", launcher=TORCHRUN)
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stderr
    assert stdout.splitlines()[-1] == f"5 points in {tmp_path / 'two'}"
    assert stdout.count("POINT") == 1
    sweep(*options, "--out", tmp_path / "one")
    found = []
    for name in ("one", "two"):
        points = json.loads((tmp_path / name / "results.json").read_text())["points"]
        found.append([[one["figures"] for one in point["sets"].values()] for point in points])
    assert found[0] == found[1]
    bad = start("--grid", "cfg=x", "--out", tmp_path / "none", launcher=TORCHRUN)
    stderr = bad.communicate(timeout=240)[1]
    assert len([line for line in stderr.splitlines() if line.startswith("error: ")]) == 1
    assert not os.path.exists(tmp_path / "none")
