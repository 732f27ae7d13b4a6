"""Sweeps that stop, go on, grow, and are shared by processes."""

from __future__ import annotations

import json
import multiprocessing as mp
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tts.engine.launch import Launch
from tts.engine.worker import Worker
from tts.evaluation.sweep import run as running
from tts.evaluation.sweep.config import SweepConfig
from tts.evaluation.sweep.lab import Lab
from tts.evaluation.sweep.run import run_sweep, set_threads
from tts.io import read_json
from tts.sample_config import SampleConfig

PROCESS = """
import time, torch
from tts.evaluation.sweep import summing
from tts.evaluation.sweep.run import run_sweep

torch.set_num_threads(1)
summing._drawn = lambda folder: ()
run_sweep(config, lambda progress: time.sleep(pause))
"""
"""One process of a sweep, slow enough to be hit in the middle; the pictures are tested elsewhere."""

BASE = SampleConfig(device="cpu", scorer="likelihood", batch_size=10)


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tts.evaluation.sweep.summing._drawn", lambda folder: ())


@pytest.fixture
def config(tmp_path: Path) -> SweepConfig:
    """Two points with two seed sets each."""
    return SweepConfig(BASE, str(tmp_path / "sweep"), ("candidates=1,2",), images=40, seeds="2")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What is measured: candidates and seed sets, in order."""
    found: list[tuple[str, int]] = []
    measure = Lab.measure

    def noted(lab: Lab, config: SampleConfig, seed_set: int, *rest: Any, **options: Any) -> Any:
        found.append((config.candidates, seed_set))
        return measure(lab, config, seed_set, *rest, **options)

    monkeypatch.setattr(Lab, "measure", noted)
    return found


def figures(folder: str | Path) -> dict[str, Any]:
    """Results without times and memory, and without what was typed."""
    content = read_json(Path(folder) / "results.json")
    del content["environment"], content["sweep"]["command"], content["sweep"]["base"]
    for point in content["points"]:
        for one in [point["mean"], point["spread"], *(found["cost"] for found in point["sets"].values())]:
            del one["seconds"], one["peak_bytes"]
    return dict(content)


def files(folder: str | Path) -> list[str]:
    root = Path(folder)
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_a_sweep_measures_set_by_set_cheap_points_first(config: SweepConfig, measured: Any) -> None:
    summary = run_sweep(replace(config, grids=("candidates=2,1",)))
    assert measured == [("1", 0), ("2", 0), ("1", 1), ("2", 1)]
    assert (summary.points, summary.seed_sets, summary.made) == (2, 2, 4)
    assert [point.label for point in summary.results.points] == ["greedy M 2 ST 2 scorer likelihood", "plain"]
    assert files(config.out) == [
        *(
            f"points/{id_}/{name}"
            for id_ in ("greedy-m2-st2-likelihood", "plain")
            for name in ("images.png", "point.json", "set-0.json", "set-1.json")
        ),
        *("results.csv", "results.json", "sweep.json"),
    ]


def test_the_same_command_measures_nothing_again(config: SweepConfig, measured: Any) -> None:
    run_sweep(config)
    before = {name: (Path(config.out) / name).read_bytes() for name in files(config.out)}
    del measured[:]
    assert run_sweep(config).made == 0
    assert measured == []
    assert {name: (Path(config.out) / name).read_bytes() for name in files(config.out)} == before


def test_a_sweep_goes_on_where_it_stopped(config: SweepConfig, measured: Any, tmp_path: Path) -> None:
    class EnoughError(Exception):
        pass

    def give_up(progress: Any) -> None:
        if progress.items_done >= 70:
            raise EnoughError

    whole = replace(config, out=str(tmp_path / "whole"))
    run_sweep(whole)
    del measured[:]
    with pytest.raises(EnoughError):
        run_sweep(config, give_up)
    assert run_sweep(config).made == 3
    assert measured == [("1", 0), ("2", 0), ("2", 0), ("1", 1), ("2", 1)]
    assert figures(config.out) == figures(whole.out)
    assert files(config.out) == files(whole.out)


def test_grids_and_seed_sets_can_be_added(config: SweepConfig, measured: Any, tmp_path: Path) -> None:
    run_sweep(config)
    del measured[:]
    run_sweep(replace(config, grids=("candidates=2,4",), seeds="1,7"))
    assert measured == [("4", 1), ("2", 7), ("4", 7)]
    points = figures(config.out)["points"]
    assert [list(point["sets"]) for point in points] == [["0", "1"], ["0", "1", "7"], ["1", "7"]]
    together = replace(config, out=str(tmp_path / "whole"), grids=("candidates=1,2,4",), seeds="0,1,7")
    run_sweep(together)
    for point in figures(together.out)["points"]:
        mine = next(one for one in points if one["id"] == point["id"])
        assert mine["sets"] == {number: point["sets"][number] for number in mine["sets"]}


def test_another_base_is_refused_before_anything_is_measured(
    config: SweepConfig, measured: Any, refused: Any
) -> None:
    run_sweep(config)
    del measured[:]
    for changes, words in (
        ({"images": 50}, "(images)"),
        ({"base": replace(BASE, backbone="var-digits-l")}, "(backbone)"),
        ({"base": replace(BASE, dtype="bfloat16")}, "(dtype)"),
        ({"reference": "all"}, "(reference)"),
    ):
        with refused("holds a sweep with other settings", words):
            run_sweep(replace(config, **changes))
    assert measured == []
    run_sweep(replace(config, base=replace(BASE, batch_size=3, chunk=1)))


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ("candidates=1,2 start_scale=2,5", "start-scale 5 is out of range"),
        ("candidates=1 selector=greedy,gredy", "unknown selector 'gredy'; did you mean 'greedy'?"),
        ("candidates=1,2 scorer=missing.pth", "missing.pth"),
        ("candidates=1 temperature=1,0 selector=softmax", "temperature 0 must be at least 1e-06"),
        ("cfg=1,-1", "cfg -1.0 must be a number of at least 0"),
        ("schedule=1,2,3,4;1,2,5", "has the fixed schedule 1,2,3,4"),
        ("guidance=var,none", "unknown guidance 'none'"),
        ("strategy=best-of-n,best", "unknown strategy 'best'"),
        ("strategy=best-of-n candidates=2 image_scorer=digits,nobody", "unknown image scorer 'nobody'"),
        ("candidates=1,x", "candidates 'x' must be whole numbers"),
        ("candidates=2 scorer=likelihood,none", "needs a scorer"),
    ],
)
def test_every_value_is_checked_before_anything_is_measured(
    config: SweepConfig, measured: Any, refused: Any, grid: str, words: str
) -> None:
    with refused(words):
        run_sweep(replace(config, grids=("candidates=1", grid)))
    assert measured == []
    assert not Path(config.out).exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": 1}, "images 1 must be from 2"),
        ({"seeds": "x"}, "seeds 'x'"),
        ({"threads": 0}, "threads 0 must be at least 1"),
        ({"base": replace(BASE, batch_size=0)}, "batch-size 0 must be at least 1"),
        ({"base": replace(BASE, device="tpu")}, "unknown device 'tpu'"),
        ({"reference": "held-out"}, "unknown reference 'held-out'"),
        ({"features": "digit"}, "unknown features 'digit'; did you mean 'digits'?"),
        ({"against": "nowhere"}, "--against nowhere is neither a folder of 'tts sweep' nor a point"),
        ({"grids": ()}, "holds no figures yet; pass --grid"),
    ],
)
def test_other_slips_cost_nothing_either(
    config: SweepConfig, measured: Any, refused: Any, changes: dict[str, Any], words: str
) -> None:
    with refused(words):
        run_sweep(replace(config, **changes))
    assert measured == []
    assert not Path(config.out).exists()


def test_what_makes_no_difference_is_remarked(config: SweepConfig) -> None:
    grid = "candidates=1,2 temperature=0.5,1 selector=greedy"
    summary = run_sweep(replace(config, grids=(grid,), images=43, seeds="1"))
    assert "axis temperature makes no difference in grid" in summary.remarks[0]
    assert "43 images are no multiple of 10 classes" in summary.remarks[1]
    assert len(summary.remarks) == 2


def test_doubts_about_the_figures_are_said_once(config: SweepConfig) -> None:
    said: list[str] = []
    run_sweep(config, warn=said.append)
    assert len([text for text in said if text.startswith("40 images for 64 features")]) == 1


def test_a_damaged_seed_set_is_measured_again(config: SweepConfig, measured: Any) -> None:
    run_sweep(config)
    before = figures(config.out)
    (Path(config.out) / "points" / "plain" / "set-1.json").write_text("{")
    del measured[:]
    said: list[str] = []
    run_sweep(config, warn=said.append)
    assert measured == [("1", 1)]
    assert "set-1.json is not a valid" in said[0]
    assert said[0].endswith("it is measured again")
    assert figures(config.out) == before


def test_images_are_kept_on_demand(config: SweepConfig, measured: Any) -> None:
    run_sweep(config)
    keep = replace(config, keep_images=True, seeds="1")
    run_sweep(keep)
    assert measured[4:] == [("1", 0), ("2", 0)]
    with np.load(Path(config.out) / "points" / "plain" / "set-0.npz") as kept:
        assert kept["arr_0"].shape == (40, 16, 16, 3)
    run_sweep(keep)
    assert len(measured) == 6


def test_results_are_summed_up_without_grids(config: SweepConfig, measured: Any) -> None:
    run_sweep(config)
    expected = figures(config.out)
    (Path(config.out) / "results.json").unlink()
    del measured[:]
    summary = run_sweep(replace(config, grids=(), images=7, seeds="9"))
    assert (summary.made, measured) == (0, [])
    assert figures(config.out) == expected


def test_a_sweep_is_compared_with_another(config: SweepConfig, tmp_path: Path, refused: Any) -> None:
    other = replace(config, out=str(tmp_path / "other"), base=replace(BASE, cfg=3.0))
    run_sweep(other)
    found = run_sweep(replace(config, against=other.out)).comparison
    assert found is not None
    assert found.apart == {"cfg": (1.5, 3.0)}
    assert [pair.other for pair in found.pairs] == ["plain-cfg3", "greedy-m2-st2-likelihood-cfg3"]
    assert (Path(config.out) / "against-other.json").exists()
    assert run_sweep(replace(config, against="plain")).comparison is not None
    with refused("cannot be compared: other images"):
        run_sweep(replace(config, out=str(tmp_path / "third"), images=50, against=other.out))


def test_progress_counts_sets_and_images_to_the_end(config: SweepConfig) -> None:
    heard: list[Any] = []
    run_sweep(config, heard.append)
    done = [progress.items_done for progress in heard]
    assert done == sorted(done)
    assert {(progress.shards, progress.items, progress.processes) for progress in heard} == {(4, 160, 1)}
    last = heard[-1]
    assert (last.shards_done, last.items_done, last.seconds_left) == (4, 160, 0)
    assert all((progress.seconds_left is None) is (progress.items_done == 0) for progress in heard)


def test_a_seed_set_that_another_has_in_hand_is_left_to_it(config: SweepConfig, measured: Any) -> None:
    with Worker(Path(config.out) / ".work") as other:
        assert other.take("plain.set-0")

        def finish(progress: Any) -> None:
            if progress.shards_done == 3:
                other.release("plain.set-0")

        heard: list[int] = []
        run_sweep(config, lambda progress: (heard.append(progress.processes), finish(progress))[1])
    assert measured == [("2", 0), ("1", 1), ("2", 1), ("1", 0)]
    assert 2 in heard
    processes = [read_json(path)["processes"] for path in Path(config.out).glob("points/*/set-*.json")]
    assert processes == [2] * 4


def test_processes_of_a_launch_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    monkeypatch.setattr(running.torch, "set_num_threads", used.append)
    monkeypatch.setattr(running, "cores", lambda: 8)
    set_threads(None, Launch())
    set_threads(None, Launch(1, 6, 1, 3))
    set_threads(None, Launch(1, 40, 1, 20))
    set_threads(5, Launch(1, 6, 1, 3))
    assert used == [2, 1, 5]


@pytest.fixture(scope="module")
def processes() -> Callable[[SweepConfig, int, float], list[Any]]:
    """Starts processes that have the library loaded already."""
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["tts.evaluation.sweep.run", "torch._dynamo"])

    def start(config: SweepConfig, count: int, pause: float) -> list[Any]:
        names = {"config": config, "pause": pause}
        started = [context.Process(target=exec, args=(PROCESS, names)) for _ in range(count)]
        for process in started:
            process.start()
        return started

    return start


def end(started: list[Any]) -> None:
    for process in started:
        process.join(120)
    assert [process.exitcode for process in started] == [0] * len(started)


@pytest.mark.slow
def test_two_processes_share_a_sweep(config: SweepConfig, processes: Any, tmp_path: Path) -> None:
    grown = replace(config, grids=("candidates=1,2,4",))
    alone = replace(grown, out=str(tmp_path / "alone"))
    run_sweep(alone)
    end(processes(grown, 2, 0.05))
    assert figures(grown.out) == figures(alone.out)
    assert files(grown.out) == files(alone.out)
    records = [read_json(path) for path in Path(grown.out).glob("points/*/set-*.json")]
    assert 2 in [record["processes"] for record in records]


@pytest.mark.slow
def test_killed_processes_leave_nothing_that_shows(
    config: SweepConfig, processes: Any, tmp_path: Path
) -> None:
    grown = replace(config, grids=("candidates=1,2,4",), seeds="3")
    alone = replace(grown, out=str(tmp_path / "alone"))
    run_sweep(alone)
    moments, hit = random.Random(5), 0
    for round_ in range(6):
        started = processes(grown, 1 + round_ % 2, 0.08)
        time.sleep(moments.uniform(0.4, 0.9))
        hit += any(process.is_alive() for process in started)
        for process in started:
            process.kill()
            process.join()
    assert hit >= 3
    end(processes(grown, 1, 0))
    assert figures(grown.out) == figures(alone.out)
    assert files(grown.out) == files(alone.out)


def test_results_say_what_they_are_of(config: SweepConfig) -> None:
    run_sweep(config)
    sweep = json.loads((Path(config.out) / "results.json").read_text())["sweep"]
    assert sweep["images"] == 40
    assert sweep["seed_sets"] == [0, 1]
    assert sweep["features_title"] == "FD"
    assert sweep["reference"]["text"] == "heldout"
    assert sweep["backbone"]["backbone"] == "var-digits"
    assert len(sweep["backbone"]["weights_sha256"]) == 64
    assert sweep["judges"] == {"scorer likelihood": {"name": "likelihood"}}
    assert sweep["command"].startswith("tts sweep --scorer likelihood --device cpu --batch-size 10 --grid")
