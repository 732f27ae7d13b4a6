"""``tts train-scorer``."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from tts.limits import NUMBERS
from tts.locks import sole_writer
from tts.scorers.resume import CHECKPOINT_FILE

Run = Callable[..., Any]
Text = Callable[..., str]
Files = Callable[[Path], dict[str, bytes]]
QUICK = ("--epochs", 1, "--epoch-pairs", 128)


def sides(trained: Any) -> tuple[object, ...]:
    return ("--real", trained.real, "--generated", trained.generated)


@pytest.fixture(scope="session")
def succeed(run: Run) -> Text:
    """Run ``tts``, which must succeed and say no more on stderr than that quick trainings learn little."""

    def check(*args: object) -> str:
        done = run(*args)
        assert done.code == 0
        doubts = ("warning: the scorer", "warning: the moving average")
        assert all(line.startswith(doubts) for line in done.stderr.splitlines()), done.stderr
        return str(done.stdout)

    return check


def test_one_training_at_a_time_writes_a_folder(
    run: Run, succeed: Text, trained: Any, tmp_path: Path
) -> None:
    arguments = ("train-scorer", *sides(trained), *QUICK, "--out", tmp_path)
    with sole_writer(tmp_path / CHECKPOINT_FILE):
        before = sorted(path.name for path in tmp_path.iterdir())
        done = run(*arguments)
        assert (done.code, done.stdout) == (1, "")
        assert f"another process is writing {tmp_path / CHECKPOINT_FILE}; wait for it" in done.stderr
        assert sorted(path.name for path in tmp_path.iterdir()) == before
    succeed(*arguments)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_training_that_learns_nothing_says_so(run: Run, trained: Any, tmp_path: Path) -> None:
    done = run("train-scorer", *sides(trained), *QUICK, "--ema", 0.998, "--lr", 1e-9, "--out", tmp_path)
    assert done.code == 0
    chance, average = done.stderr.splitlines()
    assert chance.startswith(
        "warning: the scorer ranks held-out pairs no better than chance: accuracy below 0."
    )
    assert average.startswith(
        "warning: the moving average of --ema 0.998 spans 500 steps, the training has 1:"
    )
    assert json.loads((tmp_path / "metrics.json").read_text())["warnings"] == [
        line.removeprefix("warning: ") for line in (chance, average)
    ]


def test_a_scorer_comes_with_its_figures(succeed: Text, trained: Any, tmp_path: Path) -> None:
    text = succeed("train-scorer", *sides(trained), *QUICK, "--out", tmp_path)
    header, *rows, legend, last = text.splitlines()
    assert header.split() == ["SCALE", "LOSS", "↓", "ACCURACY", "↑"]
    assert "0.5 is chance" in legend
    assert [row.split()[0] for row in rows] == ["1", "2", "3", "4"]
    assert last.startswith(f"scorer in {tmp_path}/scorer.safetensors (epoch 1 of 1, ")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["settings"]["loss"] == "pairwise"
    assert metrics["scales"] == [1, 2, 3, 4]
    assert len(metrics["history"]) == 1
    for row, loss, accuracy in zip(
        rows, metrics["held_out"]["loss"], metrics["held_out"]["accuracy"], strict=True
    ):
        assert row.split()[1:] == [f"{loss:.4f}", f"{accuracy:.3f}"]
    with safe_open(tmp_path / "scorer.safetensors", "pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "scalewise-tts-scorer-1"
    identity = json.loads(metadata["identity"])
    data = json.loads((trained.generated / "manifest.json").read_text())
    assert identity == data["identity"]
    assert json.loads(metadata["config"])["classes"] == 10


def test_the_published_recipe_is_the_default(succeed: Text, trained: Any, tmp_path: Path) -> None:
    answer = json.loads(succeed("train-scorer", *sides(trained), "--json", "--out", tmp_path))
    assert answer["scorer"] == f"{tmp_path}/scorer.safetensors"
    assert [row[0] for row in answer["held_out"]] == [1, 2, 3, 4]
    assert 1 <= answer["epoch"] <= 4
    resolved = json.loads((tmp_path / "metrics.json").read_text())["resolved"]
    assert (resolved["epochs"], resolved["batch"], resolved["learning_rate"]) == (4, 128, 3e-4)
    assert (resolved["held_out"], resolved["ema"], resolved["scales"]) == (0.1, 0.0, [0, 1, 2, 3])
    assert (resolved["accumulate"], resolved["precision"]) == (1, "float32")
    assert (resolved["keep"], resolved["patience"]) == ("best", None)


def test_the_pointwise_loss_and_some_scales(succeed: Text, trained: Any, tmp_path: Path) -> None:
    options = ("--loss", "pointwise", "--scales", "2-", "--ema", 0.9, "--seed", 3)
    text = succeed("train-scorer", *sides(trained), *QUICK, *options, "--out", tmp_path)
    assert [row.split()[0] for row in text.splitlines()[1:-2]] == ["2", "3", "4"]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["settings"]["loss"], metrics["scales"]) == ("pointwise", [2, 3, 4])


def test_the_seed_decides_the_scorer(succeed: Text, trained: Any, tmp_path: Path) -> None:
    for name, seed in {"one": 1, "same": 1, "other": 2}.items():
        succeed("train-scorer", *sides(trained), *QUICK, "--seed", seed, "--out", tmp_path / name)
    one, same, other = (
        load_file(tmp_path / name / "scorer.safetensors") for name in ("one", "same", "other")
    )
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


def test_a_scorer_in_the_folder_is_refused_unless_overwritten(
    succeed: Text, refuse: Text, files: Files, trained: Any, tmp_path: Path
) -> None:
    succeed("train-scorer", *sides(trained), *QUICK, "--out", tmp_path)
    before = files(tmp_path)
    assert "already holds a scorer" in refuse("train-scorer", *sides(trained), *QUICK, "--out", tmp_path)
    assert files(tmp_path) == before
    succeed("train-scorer", *sides(trained), *QUICK, "--seed", 1, "--overwrite", "--out", tmp_path)
    assert files(tmp_path)["scorer.safetensors"] != before["scorer.safetensors"]


BAD = {
    "real": ("--real {root}/nothing", "holds no finished data set"),
    "real-empty": ("--real {root}", "holds no finished data set"),
    "swapped": ("--real {generated} --generated {real}", "swap the folders"),
    "twice": ("--generated {real}", "--generated needs generated ones"),
    "loss": ("--loss pairwize", "unknown loss 'pairwize'; did you mean 'pairwise'"),
    "backbone": ("--backbone var-digitz", "unknown backbone 'var-digitz'"),
    "other-backbone": ("--backbone {tiny}", "the data were collected with backbone var-digits, got var-d2"),
    "weights": ("--weights {malicious}", "--weights does not go with var-digits"),
    "weights-malicious": ("--backbone var-d16 --weights {malicious}", "mkdir, refused unread"),
    "scales": ("--scales 5", "scale 5 is out of range"),
    "scales-0": ("--scales 0-2", "scale 0 is out of range"),
    "scales-text": ("--scales all", "scale 'all'"),
    "epochs": ("--epochs 0", "epochs 0 must be at least 1"),
    "batch": ("--batch 0", "batch 0 must be at least 1"),
    "epoch-pairs": ("--epoch-pairs 0", "epoch-pairs 0 must be at least 1"),
    "lr": ("--lr 0", "lr 0.0"),
    "lr-inf": ("--lr inf", "lr inf"),
    "ema": ("--ema 1", "ema 1.0"),
    "held-out": ("--held-out 1.5", "held-out fraction is 1.5"),
    "seed": ("--seed 99999999999999999999", "must be at most 9223372036854775807"),
    "device": ("--device cuda:9", "not available"),
    "accumulate": ("--accumulate 0", "accumulate 0 must be at least 1"),
    "accumulate-text": ("--accumulate two", "invalid value for '--accumulate'"),
    "accumulate-batch": ("--accumulate 9 --batch 8", "accumulate 9 cuts a batch of 8 pairs"),
    "precision": ("--precision double", "unknown precision 'double'; use float32, bfloat16, float16"),
    "precision-half": ("--precision half --device cpu", "float16 needs a CUDA GPU, got device cpu"),
    "precision-cpu": ("--precision float16 --device cpu", "float16 needs a CUDA GPU, got device cpu"),
    "keep": ("--keep first", "unknown keep 'first'; use best or last"),
    "patience": ("--patience 0", "patience 0 must be at least 1"),
    "checkpoint-steps": ("--checkpoint-steps 0", "checkpoint-steps 0 must be at least 1"),
    "resume": ("--resume", "--resume goes on and --overwrite starts anew; pass one of them"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_an_existing_scorer_stays(
    refuse: Text,
    files: Files,
    trained: Any,
    converted: Any,
    malicious: Any,
    tmp_path: Path,
    name: str,
) -> None:
    text, expected = BAD[name]
    places = {"real": trained.real, "generated": trained.generated, "tiny": converted("var_tiny")}
    options = text.format(root=tmp_path, malicious=malicious.file, **places).split()
    out = tmp_path / "out"
    shutil.copytree(trained.scorer, out)
    before = files(out)
    line = refuse("train-scorer", *sides(trained), *QUICK, *options, "--overwrite", "--out", out)
    assert expected in line
    assert files(out) == before
    assert not malicious.marker.exists()


def test_a_truncated_data_set_is_refused(refuse: Text, trained: Any, tmp_path: Path) -> None:
    shutil.copytree(trained.real, tmp_path / "real")
    shard = tmp_path / "real" / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-10])
    options = ("--real", tmp_path / "real", "--generated", trained.generated, *QUICK)
    assert "not a complete safetensors file" in refuse("train-scorer", *options, "--out", tmp_path / "out")


def test_a_diverging_run_fails_and_writes_no_scorer(
    run: Run, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NUMBERS, "learning_rate", (0, 1e38))  # the usual most does not overflow so soon
    options = ("--epochs", 2, "--epoch-pairs", 512, "--lr", 1e30)
    done = run("train-scorer", *sides(trained), *options, "--out", tmp_path)
    assert (done.code, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "lower --lr" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_folder_that_cannot_be_written_is_refused(
    refuse: Text, trained: Any, tmp_path: Path, below: str
) -> None:
    (tmp_path / "file").write_text("mine")
    line = refuse("train-scorer", *sides(trained), *QUICK, "--out", f"{tmp_path}/file{below}")
    assert "cannot write to folder" in line
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("side", ["real", "generated"])
def test_a_scorer_does_not_go_into_its_data(refuse: Text, trained: Any, side: str) -> None:
    folder = getattr(trained, side)
    before = sorted(folder.iterdir())
    said = refuse("train-scorer", *sides(trained), "--out", folder, *QUICK, "--overwrite")
    assert f"{folder} holds the data; choose another --out" in said
    assert sorted(folder.iterdir()) == before


def test_resuming_needs_a_checkpoint(refuse: Text, trained: Any, tmp_path: Path) -> None:
    line = refuse("train-scorer", *sides(trained), *QUICK, "--resume", "--out", tmp_path)
    assert f"{tmp_path} holds no last.safetensors to go on from; leave --resume out to start" in line


def test_resuming_a_finished_training_leaves_it_alone(
    run: Run, succeed: Text, files: Files, trained: Any, tmp_path: Path
) -> None:
    first = succeed("train-scorer", *sides(trained), *QUICK, "--out", tmp_path)
    before = files(tmp_path)
    done = run("train-scorer", *sides(trained), *QUICK, "--resume", "--out", tmp_path)
    assert (done.code, done.stdout) == (0, first)
    line, *doubts = done.stderr.splitlines()
    warnings = json.loads((tmp_path / "metrics.json").read_text())["warnings"]
    assert doubts == [f"warning: {text}" for text in warnings]
    assert line.startswith("note: the training is finished, nothing is left to do; pass --overwrite")
    assert files(tmp_path) == before


LONG = ("--epochs", "2", "--epoch-pairs", "960", "--batch", "16", "--checkpoint-steps", "5", "--ema", "0.9")


@contextmanager
def started(environment: dict[str, str], *command: str) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive the block."""
    process = subprocess.Popen(
        [sys.executable, *command],
        env={**environment, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGTERM, 143, "error: terminated; stopped after step "),
        (signal.SIGKILL, -9, ""),
    ],
)
def test_a_training_that_was_ended_goes_on_bit_by_bit(
    succeed: Text,
    refuse: Text,
    trained: Any,
    tts_environment: dict[str, str],
    tmp_path: Path,
    number: signal.Signals,
    code: int,
    said: str,
) -> None:
    arguments = ("train-scorer", *map(str, sides(trained)), *LONG)
    succeed(*arguments, "--out", tmp_path / "undisturbed")
    out = tmp_path / "out"
    with started(tts_environment, "-m", "tts_cli", *arguments, "--out", str(out)) as process:
        wait_for(out / "last.safetensors", process)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (code, "")
    lines = stderr.splitlines()
    assert len(lines) == bool(said)
    assert not said or lines[0].startswith(said)
    assert not (out / "scorer.safetensors").exists()
    line = refuse(*arguments, "--out", out)
    assert "holds an unfinished training; pass --resume to go on or --overwrite to train anew" in line
    assert "(seed 0, got 1)" in refuse(*arguments, "--resume", "--seed", 1, "--out", out)
    succeed(*arguments, "--resume", "--out", out)
    expected = (tmp_path / "undisturbed" / "scorer.safetensors").read_bytes()
    assert (out / "scorer.safetensors").read_bytes() == expected
    assert sorted(path.name for path in out.iterdir()) == [
        "curves.png",
        "metrics.json",
        "scorer.safetensors",
        "scores.png",
    ]


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "tts_cli")


