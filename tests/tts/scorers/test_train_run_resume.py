"""Runs of ``tts train-scorer`` that died: going on bit by bit, and never by mistake."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tts.engine.launch import Launch
from tts.errors import CheckpointError, RunError
from tts.io import read_json
from tts.scorers import train_run
from tts.scorers.train_run import run_train


class Stumble(Exception):  # noqa: N818
    """The training dies here."""


def dying_at(step):
    def progress(done, total):
        if done == step:
            raise Stumble

    return progress


@pytest.fixture
def long(config):
    """Two epochs of five steps, with a checkpoint every other step."""
    return replace(config, epoch_pairs=80, checkpoint_steps=2, ema=0.9)


@pytest.fixture
def undisturbed(long, tmp_path):
    """Contents of the files of a training that nothing disturbed."""
    run_train(replace(long, out=str(tmp_path / "undisturbed")))
    return contents(tmp_path / "undisturbed")


def contents(folder):
    """The scorer's bytes, and all figures but the time."""
    record = read_json(folder / "metrics.json")
    for key in ("settings", "seconds"):
        del record[key]
    return (folder / "scorer.safetensors").read_bytes(), record


@pytest.mark.parametrize(
    ("precision", "steps"),
    [
        pytest.param(precision, steps, marks=[pytest.mark.slow] * (steps != (8, 9)))
        for precision, steps in [
            ("float32", (3,)),
            ("float32", (5,)),
            ("float32", (8, 9)),
            ("float32", (10,)),
            ("bfloat16", (3,)),
        ]
    ],
)
def test_a_training_that_died_goes_on_bit_by_bit(long, steps, precision, tmp_path):
    long = replace(long, precision=precision)
    run_train(replace(long, out=str(tmp_path / "undisturbed")))
    for number, step in enumerate(steps):
        with pytest.raises(Stumble):
            run_train(replace(long, resume=number > 0), dying_at(step))
        assert [path.name for path in Path(long.out).iterdir()] == ["last.safetensors"]
    seen = []
    run_train(replace(long, resume=True), lambda done, total: seen.append(done))
    assert seen[-1:] == [10]
    assert len(seen) < 10
    assert contents(Path(long.out)) == contents(tmp_path / "undisturbed")
    assert not (Path(long.out) / "last.safetensors").exists()


def test_a_training_whose_files_could_not_be_written_goes_on(long, undisturbed, monkeypatch):
    def full(*_):
        raise RunError("disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(train_run, "write_result", full)
        with pytest.raises(RunError, match="disk is full"):
            run_train(long)
    seen = []
    run_train(replace(long, resume=True), lambda done, total: seen.append(done))
    assert seen == []
    assert contents(Path(long.out)) == undisturbed


def test_an_unfinished_training_is_not_run_over(long, refused, undisturbed):
    with pytest.raises(Stumble):
        run_train(long, dying_at(3))
    with refused(f"{long.out} holds an unfinished training; pass --resume to go on or --overwrite"):
        run_train(long)
    run_train(replace(long, overwrite=True))
    assert contents(Path(long.out)) == undisturbed


def test_overwriting_begins_without_the_old_checkpoint(long):
    with pytest.raises(Stumble):
        run_train(long, dying_at(3))
    with pytest.raises(Stumble):
        run_train(replace(long, overwrite=True, seed=1), dying_at(1))
    assert not (Path(long.out) / "last.safetensors").exists()


def test_going_on_with_other_settings_is_refused(long, made, refused):
    with pytest.raises(Stumble):
        run_train(long, dying_at(3))
    before = (Path(long.out) / "last.safetensors").read_bytes()
    with refused("(epochs 2, got 3, lr 0.0003, got 0.01)", "--overwrite"):
        run_train(replace(long, resume=True, epochs=3, learning_rate=0.01))
    with refused("generated data", "got"):
        run_train(replace(long, resume=True, generated=made("generated")))
    assert (Path(long.out) / "last.safetensors").read_bytes() == before


def test_going_on_elsewhere_and_in_parts(long, tmp_path, undisturbed):
    """Neither the place of the data, nor how many parts a batch is cut into, makes another training."""
    with pytest.raises(Stumble):
        run_train(long, dying_at(3))
    for side in ("real", "generated"):
        shutil.copytree(getattr(long, side), tmp_path / "moved" / side)
    moved = {side: str(tmp_path / "moved" / side) for side in ("real", "generated")}
    run_train(replace(long, resume=True, accumulate=2, checkpoint_steps=7, **moved))
    record, expected = contents(Path(long.out))[1], undisturbed[1]
    assert [row["train_loss"] for row in record["history"]] == pytest.approx(
        [row["train_loss"] for row in expected["history"]], rel=1e-3
    )


def test_a_damaged_checkpoint_is_one_line(long, refused):
    with pytest.raises(Stumble):
        run_train(long, dying_at(3))
    path = Path(long.out) / "last.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with refused(f"{path} is damaged", "--overwrite", kind=CheckpointError):
        run_train(replace(long, resume=True))


def test_a_finished_training_is_left_alone(config):
    first = run_train(config)
    before = {path.name: path.read_bytes() for path in Path(config.out).iterdir()}
    again = run_train(replace(config, resume=True), lambda *_: pytest.fail("there is nothing to do"))
    assert again == replace(first, finished_before=True)
    assert {path.name: path.read_bytes() for path in Path(config.out).iterdir()} == before


def test_a_finished_training_is_not_taken_for_another(config, refused):
    run_train(config)
    with refused("metrics.json is of a training with other settings (epochs 2, got 5)"):
        run_train(replace(config, resume=True, epochs=5))
    (Path(config.out) / "metrics.json").write_text("[]")
    with refused("metrics.json is not a valid record of a training", "--overwrite", kind=CheckpointError):
        run_train(replace(config, resume=True))


def test_what_torchrun_starts_again_goes_on(long, undisturbed, monkeypatch):
    with pytest.raises(Stumble):
        run_train(long, dying_at(3))
    monkeypatch.setattr(Launch, "from_environment", classmethod(lambda cls: Launch(restarts=1)))
    run_train(replace(long, overwrite=True))  # as torchrun repeats the command
    assert contents(Path(long.out)) == undisturbed
