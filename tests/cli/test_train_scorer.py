"""``tts train-scorer``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

Run = Callable[..., Any]
Text = Callable[..., str]
Files = Callable[[Path], dict[str, bytes]]
QUICK = ("--epochs", 1, "--epoch-pairs", 128)


def sides(trained: Any) -> tuple[object, ...]:
    return ("--real", trained.real, "--generated", trained.generated)


def test_a_scorer_comes_with_its_figures(succeed: Text, trained: Any, tmp_path: Path) -> None:
    text = succeed("train-scorer", *sides(trained), *QUICK, "--out", tmp_path)
    header, *rows, last = text.splitlines()
    assert header.split() == ["SCALE", "LOSS", "ACCURACY"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3", "4"]
    assert last.startswith(f"scorer in {tmp_path}/scorer.safetensors (")
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
    resolved = json.loads((tmp_path / "metrics.json").read_text())["resolved"]
    assert (resolved["epochs"], resolved["batch"], resolved["learning_rate"]) == (4, 128, 3e-4)
    assert (resolved["held_out"], resolved["ema"], resolved["scales"]) == (0.1, 0.0, [0, 1, 2, 3])


def test_the_pointwise_loss_and_some_scales(succeed: Text, trained: Any, tmp_path: Path) -> None:
    options = ("--loss", "pointwise", "--scales", "2-", "--ema", 0.9, "--seed", 3)
    text = succeed("train-scorer", *sides(trained), *QUICK, *options, "--out", tmp_path)
    assert [row.split()[0] for row in text.splitlines()[1:-1]] == ["2", "3", "4"]
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
    "seed": ("--seed 99999999999999999999", "below 2^63"),
    "device": ("--device cuda:9", "not available"),
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


def test_a_diverging_run_fails_and_writes_no_scorer(run: Run, trained: Any, tmp_path: Path) -> None:
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