def losses(folder: Path) -> list[float]:
    history = json.loads((folder / "metrics.json").read_text())["history"]
    return [loss for row in history for loss in (row["train_loss"], *row["loss"])]


@pytest.mark.slow
def test_two_processes_train_what_one_does(
    succeed: Text, trained: Any, tts_environment: dict[str, str], tmp_path: Path
) -> None:
    """To 1e-4 over a few steps; the last batch of an epoch is one pair, so that a process has none."""
    options = ("--epochs", "2", "--epoch-pairs", "121", "--batch", "40", "--device", "cpu")
    arguments = ("train-scorer", *map(str, sides(trained)), *options)
    one = succeed(*arguments, "--out", tmp_path / "one")
    with started(tts_environment, *TORCHRUN, *arguments, "--out", str(tmp_path / "two")) as process:
        two, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert "error" not in stderr.lower()
    assert [line.split()[0] for line in two.splitlines()] == [line.split()[0] for line in one.splitlines()]
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    assert losses(tmp_path / "two") != losses(tmp_path / "one")  # there were indeed two
    metrics = json.loads((tmp_path / "two" / "metrics.json").read_text())
    assert metrics["processes"] == 2
    assert not (tmp_path / "two" / "last.safetensors").exists()


@pytest.mark.slow
def test_two_processes_stop_together_and_one_goes_on(
    succeed: Text, trained: Any, tts_environment: dict[str, str], tmp_path: Path
) -> None:
    arguments = ("train-scorer", *map(str, sides(trained)), *LONG, "--device", "cpu")
    succeed(*arguments, "--out", tmp_path / "one")
    out = tmp_path / "two"
    with started(tts_environment, *TORCHRUN, *arguments, "--out", str(out)) as process:
        wait_for(out / "last.safetensors", process)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=25)  # less than torchrun's patience
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, stderr
    assert errors[0].startswith("error: terminated; stopped after step ")
    assert stdout == ""
    succeed(*arguments, "--resume", "--out", out)
    assert losses(out) == pytest.approx(losses(tmp_path / "one"), rel=0.05)


ENDLESS = """
@tts.hookimpl
def tts_register_losses():
    return [tts.LossSpec("endless", "acme_endless:endless", "")]

def endless(real, generated):
    return (generated - real).mean() + float("inf")
"""


@pytest.mark.slow
def test_two_processes_refuse_with_one_voice(
    trained: Any, tts_environment: dict[str, str], install: Any, tmp_path: Path
) -> None:
    install("acme-endless", ENDLESS)
    for options, expected in ((("--held-out", "2"), "held-out"), (("--loss", "endless"), "lower --lr")):
        arguments = ("train-scorer", *map(str, sides(trained)), *options, "--out", str(tmp_path / "out"))
        with started(tts_environment, *TORCHRUN, *arguments) as process:
            stdout, stderr = process.communicate(timeout=60)
        errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
        assert (process.returncode != 0, stdout, len(errors)) == (True, "", 1), stderr
        assert expected in errors[0]
        assert not list((tmp_path / "out").glob("*"))
