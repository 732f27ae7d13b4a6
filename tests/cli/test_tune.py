"""``tts tune``: small tunes of the digits, on a clock that counts images, so that machines may be slow."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tts.evaluation.cost import Cost
from tts.evaluation.figures import Figures
from tts.evaluation.tune import run as tune_run
from tts.evaluation.tune.bench import LabBench
from tts.evaluation.tune.budget import Clock
from tts.evaluation.tune.desk import Half
from tts.evaluation.tune.space import Arm
from tts.io import write_json

Run = Callable[..., Any]
Text = Callable[..., str]
Files = Callable[[Path], dict[str, bytes]]

FEW = " images for 64 features: "
SMALL = ("--budget", "4s", "--min-images", 20, "--max-candidates", 8, "--cfgs", "0,1.5,4")


class CountedTime:
    """Time that passes with the images of measurements only; ``after`` hears of each of them."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.measured: list[tuple[Arm, int, int, Half]] = []
        self.after: Callable[[int], None] = lambda count: None

    def measure(
        self, bench: LabBench, arm: Arm, seed_set: int, images: int, half: Half, original: Any
    ) -> tuple[Figures, Cost]:
        figures, cost = original(bench, arm, seed_set, images, half)
        self.seconds += images * (0.001 + 0.0001 * arm.candidates)
        self.measured.append((arm, seed_set, images, half))
        self.after(len(self.measured))
        return figures, cost


@pytest.fixture(scope="module")
def counted() -> Iterator[CountedTime]:
    """Let all tunes of this file run on counted time."""
    time, original = CountedTime(), LabBench.measure
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            LabBench,
            "measure",
            lambda bench, arm, seed_set, images, half: time.measure(
                bench, arm, seed_set, images, half, original
            ),
        )
        patch.setattr(tune_run, "Clock", partial(Clock, now=lambda: time.seconds))
        yield time


@pytest.fixture(autouse=True)
def forgetful(counted: CountedTime) -> None:
    """Forget what other tests measured."""
    counted.measured.clear()
    counted.after = lambda count: None


@pytest.fixture(scope="module")
def tune(run: Run, counted: CountedTime) -> Text:
    """Run ``tts tune``, which must succeed and say no more on stderr than that there are few images."""

    def check(*args: object) -> str:
        done = run("tune", *args)
        assert done.code == 0, done
        assert all(FEW in line for line in done.stderr.splitlines()), done.stderr
        return str(done.stdout)

    return check


