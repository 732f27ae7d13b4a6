"""``tts sample`` with strategies that keep several paths an image, and with scorers that see pixels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

Run = Callable[..., Any]
Text = Callable[..., str]
Files = Callable[[Path], dict[str, bytes]]

ITEMS = ("--labels", "3,7", "--seeds", "0-2", "--save-tokens", "--trace")
STRATEGIES = ("beam:3", "particles:final=best")


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


@pytest.fixture(scope="module", params=[(b, s) for b in ("var-digits", "flexvar-digits") for s in STRATEGIES])
def made(
    request: pytest.FixtureRequest, succeed: Text, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, tuple[str, ...]]:
    """A run of each strategy on each model, and its options."""
    backbone, strategy = request.param
    out = tmp_path_factory.mktemp("paths") / "run"
    options = ("--backbone", backbone, "--strategy", strategy, "--candidates", "4", *ITEMS)
    assert succeed("sample", *options, "--out", out).startswith(f"6 images in {out} (candidates 1,4,4,4, ")
    return out, options


def test_the_record_names_the_strategy_with_its_options(made: Any) -> None:
    out, options = made
    found = record(out)
    assert (found["strategy"], found["selector"], found["image_scorer"]) == (options[3], None, None)
    assert found["scorer"]["name"] == "learned"
    assert found["settings"]["strategy"] == options[3]


def test_the_folder_is_whole_and_the_same_run_again_changes_nothing(
    made: Any, succeed: Text, files: Files, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(made[0], tmp_path / "run"))
    assert "0 faults" in succeed("data", "verify", out)
    before = files(out)
    assert succeed("sample", *made[1], "--batch-size", 1, "--out", out).startswith("6 images already in ")
    assert files(out) == before


def test_batches_change_no_token(made: Any, succeed: Text, tmp_path: Path) -> None:
    succeed("sample", *made[1], "--batch-size", 1, "--chunk", 1, "--out", tmp_path / "one")
    one, whole = (load_file(folder / "tokens.safetensors") for folder in (tmp_path / "one", made[0]))
    assert torch.equal(one["tokens"], whole["tokens"])


def test_the_trace_has_all_candidates(made: Any) -> None:
    out, options = made
    trace = load_file(out / "trace.safetensors")
    wide = {"beam:3": (4, 12, 12), "particles:final=best": (4, 4, 4)}[options[3]]
    assert tuple(trace[f"scores.{scale}"].shape for scale in (2, 3, 4)) == tuple((6, n) for n in wide)
    last = load_file(out / "tokens.safetensors")["winner_scores"][:, -1]
    assert torch.equal(last, trace["scores.4"].max(dim=1).values)


def test_another_option_is_another_run(made: Any, run: Run) -> None:
    out, options = made
    other = [{"beam:3": "beam:2", "particles:final=best": "particles"}.get(word, word) for word in options]
    done = run("sample", *other, "--out", out)
    assert done.code == 2
    assert "strategy" in done.stderr


def test_a_population_that_shrinks(succeed: Text, tmp_path: Path) -> None:
    options = ("--strategy", "particles", "--candidates", "6,4,2,2", *ITEMS)
    line = succeed("sample", *options, "--out", tmp_path / "run")
    assert "(candidates 6,4,2,2, " in line


def test_a_judge_of_images_chooses_maps(succeed: Text, tmp_path: Path) -> None:
    options = ("--scorer", "preview:digits", "--candidates", "4", *ITEMS)
    succeed("sample", *options, "--out", tmp_path / "run")
    found = record(tmp_path / "run")["scorer"]
    assert (found["name"], found["judge"], len(found["sha256"])) == ("preview", "digits", 64)
    scores = load_file(tmp_path / "run" / "tokens.safetensors")["winner_scores"]
    assert (scores[:, 1:] <= 0).all()  # log-probabilities


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--strategy beam:x", "paths 'x' of strategy 'beam' must be a whole number"),
        ("--strategy beam:4,prune=9", "scale 9 is out of range; this backbone has scales 1 to 4"),
        ("--strategy beam:4 --scorer none", "strategy beam needs a scorer; pass --scorer or --candidates 1"),
        ("--strategy beam --selector softmax", "--selector does not go with --strategy beam"),
        ("--strategy particles:ess=7", "strategy 'particles': ess 7.0 must be from 0"),
        ("--strategy particles --candidates-of 3=4", "--candidates-of does not go with --strategy particles"),
        ("--scorer preview", "scorer 'preview' needs an image scorer; write --scorer preview:NAME"),
        ("--scorer preview:judge", "unknown image scorer 'judge'"),
    ],
)
def test_what_does_not_go_is_one_line_and_makes_nothing(
    run: Run, tmp_path: Path, options: str, words: str
) -> None:
    done = run("sample", *options.split(), "--out", tmp_path / "run")
    assert done.code == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()
