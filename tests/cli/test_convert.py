"""``tts convert``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

Text = Callable[..., str]
Files = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def parts(tiny_files: Any) -> tuple[object, ...]:
    """Options that name good files."""
    transformer, tokenizer = tiny_files("var_tiny")
    return ("--transformer", transformer, "--tokenizer", tokenizer)


def test_a_folder_is_made_and_described(
    succeed: Text, files: Files, parts: Any, synthetic_state: Any, tmp_path: Path
) -> None:
    line = succeed("convert", *parts, "--out", tmp_path / "new" / "folder")
    place = f"{tmp_path}/new/folder"
    assert line == f"var-d2 in {place}: depth 2, width 128, 10 classes, scales 1,2,3,4\n"
    assert files(tmp_path / "new").keys() == {
        "folder/transformer.safetensors",
        "folder/tokenizer.safetensors",
    }
    stored = load_file(tmp_path / "new" / "folder" / "transformer.safetensors")
    state = synthetic_state("var_tiny")
    assert all(torch.equal(stored[key], state[key]) for key in stored)


def test_a_name_appears_in_records(succeed: Text, parts: Any, tmp_path: Path) -> None:
    assert succeed("convert", *parts, "--name", "var-mine", "--out", tmp_path / "m").startswith(
        "var-mine in "
    )
    options = ("--labels", "3", "--seeds", "0", "--candidates", "1")
    succeed("sample", "--backbone", tmp_path / "m", *options, "--out", tmp_path / "run")
    assert '"name": "var-mine"' in (tmp_path / "run" / "run.json").read_text()


def test_safetensors_without_a_schedule_need_one(
    succeed: Text, refuse: Text, converted: Any, tmp_path: Path
) -> None:
    folder = converted("var_tiny")
    files = (
        *("--transformer", folder / "transformer.safetensors"),
        *("--tokenizer", folder / "tokenizer.safetensors"),
    )
    assert "pass --schedule" in refuse("convert", *files, "--out", tmp_path / "a")
    assert "scales 1,2,3,4" in succeed("convert", *files, "--schedule", "1,2,3,4", "--out", tmp_path / "b")


def test_a_scorer_can_be_trained_for_a_converted_backbone(
    succeed: Text, converted: Any, tmp_path: Path
) -> None:
    folder = converted("var_tiny")
    for name, options in {"generated": (), "real": ("--real", "digits")}.items():
        succeed("collect", "--backbone", folder, "--per-class", 2, *options, "--out", tmp_path / name)
    sides = ("--real", tmp_path / "real", "--generated", tmp_path / "generated")
    succeed("train-scorer", *sides, "--epochs", 1, "--epoch-pairs", 16, "--batch", 8, "--out", tmp_path / "s")
    options = ("--labels", "3", "--seeds", "0", "--candidates", "2", "--scorer", tmp_path / "s")
    line = succeed("sample", "--backbone", folder, *options, "--out", tmp_path / "run")
    assert "(candidates 1,2,2,2, " in line


BAD = {
    "missing": ("--transformer {root}/nothing.pth", "no weights file"),
    "folder": ("--transformer {root}", "no weights file"),
    "swapped": ("--transformer {tokenizer} --tokenizer {transformer}", "this is no VAR transformer"),
    "twice": ("--tokenizer {transformer}", "this is no VAR tokenizer"),
    "truncated": ("--transformer {truncated}", "truncated"),
    "empty": ("--tokenizer {empty}", "truncated or no checkpoint"),
    "malicious": ("--transformer {malicious}", "mkdir, refused unread"),
    "malicious-tokenizer": ("--tokenizer {malicious}", "mkdir, refused unread"),
    "other-tokenizer": ("--tokenizer {digits}", "codebook size is 64 in the transformer and 256"),
    "schedule": ("--schedule 1,2,5", "leave --schedule out"),
    "schedule-text": ("--schedule 1-4", "schedule '1-4'"),
    "schedule-order": ("--schedule 1,3,2", "increasing sides"),
    "family": ("--family flexvar", "unknown family 'flexvar'"),
    "name": ("--name My_Model", "name 'My_Model' must be"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_an_existing_folder_stays(
    succeed: Text,
    refuse: Text,
    files: Files,
    parts: tuple[Any, ...],
    malicious: Any,
    tmp_path: Path,
    name: str,
) -> None:
    from tts.backbones.storage import embedded_folder

    transformer, tokenizer = parts[1], parts[3]
    whole = transformer.read_bytes()
    (tmp_path / "truncated.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pth").touch()
    text, expected = BAD[name]
    options = text.format(
        root=tmp_path,
        transformer=transformer,
        tokenizer=tokenizer,
        truncated=tmp_path / "truncated.pth",
        empty=tmp_path / "empty.pth",
        malicious=malicious.file,
        digits=embedded_folder("var-digits")[1],
    ).split()
    out = tmp_path / "out"
    succeed("convert", *parts, "--out", out)
    before = files(out)
    assert expected in refuse("convert", *parts, *options, "--overwrite", "--out", out)
    assert files(out) == before
    assert not malicious.marker.exists()


def test_a_converted_model_is_replaced_only_on_demand(
    succeed: Text, refuse: Text, files: Files, parts: tuple[Any, ...], tmp_path: Path
) -> None:
    succeed("convert", *parts, "--out", tmp_path)
    before = files(tmp_path)
    assert "pass --overwrite" in refuse("convert", *parts, "--name", "var-mine", "--out", tmp_path)
    assert files(tmp_path) == before
    succeed("convert", *parts, "--name", "var-mine", "--overwrite", "--out", tmp_path)
    assert files(tmp_path) != before


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_folder_that_cannot_be_written_is_refused(
    refuse: Text, parts: Any, tmp_path: Path, below: str
) -> None:
    (tmp_path / "file").write_text("mine")
    assert "cannot write to folder" in refuse("convert", *parts, "--out", f"{tmp_path}/file{below}")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("missing", ["--transformer", "--tokenizer", "--out"])
def test_every_part_is_needed(refuse: Text, parts: tuple[Any, ...], tmp_path: Path, missing: str) -> None:
    options = [*parts, "--out", tmp_path]
    place = options.index(missing)
    assert f"missing option '{missing}'" in refuse("convert", *options[:place], *options[place + 2 :])
