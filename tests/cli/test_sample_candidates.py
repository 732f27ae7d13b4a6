"""``tts sample --candidates-of``: labels with different numbers of candidates in one run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

Text = Callable[..., str]
Files = Callable[[Path], dict[str, bytes]]

ITEMS = ("--labels", "3,7,1", "--seeds", "0-2", "--selector", "softmax", "--save-tokens")
MIXED = (*ITEMS, "--candidates", 2, "--candidates-of", "7=16;1=1,1,4,1", "--trace")


def tokens(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "tokens.safetensors")


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


@pytest.fixture(scope="module")
def mixed(succeed: Text, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three labels with 2, 16 and, at the third scale only, 4 candidates."""
    out = tmp_path_factory.mktemp("mixed") / "run"
    line = succeed("sample", *MIXED, "--batch-size", 4, "--shard-items", 5, "--out", out)
    assert line.startswith(f"9 images in {out} (candidates up to 1,16,16,16, ")
    return out


def test_each_label_is_as_in_a_run_of_its_own(succeed: Text, mixed: Path, tmp_path: Path) -> None:
    found = tokens(mixed)
    for label, numbers in ((3, "2"), (7, "16"), (1, "1,1,4,1")):
        succeed("sample", *ITEMS, "--candidates", numbers, "--labels", label, "--out", tmp_path / str(label))
        own, rows = tokens(tmp_path / str(label)), found["labels"] == label
        for name in ("tokens", "winner_index", "seeds"):
            assert torch.equal(found[name][rows], own[name])
        close = {"rtol": 1e-4, "atol": 1e-4, "equal_nan": True}
        torch.testing.assert_close(found["winner_scores"][rows], own["winner_scores"], **close)


def test_the_trace_is_as_wide_as_the_largest_number(mixed: Path) -> None:
    trace, labels = load_file(mixed / "trace.safetensors"), tokens(mixed)["labels"]
    assert {name: tuple(scores.shape) for name, scores in trace.items()} == {
        f"scores.{scale}": (9, 16) for scale in (2, 3, 4)
    }
    for label, counts in ((3, (2, 2, 2)), (7, (16, 16, 16)), (1, (1, 4, 1))):
        for scale, count in enumerate(counts, 2):
            scores = trace[f"scores.{scale}"][labels == label]
            assert scores[:, count:].isneginf().all()
            present = scores[:, :count]
            assert present.isnan().all() if count == 1 else present.isfinite().all()


def test_batches_and_shards_change_nothing(succeed: Text, files: Files, mixed: Path, tmp_path: Path) -> None:
    succeed("sample", *MIXED, "--batch-size", 1, "--chunk", 3, "--out", tmp_path)
    for name in ("tokens", "winner_index"):
        assert torch.equal(tokens(tmp_path)[name], tokens(mixed)[name])
    ours, theirs = load_file(tmp_path / "trace.safetensors"), load_file(mixed / "trace.safetensors")
    for name, scores in theirs.items():
        torch.testing.assert_close(ours[name], scores, rtol=1e-4, atol=1e-4, equal_nan=True)


def test_the_numbers_are_part_of_the_plan(succeed: Text, refuse: Text, files: Files, mixed: Path) -> None:
    assert record(mixed)["settings"]["candidates_of"] == "7=16;1=1,1,4,1"
    assert record(mixed)["resolved"]["candidates"] == [1, 16, 16, 16]
    before = files(mixed)
    assert succeed("sample", *MIXED, "--out", mixed).startswith("9 images already in")
    for other in ((*MIXED, "--candidates-of", "7=8"), (*ITEMS, "--candidates", 2, "--trace")):
        assert "candidates_of" in refuse("sample", *other, "--out", mixed)
    assert files(mixed) == before


def test_numbers_for_a_plain_run_find_their_scorer(succeed: Text, tmp_path: Path) -> None:
    options = ("--candidates", 1, "--candidates-of", "7=4", "--out", tmp_path)
    succeed("sample", "--labels", "3,7", "--seeds", 0, "--save-tokens", *options)
    scores = tokens(tmp_path)["winner_scores"]
    assert scores[0].isnan().all()
    assert scores[1, 1:].isfinite().all()


def test_the_numbers_may_come_from_a_settings_file(succeed: Text, mixed: Path, tmp_path: Path) -> None:
    settings = {"candidates": "2", "candidates_of": "7=16;1=1,1,4,1"}
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"format": "scalewise-tts-settings-1", "settings": settings}))
    succeed("sample", *ITEMS, "--settings", file, "--out", tmp_path / "run")
    assert torch.equal(tokens(tmp_path / "run")["tokens"], tokens(mixed)["tokens"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "candidates-of is empty; give a value or leave it out"),
        ("8", "candidates-of '8' must be labels=candidates; for example 0-4=8;5-9=32"),
        ("1=8;", "must be labels=candidates"),
        ("1=0", "must be whole numbers of at least 1"),
        ("x=8", "candidates-of label 'x' is not a list of whole numbers"),
        ("9-11=8", "candidates-of label 11 is out of range; this backbone has 0 to 9"),
        ("1=8;0-2=4", "candidates-of names label 1 twice"),
        ("1=1,2", "candidates has 2 numbers, the backbone 4 scales"),
    ],
)
def test_what_is_no_number_for_labels_is_refused(refuse: Text, tmp_path: Path, text: str, words: str) -> None:
    assert words in refuse("sample", "--candidates-of", text, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_whole_images_and_sweeps_have_one_number(refuse: Text, tmp_path: Path) -> None:
    best = ("--strategy", "best-of-n", "--candidates-of", "1=2", "--out", tmp_path / "run")
    assert "--candidates-of does not go with --strategy best-of-n" in refuse("sample", *best)
    file = tmp_path / "settings.json"
    settings = {"candidates_of": "1=2"}
    file.write_text(json.dumps({"format": "scalewise-tts-settings-1", "settings": settings}))
    grid = ("--grid", "candidates=1,2", "--settings", file, "--out", tmp_path / "sweep")
    assert "candidates-of does not go with a sweep" in refuse("sweep", *grid)
