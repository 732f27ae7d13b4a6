"""The commands with the installed package: every strategy, and a scorer trained for it."""

from __future__ import annotations

import json

import pytest
from safetensors.torch import load_file

pytest.importorskip("sklearn")

ITEMS = ("--backbone", "tiny", "--labels", "3,7", "--seeds", "0,1", "--device", "cpu", "--save-tokens")


@pytest.fixture(scope="module")
def scorer(run, tmp_path_factory):
    """A scorer of few steps, by the ordinary commands."""
    root = tmp_path_factory.mktemp("scorer")
    for name, more in {"generated": (), "real": ("--real", "digits")}.items():
        code, _, error = run(
            "collect", "--backbone", "tiny", *more, "--per-class", 6, "--device", "cpu", "--out", root / name
        )
        assert (code, error) == (0, "")
    sides = ("--real", root / "real", "--generated", root / "generated")
    few = ("--epochs", 1, "--epoch-pairs", 128, "--held-out", 0.2, "--device", "cpu")
    code, _, error = run("train-scorer", *sides, *few, "--out", root / "scorer")
    assert code == 0, error
    return root / "scorer" / "scorer.safetensors"


def record(folder):
    return json.loads((folder / "run.json").read_text())


def test_it_is_listed(run):
    code, out, _ = run("list", "--json")
    (spec,) = (spec for spec in json.loads(out)["backbones"] if spec["name"] == "tiny")
    assert (code, spec["owner"]) == (0, "tts-backbone-tiny")


@pytest.mark.parametrize(
    ("strategy", "judge"),
    [
        ("lsrs", ("--scorer", "SCORER")),
        ("lsrs", ("--scorer", "likelihood", "--sampler", "fast")),
        ("lsrs", ("--scorer", "preview:digits")),
        ("best-of-n", ("--image-scorer", "digits")),
        ("best-of-n", ()),
        ("beam:2", ("--scorer", "SCORER")),
        ("particles", ("--scorer", "SCORER")),
    ],
)
def test_every_strategy_runs(run, scorer, tmp_path, strategy, judge):
    judge = [str(scorer) if word == "SCORER" else word for word in judge]
    command = ("sample", *ITEMS, "--strategy", strategy, *judge, "--candidates", 4)
    code, _, error = run(*command, "--out", tmp_path / "four")
    assert (code, error) == (0, "")
    code, _, error = run(*command, "--batch-size", 1, "--out", tmp_path / "one")
    assert (code, error) == (0, "")
    four, one = (load_file(tmp_path / name / "tokens.safetensors") for name in ("four", "one"))
    assert four["tokens"].shape == (4, 85)
    assert four["tokens"].equal(one["tokens"])
    found = record(tmp_path / "four")["backbone"]
    assert (found["name"], found["family"], found["schedule"]) == ("tiny", "tiny", [1, 2, 4, 8])
    assert found["guidance"]["name"] == "fading"


def test_settings_reach_the_model(run, tmp_path):
    made = {}
    for name, options in {
        "default": (),
        "guided": ("--cfg", 4),
        "off": ("--cfg", 0),
        "form": ("--cfg", 0, "--guidance", "fading", "--schedule", "1,2,4,8", "--sample-all-scales"),
        "half": ("--cfg", 4, "--dtype", "bfloat16"),
        "filtered": ("--top-k", 5, "--top-p", 0.9),
    }.items():
        code, _, error = run("sample", *ITEMS, "--candidates", 1, *options, "--out", tmp_path / name)
        notes = ["bfloat16"] if name == "half" else []
        assert (code, [line.split()[1] for line in error.splitlines()]) == (0, notes), name
        made[name] = load_file(tmp_path / name / "tokens.safetensors")["tokens"]
    assert made["off"].equal(made["form"])
    others = ("default", "guided", "off", "filtered")
    assert not any(made[a].equal(made[b]) for a in others for b in others if a < b)


def test_an_evaluation_of_its_images(run, tmp_path):
    run("sample", "--backbone", "tiny", "--per-class", 10, "--candidates", 1, "--out", tmp_path / "plain")
    code, out, _ = run("eval", tmp_path / "plain", "--reference", "heldout", "--json")
    assert code == 0
    assert "fd" in out.lower()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--weights", "other.safetensors"), "holds no weights of tiny"),
        (("--weights", "none.safetensors"), "cannot read none.safetensors"),
        (("--guidance", "var"), "unknown guidance 'var'; tiny has fading"),
        (("--schedule", "1,2,4"), "tiny has the fixed schedule 1,2,4,8"),
        (("--labels", "11"), "out of range"),
        (("--scorer", "auto:x"), "unknown scorer"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(run, tmp_path, monkeypatch, options, line):
    import torch

    from tts.io import save_tensors

    monkeypatch.chdir(tmp_path)
    save_tensors("other.safetensors", {"a": torch.zeros(1)}, {})
    code, out, error = run("sample", "--backbone", "tiny", *options, "--out", "out")
    assert (code, out) == (2, "")
    assert error.count("\n") == 1
    assert line in error


def test_a_scorer_of_another_backbone_is_refused(run, scorer, tmp_path):
    command = ("sample", "--backbone", "var-digits", "--scorer", scorer, "--candidates", 2, "--labels", "1")
    code, _, error = run(*command, "--out", tmp_path / "out")
    assert code == 2
    assert "scorer was trained for scale schedule 1-2-4-8, got 1-2-3-4;" in error
