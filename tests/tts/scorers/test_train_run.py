"""The whole run of ``tts train-scorer`` on small data."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from tts import __version__
from tts.data.collect_config import CollectConfig
from tts.data.collect_run import run_collect
from tts.errors import CheckpointError, PluginError
from tts.io import read_json
from tts.scorers import train
from tts.scorers.checkpoint import load_scorer
from tts.scorers.held_out import HeldOut
from tts.scorers.learned import build
from tts.scorers.train_run import run_train
from tts.specs import ScorerRequest


def test_a_run_writes_the_scorer_its_figures_and_pictures(config, digits_backbone, digits_identity, tmp_path):
    progress = []
    summary = run_train(config, lambda done, total: progress.append((done, total)))
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "curves.png",
        "metrics.json",
        "scorer.safetensors",
        "scores.png",
    ]
    assert summary.scorer == out / "scorer.safetensors"
    assert summary.pictures == (out / "curves.png", out / "scores.png")
    assert summary.scales == (1, 2, 3, 4)
    record = read_json(out / "metrics.json")
    assert record["settings"] == json.loads(json.dumps(asdict(config)))
    assert (record["resolved"]["scales"], record["scales"]) == ([0, 1, 2, 3], [1, 2, 3, 4])
    assert record["environment"]["scalewise-tts"] == __version__
    assert [row["epoch"] for row in record["history"]] == [1, 2]
    assert (record["kept_epoch"], record["stopped_early"], record["processes"]) == (summary.epoch, False, 1)
    kept = record["history"][summary.epoch - 1]
    assert record["held_out"]["accuracy"] == list(summary.accuracy) == kept["accuracy"]
    assert record["held_out"]["loss"] == list(summary.loss)
    assert record["held_out"]["score_gap"].keys() == {"mean_real", "mean_generated", "gap", "kl"}
    _, card, _ = load_scorer(summary.scorer, 4)
    assert card.identity == digits_identity
    assert card.training["held_out"] == record["held_out"]
    assert card.training["data"] == [config.real, config.generated]
    scorer = build(ScorerRequest(digits_backbone, torch.device("cpu"), str(out)))
    assert scorer.remarks == ()


def test_equal_runs_write_equal_scorers(config, tmp_path):
    files = []
    for name in ("a", "b"):
        summary = run_train(replace(config, out=str(tmp_path / name), epochs=1, scales="3-"))
        assert summary.scales == (3, 4)
        files.append(summary.scorer.read_bytes())
    assert files[0] == files[1]


def test_an_existing_scorer_is_kept_unless_told(config, tmp_path, refused):
    out = tmp_path / "out"
    out.mkdir()
    (out / "scorer.safetensors").write_bytes(b"precious")
    with refused(f"{out} already holds a scorer", "--overwrite"):
        run_train(config)
    assert (out / "scorer.safetensors").read_bytes() == b"precious"
    run_train(replace(config, overwrite=True, epochs=1))
    load_scorer(out / "scorer.safetensors", 4)


def test_swapped_sides_are_refused(config, refused):
    with refused("holds generated images, --real needs real ones; swap the folders"):
        run_train(replace(config, real=config.generated, generated=config.real))


def test_sides_of_two_backbones_are_refused(config, made, refused):
    with refused("the real data are of weights", "collect both with one backbone", kind=CheckpointError):
        run_train(replace(config, generated=made("generated", weights="0" * 64)))


def test_data_of_other_weights_than_the_backbone_are_refused(config, made, refused):
    both = {kind: made(kind, weights="0" * 64) for kind in ("real", "generated")}
    with refused("the data were collected with weights 000000000000, got", kind=CheckpointError):
        run_train(replace(config, **both))


def test_a_folder_without_data_is_refused(config, tmp_path, refused):
    with refused("holds no finished data set", "run tts collect", kind=CheckpointError):
        run_train(replace(config, real=str(tmp_path)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 0}, "epochs 0 must be at least 1"),
        ({"batch": 0}, "batch 0 must be at least 1"),
        ({"epoch_pairs": 0}, "epoch-pairs 0 must be at least 1"),
        ({"learning_rate": 0.0}, "lr 0.0"),
        ({"learning_rate": float("nan")}, "lr nan"),
        ({"ema": 1.0}, "ema 1.0"),
        ({"ema": -0.5}, "ema -0.5"),
        ({"held_out": 1.5}, "held-out fraction is 1.5"),
        ({"scales": "5"}, "scale 5 is out of range"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"accumulate": 0}, "accumulate 0 must be at least 1"),
        ({"accumulate": 17}, "accumulate 17 cuts a batch of 16 pairs into parts without any"),
        ({"patience": 0}, "patience 0 must be at least 1"),
        ({"checkpoint_steps": 0}, "checkpoint-steps 0 must be at least 1"),
        ({"precision": "double"}, "unknown precision 'double'; use float32, bfloat16, float16"),
        ({"precision": "float16"}, "float16 needs a CUDA GPU, got device cpu"),
        ({"precision": "half"}, "float16 needs a CUDA GPU, got device cpu"),
        ({"keep": "first"}, "unknown keep 'first'; use best or last"),
        ({"resume": True}, "holds no last.safetensors to go on from"),
        ({"resume": True, "overwrite": True}, "--resume goes on and --overwrite starts anew"),
    ],
)
def test_settings_out_of_range(config, changes, words, refused, tmp_path):
    with refused(words):
        run_train(replace(config, **changes))
    assert not (tmp_path / "out" / "scorer.safetensors").exists()


def test_an_unknown_loss(config, refused):
    with refused("unknown loss 'pairwize'; did you mean 'pairwise'?", kind=PluginError):
        run_train(replace(config, loss="pairwize"))


def test_a_failure_leaves_no_scorer(config, tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_train(config, interrupt)
    assert not any((tmp_path / "out").iterdir())


def test_data_that_moved_can_be_trained_on(config, tmp_path):
    for side in ("real", "generated"):
        shutil.copytree(getattr(config, side), tmp_path / "moved" / side)
    moved = {side: str(tmp_path / "moved" / side) for side in ("real", "generated")}
    summary = run_train(replace(config, epochs=1, scales="2", **moved))
    assert summary.scales == (2,)


@pytest.fixture
def flexvar_data(tmp_path):
    """Both sides for the digits FlexVAR at a schedule of its own."""

    def write(schedule):
        sides = {}
        for kind, real in (("real", "digits"), ("generated", None)):
            folder = str(tmp_path / f"flexvar-{kind}")
            run_collect(
                CollectConfig("flexvar-digits", schedule=schedule, real=real, per_class=4, out=folder)
            )
            sides[kind] = folder
        return sides

    return write


@pytest.mark.parametrize("condition", ["scale", "side"])
def test_a_scorer_is_trained_at_the_schedule_of_its_data(config, flexvar_data, condition):
    sides = flexvar_data("1,2,4")
    run_train(replace(config, **sides, condition=condition))
    network, card, _ = load_scorer(Path(config.out) / "scorer.safetensors", 4)
    assert card.identity.schedule == (1, 2, 4)
    assert network.config.sides == ((1, 2, 4) if condition == "side" else ())
    assert card.training["settings"]["condition"] == condition
    assert network.stage_label_embedding.weight.shape[0] == 3


def test_both_conditions_are_one_scorer_at_the_schedule_trained_on(config, flexvar_data, tmp_path):
    sides = flexvar_data("1,3,4")
    networks = []
    for condition in ("scale", "side"):
        out = str(tmp_path / condition)
        run_train(replace(config, **sides, condition=condition, out=out))
        networks.append(load_scorer(Path(out) / "scorer.safetensors", 4)[0].state_dict())
    assert all(torch.equal(networks[0][key], networks[1][key]) for key in networks[0])


def test_an_unknown_condition(config, refused):
    with refused("unknown condition 'area'; use scale or side"):
        run_train(replace(config, condition="area"))


def test_patience_and_the_kept_epoch_are_recorded(config):
    summary = run_train(replace(config, epochs=6, learning_rate=0.5, patience=1, keep="last"))
    record = read_json(Path(config.out) / "metrics.json")
    assert record["stopped_early"] is True
    assert (summary.epoch, summary.epochs) == (len(record["history"]),) * 2
    assert summary.epochs < 6
    _, card, _ = load_scorer(summary.scorer, 4)
    assert (card.training["settings"]["patience"], card.training["settings"]["keep"]) == (1, "last")
    assert "kept_epoch" not in card.training


def test_a_best_epoch_before_the_last_is_recorded(config, monkeypatch):
    losses = iter((0.5, 0.2, 0.4))

    def fake(*_):
        loss = next(losses)
        return HeldOut((loss,) * 4, (loss,) * 4, torch.full((5, 4), loss), torch.zeros(5, 4))

    monkeypatch.setattr(train, "evaluate", fake)
    summary = run_train(replace(config, epochs=3))
    record = read_json(Path(config.out) / "metrics.json")
    assert (summary.epoch, summary.epochs, record["kept_epoch"]) == (2, 3, 2)
    assert list(summary.loss) == record["held_out"]["loss"] == record["history"][1]["loss"] == [0.2] * 4
    assert record["held_out"]["score_gap"]["gap"] == pytest.approx(0.2)
    training = load_scorer(summary.scorer, 4)[1].training
    assert (training["kept_epoch"], training["held_out"]) == (2, record["held_out"])
