"""``tts sample`` with whole images to choose from, and with settings from a file."""

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

ITEMS = ("--labels", "3,7", "--seeds", "0-2")
BEST = (*ITEMS, "--strategy", "best-of-n", "--save-tokens")


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def tokens(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "tokens.safetensors")


def write_settings(path: Path, **settings: Any) -> Path:
    path.write_text(json.dumps({"format": "scalewise-tts-settings-1", "settings": settings, "by": "hand"}))
    return path


@pytest.fixture(scope="module")
def best(succeed: Text, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that keeps the best of four images."""
    out = tmp_path_factory.mktemp("best") / "run"
    line = succeed("sample", *BEST, "--candidates", 4, "--out", out)
    assert line.startswith(f"6 images in {out} (best of 4, ")
    return out


def test_the_record_names_strategy_and_judge(best: Path) -> None:
    found = record(best)
    assert (found["strategy"], found["selector"], found["scorer"]) == ("best-of-n", None, None)
    assert found["image_scorer"]["name"] == "digits"
    assert len(found["image_scorer"]["sha256"]) == 64
    assert found["resolved"]["whole_images"] == 4


def test_more_images_only_raise_the_score(succeed: Text, best: Path, tmp_path: Path) -> None:
    succeed("sample", *BEST, "--candidates", 16, "--image-scorer", "digits", "--out", tmp_path)
    four, sixteen = tokens(best), tokens(tmp_path)
    before, after = four["winner_scores"][:, -1], sixteen["winner_scores"][:, -1]
    assert (after >= before - 1e-4).all()
    kept = sixteen["winner_index"][:, -1] < 4
    assert torch.equal(sixteen["tokens"][kept], four["tokens"][kept])
    assert (after[~kept] > before[~kept]).all()


def test_image_zero_is_the_plain_one(succeed: Text, best: Path, tmp_path: Path) -> None:
    succeed("sample", *ITEMS, "--candidates", 1, "--save-tokens", "--out", tmp_path / "plain")
    succeed("sample", *BEST, "--candidates", 1, "--out", tmp_path / "one")
    plain, one, four = (tokens(folder) for folder in (tmp_path / "plain", tmp_path / "one", best))
    assert torch.equal(plain["tokens"], one["tokens"])
    first = four["winner_index"][:, -1] == 0
    assert torch.equal(four["tokens"][first], plain["tokens"][first])
    assert not torch.equal(four["tokens"], plain["tokens"])


def test_the_same_run_again_changes_nothing(succeed: Text, files: Files, best: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(best, tmp_path / "run"))
    before = files(out)
    command = ("sample", *BEST, "--candidates", 4)
    line = succeed(*command, "--batch-size", 1, "--out", out)
    assert line.startswith(f"6 images already in {out} (best of 4, ")
    assert files(out) == before
    assert succeed(*command, "--out", tmp_path / "again").startswith("6 images in ")
    again = files(tmp_path / "again")
    assert {**again, "run.json": b""} == {**before, "run.json": b""}


def test_another_strategy_is_another_run(refuse: Text, files: Files, best: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(best, tmp_path / "run"))
    before = files(out)
    other = ("--save-tokens", "--candidates", 4, "--out", out)
    assert "(scorer, strategy)" in refuse("sample", *ITEMS, *other)
    assert "(candidates)" in refuse("sample", *BEST, "--candidates", 5, "--out", out)
    assert files(out) == before


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--selector softmax", "--selector does not go with --strategy best-of-n; leave it out"),
        ("--scorer likelihood", "--scorer does not go with --strategy best-of-n"),
        ("--start-scale 2", "--start-scale does not go with --strategy best-of-n"),
        ("--end-scale 3", "--end-scale does not go with --strategy best-of-n"),
        ("--trace", "--trace does not go with --strategy best-of-n"),
        ("--candidates 1,2,3,4", "candidates '1,2,3,4' must be one whole number of at least 1"),
        ("--candidates 0", "candidates '0' must be one whole number of at least 1"),
        ("--image-scorer digit", "unknown image scorer 'digit'; did you mean 'digits'?"),
        ("--image-scorer digits:x", "image scorer 'digits' takes no argument"),
        ("--strategy worst-of-n", "unknown strategy 'worst-of-n'; did you mean 'best-of-n'?"),
        ("--strategy lsrs --image-scorer digits", "--image-scorer does not go with --strategy lsrs"),
    ],
)
def test_options_that_do_not_go_together(refuse: Text, tmp_path: Path, options: str, expected: str) -> None:
    assert expected in refuse("sample", *BEST, *options.split(), "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_backbone_of_other_images_needs_a_judge_by_name(
    refuse: Text, converted: Any, tmp_path: Path
) -> None:
    own = ("--backbone", converted("var_tiny"), "--out", tmp_path / "out")
    line = refuse("sample", *BEST, *own)
    assert "no image scorer comes with var-d2; name one with --image-scorer" in line
    assert "judges 10 classes of 16x16" in refuse("sample", *BEST, "--image-scorer", "digits", *own)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_judge_of_a_plugin_chooses(tts: Any, install: Any, tmp_path: Path) -> None:
    """It likes dark images, and what it is called stands in the record."""
    install(
        "acme-dark",
        """
        from tts.specs import ImageScorerSpec

        class Dark:
            name = "dark"

            def score(self, images, labels):
                return -images.float().mean(dim=(1, 2, 3))

        def build(request):
            return Dark()

        @tts.hookimpl
        def tts_register_image_scorers():
            return [ImageScorerSpec("dark", "acme_dark:build", "likes dark images")]
        """,
    )
    options = ("--image-scorer", "dark", "--candidates", "6", "--device", "cpu", "--log-json")
    done = tts("sample", *BEST, *options, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    found = tokens(tmp_path / "out")["winner_scores"][:, -1]
    assert ((found > -1) & (found < 0)).all()
    assert record(tmp_path / "out")["image_scorer"] == {"name": "dark"}


def test_settings_of_a_file_are_those_of_the_options(succeed: Text, tmp_path: Path) -> None:
    chosen = {"candidates": "3", "selector": "softmax", "temperature": 0.5, "scorer": "likelihood"}
    file = write_settings(tmp_path / "s.json", **chosen, cfg=2.0, formats=["npz"], save_tokens=True)
    succeed("sample", *ITEMS, "--settings", file, "--out", tmp_path / "file")
    options = ("--selector", "softmax", "--temperature", 0.5, "--scorer", "likelihood", "--cfg", 2)
    more = ("--candidates", 3, "--format", "npz", "--save-tokens")
    succeed("sample", *ITEMS, *options, *more, "--out", tmp_path / "options")
    of_file, of_options = record(tmp_path / "file"), record(tmp_path / "options")
    assert of_file["settings"] == of_options["settings"]
    assert of_file["plan"] == of_options["plan"]
    assert torch.equal(tokens(tmp_path / "file")["tokens"], tokens(tmp_path / "options")["tokens"])


def test_options_that_are_given_win_over_the_file(succeed: Text, tmp_path: Path) -> None:
    """Also where they say the default."""
    file = write_settings(
        tmp_path / "s.json", strategy="best-of-n", candidates="3", cfg=2.0, formats=["npz"], save_tokens=True
    )
    given = ("--candidates", 8, "--strategy", "lsrs", "--format", "png", "--scorer", "likelihood")
    succeed("sample", *ITEMS, "--settings", file, *given, "--out", tmp_path / "out")
    found = record(tmp_path / "out")
    assert found["resolved"]["candidates"] == [1, 8, 8, 8]
    assert (found["strategy"], found["resolved"]["cfg"]) == ("lsrs", 2.0)
    assert (found["settings"]["formats"], found["settings"]["save_tokens"]) == (["png"], True)


def test_a_scorer_in_the_file_lies_beside_it(
    succeed: Text, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tuned").mkdir()
    shutil.copy(trained.scorer / "scorer.safetensors", tmp_path / "tuned" / "mine.safetensors")
    write_settings(tmp_path / "tuned" / "s.json", scorer="mine.safetensors", candidates="2")
    monkeypatch.chdir(tmp_path)
    succeed("sample", *ITEMS, "--settings", "tuned/s.json", "--out", "out")
    assert record(tmp_path / "out")["scorer"]["file"] == "tuned/mine.safetensors"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"candidate": "3"}, "s.json: unknown setting 'candidate'; did you mean 'candidates'"),
        (
            {"candidates": 3},
            "s.json is not a valid file of settings (expected `str`, got `int` - at `$.candidates`)",
        ),
        ({"seeds": "0"}, "s.json: 'seeds' does not decide how images come out"),
        ({"cfg": -1}, "cfg -1.0 must be at least 0"),
        ({"strategy": "best-of-n", "trace": True}, "--trace does not go with --strategy best-of-n"),
    ],
)
def test_settings_that_are_none(
    refuse: Text, tmp_path: Path, settings: dict[str, Any], expected: str
) -> None:
    file = write_settings(tmp_path / "s.json", **settings)
    assert expected in refuse("sample", *ITEMS, "--settings", file, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "x"}', None])
def test_a_file_without_settings(refuse: Text, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "s.json").write_text(content)
    line = refuse("sample", *ITEMS, "--settings", tmp_path / "s.json", "--out", tmp_path / "out")
    assert "s.json" in line
    assert not (tmp_path / "out").exists()
