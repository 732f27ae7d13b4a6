"""``tts sample`` with a FlexVAR: published tokens, schedules, guidance forms, greedy scales."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

Run = Callable[..., Any]
Text = Callable[..., str]
Files = Callable[[Path], dict[str, bytes]]

QUICK = ("--labels", "3,7", "--seeds", "0-1", "--candidates", "4", "--scorer", "likelihood")


def tokens(folder: Path) -> Tensor:
    return load_file(folder / "tokens.safetensors")["tokens"]


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def pixels(file: Path) -> Any:
    with Image.open(file) as image:
        return np.asarray(image)


GREEDY_FLEXVAR = ("--labels", "3,7", "--seeds", "0", "--cfg", "2.5", "--top-k", "1", "--top-p", "0")
LONG = "1,2,3,4,5,6,7,8,9,10,12,14,17"
GOLDEN = {
    "ar_argmax": ((), 4),
    "ar_argmax_schedule2": (("--schedule", "1,2,4,5"), 4),
    "ar_argmax_llamagen_cfg": (("--guidance", "llamagen"), 4),
    "ar_argmax_13": (("--schedule", LONG), 13),
}
"""Options of the golden runs, and their number of scales."""


def check_tokens(folder: Path, golden: Any, name: str) -> None:
    g, scales = golden("flexvar_tiny"), GOLDEN[name][1]
    expected = torch.cat([g[f"{name}.tokens.{k}"] for k in range(scales)], dim=1)
    assert f"{name}.tokens.{scales}" not in g
    assert torch.equal(tokens(folder), expected)
    saved = load_file(folder / "tokens.safetensors")
    assert g["labels"].tolist() == saved["labels"].tolist() == [3, 7]


@pytest.mark.parametrize("name", [name for name in GOLDEN if name != "ar_argmax_13"])
def test_a_converted_flexvar_gives_the_published_tokens_and_images(
    succeed: Text, published_flexvar: Path, golden: Any, tmp_path: Path, name: str
) -> None:
    options = (*GOLDEN[name][0], "--candidates", "1", "--dtype", "float32", "--save-tokens")
    line = succeed("sample", "--backbone", published_flexvar, *GREEDY_FLEXVAR, *options, "--out", tmp_path)
    assert line.startswith(f"2 images in {tmp_path} (candidates 1,1,1,1, ")
    check_tokens(tmp_path, golden, name)
    images = golden("flexvar_tiny").get(f"{name}.image")
    side = 80 if name == "ar_argmax_schedule2" else 64
    for row, label in enumerate((3, 7)):
        ours = pixels(tmp_path / "images" / f"{label:04d}" / "000000.png").astype(float)
        assert ours.shape == (side, side, 3)
        if images is not None:
            exact = (images[row].clamp(-1, 1) + 1) / 2 * 255
            assert abs(exact.permute(1, 2, 0).numpy() - ours).max() < 0.51  # rounded, as the authors do


@pytest.mark.parametrize("name", GOLDEN)
def test_published_tokens_at_every_schedule(
    succeed: Text, flexvar: Path, golden: Any, tmp_path: Path, name: str
) -> None:
    options = (*GOLDEN[name][0], "--candidates", "1", "--save-tokens")
    succeed("sample", "--backbone", flexvar, *GREEDY_FLEXVAR, *options, "--out", tmp_path)
    check_tokens(tmp_path, golden, name)


def test_a_flexvar_run_says_how_it_was_made(succeed: Text, flexvar: Path, tmp_path: Path) -> None:
    options = ("--schedule", "1,2,7", "--guidance", "llamagen", "--candidates", "1")
    succeed("sample", "--backbone", flexvar, *QUICK[:4], *options, "--out", tmp_path / "a")
    made = record(tmp_path / "a")
    backbone, settings = made["backbone"], made["settings"]
    assert (backbone["name"], backbone["family"]) == ("flexvar-d2", "flexvar")
    assert (backbone["schedule"], backbone["greedy_scales"]) == ([1, 2, 7], [3])
    assert (backbone["guidance"]["name"], backbone["guidance"]["off"]) == ("llamagen", 1.0)
    assert (settings["schedule"], settings["guidance"], settings["sample_all_scales"]) == (
        "1,2,7",
        "llamagen",
        False,
    )
    resolved = made["resolved"]
    assert (resolved["cfg"], resolved["top_k"], resolved["top_p"]) == (2.5, 900, 0.95)
    assert resolved["uint8"] == "round"
    assert pixels(tmp_path / "a" / "images" / "0003" / "000000.png").shape == (14, 14, 3)
    everywhere = ("--sample-all-scales", "--candidates", "1", "--schedule", "1,2,7")
    succeed("sample", "--backbone", flexvar, *QUICK[:4], *everywhere, "--out", tmp_path / "b")
    backbone = record(tmp_path / "b")["backbone"]
    assert (backbone["guidance"]["name"], backbone["greedy_scales"]) == ("flexvar", [])
    succeed("sample", "--backbone", flexvar, *QUICK[:4], "--candidates", "1", "--out", tmp_path / "c")
    backbone = record(tmp_path / "c")["backbone"]
    assert (backbone["schedule"], backbone["greedy_scales"]) == ([1, 2, 3, 4], [])


def test_a_schedule_has_a_name(succeed: Text, flexvar: Path, tmp_path: Path) -> None:
    runs = {"name": "8", "sides": "1,2,3,5,7,10,13,16"}
    for name, schedule in runs.items():
        options = ("--schedule", schedule, "--candidates", "1", "--save-tokens")
        succeed("sample", "--backbone", flexvar, *QUICK[:4], *options, "--out", tmp_path / name)
    assert record(tmp_path / "name")["backbone"]["schedule"] == [1, 2, 3, 5, 7, 10, 13, 16]
    assert torch.equal(tokens(tmp_path / "name"), tokens(tmp_path / "sides"))


def test_a_fixed_schedule_may_be_said(succeed: Text, tmp_path: Path) -> None:
    options = ("--schedule", "1,2,3,4", "--guidance", "var", "--save-tokens")
    succeed("sample", *QUICK, "--save-tokens", "--out", tmp_path / "plain")
    succeed("sample", *QUICK, *options, "--out", tmp_path / "said")
    assert torch.equal(tokens(tmp_path / "plain"), tokens(tmp_path / "said"))
    assert record(tmp_path / "said")["backbone"]["greedy_scales"] == []


NO_SCORER = (
    "note: flexvar-d2 has no scorer of its own, so candidates are ranked by likelihood, which may make images"
    " worse; train one with 'tts train-scorer --backbone flexvar-d2', or pass --candidates 1\n"
)
IDLE = (
    "note: decoding is greedy at scale {}: one candidate there, since all would be equal;"
    " --sample-all-scales draws there too\n"
)
NOTES = {
    "greedy": ("--schedule 1,2,7 --scorer likelihood", "1,4,1", IDLE.format("3")),
    "both": ("--schedule 1,2,7", "1,4,1", NO_SCORER + IDLE.format("3")),
    "several": ("--schedule 1,7,8,9", "1,1,4,1", NO_SCORER + IDLE.format("2, 4")),
    "all": ("--schedule 1,7", "1,1", IDLE.format("2")),
    "sampled": ("--schedule 1,2,7 --scorer likelihood --sample-all-scales", "1,4,4", ""),
    "no-scorer": ("--schedule 1,2,7 --sample-all-scales", "1,4,4", NO_SCORER),
    "default": ("", "1,4,4,4", NO_SCORER),
    "random": ("--selector random", "1,4,4,4", ""),
    "one": ("--schedule 1,2,7 --candidates 1", "1,1,1", ""),
    "early": ("--schedule 1,2,7 --end-scale 2 --scorer likelihood", "1,4,1", ""),
    "top-k": (
        "--schedule 1,2,7 --top-k 1 --sample-all-scales",
        "1,1,1",
        "note: decoding is greedy at scale 2, 3: one candidate there, since all would be equal\n",
    ),
}
"""Options, the candidates in use, and what is said of the run on stderr."""


@pytest.mark.parametrize("name", NOTES)
def test_what_a_flexvar_run_says_of_itself(run: Run, flexvar: Path, tmp_path: Path, name: str) -> None:
    options, candidates, notes = NOTES[name]
    quick = ("--labels", "3,7", "--seeds", "0", "--candidates", "4")
    done = run("sample", "--backbone", flexvar, *quick, *options.split(), "--out", tmp_path)
    assert (done.code, done.stderr) == (0, notes)
    assert f"(candidates {candidates}, " in done.stdout
    scorer = record(tmp_path)["scorer"]
    assert (scorer or {}).get("name") == ("likelihood" if "4" in candidates and name != "random" else None)


def test_greedy_scales_are_the_same_for_every_seed(run: Run, flexvar: Path, tmp_path: Path) -> None:
    def last_maps(name: str, *options: str) -> Tensor:
        fixed = ("--labels", "3", "--seeds", "0-3", "--candidates", "1", "--top-k", "2", "--save-tokens")
        done = run(
            "sample", "--backbone", flexvar, "--schedule", "1,7", *fixed, *options, "--out", tmp_path / name
        )
        assert (done.code, done.stderr) == (0, "")
        return tokens(tmp_path / name)

    greedy, drawn = last_maps("greedy"), last_maps("drawn", "--sample-all-scales")
    assert torch.equal(greedy[:, 0], drawn[:, 0])
    same = greedy[:, 0] == greedy[0, 0]
    assert int(same.sum()) > 1
    assert len(greedy[same].unique(dim=0)) == 1
    assert len(drawn[same].unique(dim=0)) == int(same.sum())


def test_batches_and_chunks_change_nothing_of_a_flexvar(run: Run, flexvar: Path, tmp_path: Path) -> None:
    for name, options in {"one": (), "two": ("--batch-size", 3, "--chunk", 1)}.items():
        sides = ("--schedule", "1,2,5", *options, "--save-tokens")
        done = run("sample", "--backbone", flexvar, *QUICK, *sides, "--out", tmp_path / name)
        assert (done.code, done.stderr) == (0, "")
    assert torch.equal(tokens(tmp_path / "one"), tokens(tmp_path / "two"))


def test_saved_tokens_are_a_start_at_their_own_schedule(
    succeed: Text, refuse: Text, flexvar: Path, tmp_path: Path
) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    common = ("--backbone", flexvar, "--schedule", "1,2,5")
    succeed("sample", *common, *QUICK, "--save-tokens", "--out", first)
    start = ("--from-tokens", first / "tokens.safetensors", "--from-scale", 3, *QUICK[4:], "--save-tokens")
    succeed("sample", *common, *start, "--out", again)
    assert torch.equal(tokens(again), tokens(first))
    for options, sides in (((), "1,2,3,4"), (("--schedule", "1,2,4"), "1,2,4")):
        line = refuse("sample", *common[:2], *options, *start, "--out", tmp_path / "other")
        assert f"holds no token maps of schedule {sides};" in line
        assert not (tmp_path / "other").exists()


def test_another_schedule_or_form_is_another_run(
    succeed: Text, refuse: Text, files: Files, flexvar: Path, tmp_path: Path
) -> None:
    common = ("--backbone", flexvar, *QUICK, "--out", tmp_path)
    succeed("sample", *common)
    before = files(tmp_path)
    options = ("--schedule", "1,2,4", "--guidance", "llamagen", "--sample-all-scales")
    line = refuse("sample", *common, *options)
    assert "(guidance, sample_all_scales, schedule)" in line
    assert files(tmp_path) == before


def test_without_weights_the_next_step_is_named(
    refuse: Text, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tts.backbones.fetch.cached_file", lambda spec, role: None)
    line = refuse("sample", "--backbone", "flexvar", "--out", tmp_path / "out")
    assert "no transformer weights for flexvar-d24; run 'tts fetch flexvar-d24'" in line
    assert not (tmp_path / "out").exists()
