"""Points of a sweep are timed in interleaved rounds."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tts.engine.worker import Worker
from tts.errors import StoppedError
from tts.evaluation.sweep import timing
from tts.evaluation.sweep.config import SweepConfig
from tts.evaluation.sweep.figures import Entry, sources_of
from tts.evaluation.sweep.run import run_sweep
from tts.evaluation.sweep.timed import read_timing
from tts.io import read_json, write_json
from tts.sample_config import SampleConfig

BASE = SampleConfig(device="cpu", scorer="likelihood", batch_size=10)


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that pictures were drawn for; none is drawn."""
    found: list[Path] = []

    def draw(folder: Path, _: Any) -> None:
        found.append(folder)
        entries = [Entry("plot", "a.svg", "A", "", None)]
        write_json(folder / "figures.json", {"figures": entries, "made_of": sources_of(folder)})

    monkeypatch.setattr("tts.evaluation.sweep.figures.write_figures", draw)
    return found


@pytest.fixture
def asked(tmp_path: Path) -> SweepConfig:
    """Three measured points; what is asked for next is to time them in two rounds."""
    folder = str(tmp_path / "sweep")
    grids = ("candidates=1,2", "candidates=2 strategy=best-of-n")
    run_sweep(SweepConfig(BASE, folder, grids, images=40, seeds="1"))
    return SweepConfig(SampleConfig(device="cpu"), folder, time=2, time_images=20)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool, int]]:
    """What is timed, in order: the id of a point, whether it is the second arm, the number of images."""
    found: list[tuple[str, bool, int]] = []
    images = timing.Arm.images

    def noted(arm: timing.Arm, items: Any, say: Any) -> Any:
        found.append((arm.id, arm.again, len(items)))
        return images(arm, items, say)

    monkeypatch.setattr(timing.Arm, "images", noted)
    return found


def test_every_point_is_timed_once_a_round_and_the_plain_one_twice(asked: SweepConfig, made: Any) -> None:
    summary = run_sweep(asked)
    ids = [point.id for point in summary.results.points]
    arms = sorted([(id_, False) for id_ in ids] + [("plain", True)])
    rounds = [[(id_, again) for id_, again, _ in made[k : k + 4]] for k in (0, 4, 8)]
    assert [sorted(one) for one in rounds] == [arms] * 3
    assert [images for *_, images in made] == [10] * 4 + [20] * 8
    found = read_timing(Path(asked.out))
    assert found is not None
    assert (found.rounds, found.images, found.batch_size, found.again_of) == (2, 20, 10, "plain")
    assert found.threads == torch.get_num_threads()
    assert list(found.seconds) == ids
    assert set(found.load_average) == {"before", "after"}
    assert found.environment["device"] == "cpu"
    low, high = found.noise
    assert 0 < low <= high
    assert not (Path(asked.out) / ".work").exists()


def test_the_order_of_rounds_is_random_and_seeded(asked: SweepConfig, made: Any) -> None:
    asked = replace(asked, time=4)
    run_sweep(asked)
    before = list(made)
    orders = {tuple(arm[:2] for arm in before[k : k + 4]) for k in range(4, 20, 4)}
    assert len(orders) > 1
    del made[:]
    run_sweep(asked)
    assert made == before


def test_the_noise_is_that_of_no_measured_set(asked: SweepConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    sets: list[int] = []
    items = timing.seed_items
    monkeypatch.setattr(
        timing, "seed_items", lambda number, *rest: (sets.append(number), items(number, *rest))[1]
    )
    run_sweep(asked)
    assert sets == [1]


def test_results_have_the_times_and_keep_the_raw_cost(asked: SweepConfig, drawn: list[Path]) -> None:
    folder = Path(asked.out)
    before = (folder / "results.json").read_bytes()
    assert len(drawn) == 1
    results = run_sweep(asked).results
    assert len(drawn) == 2
    assert (folder / "results.json").read_bytes() == before
    found = read_timing(folder)
    assert found is not None
    for point in results.points:
        assert point.rounds == pytest.approx([50 * seconds for seconds in found.seconds[point.id]])
    run_sweep(replace(asked, time=None))
    assert len(drawn) == 2


def test_without_a_plain_point_the_first_one_is_timed_twice(tmp_path: Path) -> None:
    folder = str(tmp_path / "sweep")
    run_sweep(SweepConfig(BASE, folder, ("candidates=3,2",), images=40, seeds="1"))
    run_sweep(SweepConfig(BASE, folder, time=1, time_images=10))
    found = read_timing(Path(folder))
    assert found is not None
    assert found.again_of == "greedy-m3-st2-likelihood"


def test_a_signal_keeps_the_finished_rounds(asked: SweepConfig) -> None:
    def stop(progress: Any) -> None:
        if progress.shards_done == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError, match="1 of 3 rounds are timed and kept") as caught:
        run_sweep(replace(asked, time=3), stop)
    assert caught.value.exit_code == 128 + signal.SIGTERM
    found = read_timing(Path(asked.out))
    assert found is not None
    assert (found.rounds, len(found.again)) == (1, 1)
    run_sweep(asked)
    again = read_timing(Path(asked.out))
    assert again is not None
    assert again.rounds == 2


def test_progress_counts_images_and_rounds(asked: SweepConfig) -> None:
    told: list[Any] = []
    run_sweep(asked, told.append)
    assert (told[0].shards_done, told[0].items_done, told[0].items) == (0, 20, 160)
    assert told[0].seconds_left is None
    assert (told[-1].shards_done, told[-1].shards, told[-1].items_done) == (2, 2, 160)
    assert told[-1].seconds_left == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time": 0}, "time 0 must be at least 1"),
        ({"time_images": 0}, "time-images 0 must be at least 1"),
        ({"grids": ("candidates=1",)}, "--time does not go with --grid; measure first, then time"),
    ],
)
def test_what_cannot_be_timed_is_refused(
    asked: SweepConfig, refused: Any, changes: dict[str, Any], words: str
) -> None:
    with refused(words):
        run_sweep(replace(asked, **changes))
    assert not (Path(asked.out) / "timing.json").exists()


def test_a_folder_without_points_is_refused(asked: SweepConfig, refused: Any, tmp_path: Path) -> None:
    with refused("holds no figures yet"):
        run_sweep(replace(asked, out=str(tmp_path / "none")))


def test_other_processes_at_work_are_refused(asked: SweepConfig, refused: Any) -> None:
    with Worker(Path(asked.out) / ".work"), refused("other processes are at work", "when they have ended"):
        run_sweep(asked)


def test_several_processes_of_torchrun_are_refused(asked: SweepConfig, refused: Callable[..., Any]) -> None:
    with refused("--time is for one process, torchrun started 2"):
        timing.check_timing(asked, timing.Launch(0, 2, 0, 2))


def test_a_scorer_that_has_changed_is_refused(asked: SweepConfig, refused: Any) -> None:
    path = Path(asked.out) / "sweep.json"
    record = read_json(path)
    record["judges"]["image_scorer digits"]["sha256"] = "0"
    write_json(path, record)
    with refused("image_scorer digits is not the one that was measured"):
        run_sweep(asked)