@pytest.fixture(scope="module")
def finished(tune: Text, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tune."""
    out = tmp_path_factory.mktemp("tuned") / "tune"
    tune(*SMALL, "--out", out)
    return out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "tune"))


def interrupt_at(measurement: int) -> Callable[[int], None]:
    """Press Ctrl-C when so many measurements are made."""
    return lambda count: signal.raise_signal(signal.SIGINT) if count == measurement else None


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "tune.json").read_text())


def test_a_tune_writes_its_measurements_and_what_follows_from_them(finished: Path) -> None:
    tune = record(finished)
    assert tune["format"] == "scalewise-tts-tune-1"
    assert tune["features"]["name"] == "digits"
    assert tune["halves"] == {"search": 182, "confirmation": 182}
    assert tune["budget"]["seconds"] == 4
    assert 3 <= tune["spent"] <= 4.6
    for rung in tune["rungs"]:
        assert {row["cost"]["images"] for row in rung["rows"]} == {rung["images"]}
        assert len(rung["rows"]) == len(rung["arms"])
    found = tune["confirmation"]
    assert len(found["sets"]) == len(found["baseline"]) == len(found["winner"]) >= 5
    mean = sum(a - b for a, b in zip(found["winner"], found["baseline"], strict=True)) / len(found["sets"])
    assert found["difference"] == pytest.approx(mean)
    assert found["interval"][0] < mean < found["interval"][1]
    assert {rung["seed_set"] for rung in tune["rungs"]}.isdisjoint(found["sets"])
    assert tune["recommended"] == (tune["winner"] if found["verdict"] == "gain" else tune["baseline"])


def test_the_confirmed_figures_are_those_of_the_samples(
    finished: Path, run: Run, succeed: Text, tmp_path: Path
) -> None:
    """A seed set of the winner, sampled and measured anew, has the accuracy that the tune found."""
    tune = record(finished)
    found = tune["confirmation"]
    rows = tune["trial"]["rows"][str(found["sets"][0])]
    row = next(row for row in rows if row["arm"] == tune["trial"]["winner"])
    seeds = [found["sets"][0] * 10_000_000 + i for i in range(tune["trial"]["images"])]
    accuracies = []
    for label in range(10):
        chosen = ",".join(str(seed) for i, seed in enumerate(seeds) if i % 10 == label)
        samples = tmp_path / str(label)
        given = ("--settings", finished / "winner.json", "--labels", label, "--seeds", chosen)
        succeed("sample", *given, "--out", samples)
        measured = json.loads(run("eval", samples, "--json").stdout)
        accuracies.append(measured["runs"][0]["accuracy"])
    assert sum(accuracies) / 10 == pytest.approx(row["figures"]["accuracy"])


def test_sample_takes_the_settings(finished: Path, succeed: Text, tmp_path: Path) -> None:
    tune = record(finished)
    for name in ("baseline", "winner", "settings"):
        samples = tmp_path / name
        given = ("--settings", finished / f"{name}.json", "--labels", "3", "--seeds", "0")
        succeed("sample", *given, "--out", samples)
        settings = json.loads((samples / "run.json").read_text())["settings"]
        setting = tune["recommended" if name == "settings" else name]
        named = {key: value for key, value in setting.items() if value is not None}
        assert named == {key: settings[key] for key in named}


def test_the_summary_tells_the_verdict_and_lists_the_rungs(finished: Path) -> None:
    text, tune = (finished / "tune.md").read_text(), record(finished)
    assert tune["confirmation"]["verdict"] in text.lower()
    for number in range(1, len(tune["rungs"]) + 1):
        assert f"### Search, rung {number}" in text
    assert "--budget 4s" in text


def test_the_same_tune_again_measures_nothing(
    out: Path, succeed: Text, files: Files, counted: CountedTime
) -> None:
    before = files(out)
    text = succeed("tune", *SMALL, "--out", out)
    assert counted.measured == []
    assert files(out) == before
    assert text.splitlines()[-1].startswith(f"settings in {out / 'settings.json'} (")
    answer = json.loads(succeed("tune", *SMALL, "--out", out, "--json"))
    assert answer["confirmation"] == record(out)["confirmation"]
    assert answer["recommended"] == record(out)["recommended"]


def test_another_tune_is_refused_and_names_what_differs(out: Path, refuse: Text, files: Files) -> None:
    before = files(out)
    line = refuse("tune", *SMALL, "--objective", "accuracy", "--seed", 1, "--out", out)
    assert "(objective, seed); choose another --out or pass --overwrite" in line
    line = refuse("tune", *SMALL, "--backbone", "var-digits-l", "--reference", "all", "--out", out)
    assert "(backbone, scorer, reference)" in line
    assert files(out) == before


@pytest.mark.slow
def test_an_interrupted_tune_goes_on_and_ends_as_if_nothing_had_been(
    finished: Path, tmp_path: Path, run: Run, tune: Text, counted: CountedTime
) -> None:
    total = sum(len(rung["rows"]) for rung in record(finished)["rungs"]) + 4
    out, stops = tmp_path / "tune", (2, 9, total + 3)
    made = 0
    for stop in stops:
        counted.measured.clear()
        counted.after = lambda count, at=stop - made: (
            signal.raise_signal(signal.SIGINT) if count == at else None
        )  # type: ignore[misc]
        done = run("tune", *SMALL, "--out", out)
        assert done.code == 130
        assert "the same command goes on" in done.stderr
        made = stop
        assert not (out / "settings.json").exists()
    counted.measured.clear()
    counted.after = lambda count: None
    tune(*SMALL, "--out", out)
    ours, theirs = record(out), record(finished)
    assert ours["winner"] == theirs["winner"]
    for key in ("baseline", "winner", "sets"):
        assert ours["confirmation"][key] == theirs["confirmation"][key]


def test_a_refused_budget_leaves_the_folder_free_for_a_larger_one(
    tmp_path: Path, run: Run, counted: CountedTime
) -> None:
    small = ("--min-images", 20, "--max-candidates", 8, "--cfgs", "0,1.5", "--out", tmp_path / "tune")
    done = run("tune", *small, "--budget", "1s")
    assert done.code == 2
    assert "budget 1s is too small" in done.stderr
    counted.after = interrupt_at(len(counted.measured) + 5)
    assert run("tune", *small, "--budget", "4s").code == 130
    assert record(tmp_path / "tune")["budget"]["seconds"] == 4


def test_overwrite_begins_anew(out: Path, run: Run, counted: CountedTime) -> None:
    counted.after = interrupt_at(1)
    assert run("tune", *SMALL, "--seed", 3, "--out", out, "--overwrite").code == 130
    assert (record(out)["options"]["seed"], len(record(out)["probes"])) == (3, 1)
    assert not (out / "settings.json").exists()


def test_a_damaged_record_is_refused(out: Path, refuse: Text) -> None:
    write_json((out / "tune.json"), {"format": "scalewise-tts-tune-1"})
    assert "is not a valid record of 'tts tune'" in refuse("tune", *SMALL, "--out", out)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--budget", "soon"), "budget 'soon' must be a time"),
        (("--objective", "loss"), "unknown objective 'loss'"),
        (("--scorer", "none"), "scorer none leaves nothing to select by"),
        (("--cfgs", "a,b"), "cfgs 'a,b' must be numbers"),
        (("--cfgs", "-1"), "cfgs '-1' must be numbers"),
        (("--max-overhead", 0), "max-overhead 0 must be above 0"),
        (("--max-candidates", 1), "max-candidates 1 must be at least 2"),
        (("--min-images", 1), "min-images 1 must be at least 2"),
        (("--seed", -1), "seed -1 must be from 0"),
        (("--batch-size", 0), "batch-size 0 must be at least 1"),
        (("--reference", "nowhere"), "unknown reference 'nowhere'"),
        (("--backbone", "nothing"), "unknown backbone 'nothing'"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(
    args: tuple[Any, ...], said: str, refuse: Text, tmp_path: Path, counted: CountedTime
) -> None:
    assert said in refuse("tune", *args, "--out", tmp_path / "tune")
    assert counted.measured == []
    assert not (tmp_path / "tune" / "tune.json").exists()


def test_many_processes_are_refused(refuse: Text, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "0"), ("MASTER_ADDR", "localhost")):
        monkeypatch.setenv(name, value)
    assert "start it without torchrun" in refuse("tune", *SMALL, "--out", tmp_path / "tune")


def test_the_folder_of_another_command_is_refused(refuse: Text, succeed: Text, tmp_path: Path) -> None:
    succeed("sample", "--labels", "1", "--seeds", "0", "--candidates", "1", "--out", tmp_path / "run")
    assert "holds a run of another command" in refuse("tune", *SMALL, "--out", tmp_path / "run")
