"""``tts convert``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

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
    plain = tmp_path / "plain.safetensors"
    save_file(load_file(folder / "transformer.safetensors"), plain)  # without the description of a conversion
    files = ("--transformer", plain, "--tokenizer", folder / "tokenizer.safetensors")
    assert "pass --schedule" in refuse("convert", *files, "--out", tmp_path / "a")
    assert "scales 1,2,3,4" in succeed("convert", *files, "--schedule", "1,2,3,4", "--out", tmp_path / "b")


def test_a_scorer_can_be_trained_for_a_converted_backbone(
    run: Any, succeed: Text, converted: Any, tmp_path: Path
) -> None:
    folder = converted("var_tiny")
    for name, options in {"generated": (), "real": ("--real", "digits")}.items():
        succeed("collect", "--backbone", folder, "--per-class", 2, *options, "--out", tmp_path / name)
    sides = ("--real", tmp_path / "real", "--generated", tmp_path / "generated")
    few = ("--epochs", 1, "--epoch-pairs", 16, "--batch", 8)
    done = run("train-scorer", *sides, *few, "--out", tmp_path / "s")
    assert done.code == 0
    assert not done.stderr or done.stderr.startswith("warning: the scorer ")  # of chance
    options = ("--labels", "3", "--seeds", "0", "--candidates", "2", "--scorer", tmp_path / "s")
    line = succeed("sample", "--backbone", folder, *options, "--out", tmp_path / "run")
    assert "(candidates 1,2,2,2, " in line


BAD = {
    "missing": ("--transformer {root}/nothing.pth", "no weights file"),
    "folder": ("--transformer {root}", "truncated.pth' is truncated"),
    "swapped": ("--transformer {tokenizer} --tokenizer {transformer}", "holds a tokenizer, no transformer"),
    "twice": ("--tokenizer {transformer}", "holds a transformer, no tokenizer"),
    "truncated": ("--transformer {truncated}", "truncated"),
    "empty": ("--tokenizer {empty}", "is empty; fetch or copy it again"),
    "malicious": ("--transformer {malicious}", "mkdir, refused unread"),
    "malicious-tokenizer": ("--tokenizer {malicious}", "mkdir, refused unread"),
    "other-tokenizer": ("--tokenizer {digits}", "codebook size is 64 in the transformer and 256"),
    "schedule": ("--schedule 1,2,5", "leave --schedule out"),
    "schedule-text": ("--schedule 1-4", "schedule '1-4'"),
    "schedule-order": ("--schedule 1,3,2", "increasing sides"),
    "family": ("--family varr", "unknown family 'varr'; use var or flexvar"),
    "family-other": ("--family flexvar", "the transformer is a VAR, not a FlexVAR; pass a var backbone"),
    "schedule-name": ("--schedule 10", "schedule '10' must be increasing sides"),
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


@pytest.mark.parametrize("missing", ["--transformer", "--tokenizer"])
def test_every_part_is_needed(refuse: Text, parts: tuple[Any, ...], tmp_path: Path, missing: str) -> None:
    options = [*parts, "--out", tmp_path]
    place = options.index(missing)
    assert f"missing option '{missing}'" in refuse("convert", *options[:place], *options[place + 2 :])


# FlexVAR


@pytest.fixture(scope="module")
def small(synthetic_state: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny FlexVAR, also with a small position table, and a small tokenizer that goes with it."""
    from tts.backbones.flexvae import FlexVae, FlexVaeConfig

    root = tmp_path_factory.mktemp("small")
    made = {name: root / f"{name}.pth" for name in ("transformer", "cut", "tokenizer")}
    state = synthetic_state("flexvar_tiny")
    torch.save({"trainer": {"var_wo_ddp": state}}, made["transformer"])
    torch.save({**state, "pos_1LC": state["pos_1LC"][..., :8, :8].clone()}, made["cut"])
    config = FlexVaeConfig(codebook_size=64, channels=32, latent=8, width=32, multipliers=(1, 2), blocks=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        torch.save({"model": FlexVae(config).state_dict()}, made["tokenizer"])
    return made


@pytest.fixture
def flexvar_parts(small: dict[str, Path]) -> tuple[object, ...]:
    """Options that name good files."""
    return ("--transformer", small["transformer"], "--tokenizer", small["tokenizer"])


@pytest.mark.parametrize("family", [(), ("--family", "flexvar")], ids=["detected", "named"])
def test_a_flexvar_is_converted(
    succeed: Text, files: Files, flexvar_parts: Any, synthetic_state: Any, tmp_path: Path, family: Any
) -> None:
    options = (*flexvar_parts, *family, "--schedule", "1,2,3,4")
    line = succeed("convert", *options, "--out", tmp_path / "new")
    assert line.splitlines() == [
        "took 'trainer.var_wo_ddp' of transformer.pth",
        "took 'model' of tokenizer.pth",
        f"flexvar-d2 in {tmp_path}/new: depth 2, width 128, 10 classes, scales 1,2,3,4",
    ]
    assert files(tmp_path / "new").keys() == {"transformer.safetensors", "tokenizer.safetensors"}
    stored = load_file(tmp_path / "new" / "transformer.safetensors")
    state = synthetic_state("flexvar_tiny")
    assert state.keys() - stored.keys() == {
        "attn_bias_for_masking",
        "blocks.0.attn.zero_k_bias",
        "blocks.1.attn.zero_k_bias",
    }
    assert all(torch.equal(stored[key], state[key]) for key in stored)


def test_a_flexvar_is_converted_as_it_is_published(
    succeed: Text, tiny_files: Any, synthetic_state: Any, tmp_path: Path
) -> None:
    transformer, tokenizer = tiny_files("flexvar_tiny")
    options = ("--family", "flexvar", "--transformer", transformer, "--tokenizer", tokenizer)
    line = succeed("convert", *options, "--name", "flexvar-mine", "--out", tmp_path)
    assert line.startswith(f"took 'model' of flexvae_tiny.pth\nflexvar-mine in {tmp_path}: ")
    assert line.endswith("scales 1,2,3,4,5,6,8,10,13,16\n")
    stored, state = load_file(tmp_path / "tokenizer.safetensors"), synthetic_state("flexvae_tiny")
    assert state.keys() - stored.keys() == {"quantize.codebook_used"}
    assert all(torch.equal(stored[key], state[key]) for key in stored)


@pytest.mark.parametrize(
    ("name", "sides"), [("8", "1,2,3,5,7,10,13,16"), ("512", "1,2,3,4,5,6,7,8,9,10,12,14,16,23,32")]
)
def test_a_schedule_has_a_name(
    succeed: Text, flexvar_parts: Any, tmp_path: Path, name: str, sides: str
) -> None:
    line = succeed("convert", *flexvar_parts, "--schedule", name, "--out", tmp_path / "new")
    assert line.endswith(f", scales {sides}\n")


BAD_FLEXVAR = {
    "family": ("--family var", "the transformer is a FlexVAR, not a VAR; pass a flexvar backbone"),
    "family-detected": ("--tokenizer {var_tokenizer}", "this is no FlexVAR tokenizer"),
    "family-of-a-var": (
        "--transformer {var} --family flexvar",
        "is a VAR, not a FlexVAR; pass a var backbone",
    ),
    "swapped": (
        "--family flexvar --transformer {tokenizer} --tokenizer {transformer}",
        "holds a tokenizer, no transformer",
    ),
    "schedule-order": ("--schedule 1,3,3", "schedule 1,3,3 does not increase from 3 to 3"),
    "schedule-start": ("--schedule 2,4", "schedule 2,4 must start at side 1"),
    "schedule-long": ("--schedule 1,33", "schedule 1,33 ends at side 33, the model's position table has 32"),
    "schedule-name": ("--schedule ten", "or a name: 6, 8, 9, 10, 11, 12, 13, 512"),
    "table": ("--transformer {cut}", "the model's position table has 8; pass --schedule"),
}


@pytest.mark.parametrize("name", BAD_FLEXVAR)
def test_a_flexvar_that_does_not_fit_is_one_line_and_writes_nothing(
    refuse: Text, files: Files, small: Any, flexvar_parts: Any, parts: Any, tmp_path: Path, name: str
) -> None:
    text, expected = BAD_FLEXVAR[name]
    options = text.format(**small, var=parts[1], var_tokenizer=parts[3]).split()
    assert expected in refuse("convert", *flexvar_parts, *options, "--out", tmp_path / "out")
    assert files(tmp_path) == {}


def test_a_choice_is_asked_for_and_said(
    succeed: Text, refuse: Text, parts: Any, synthetic_state: Any, tmp_path: Path
) -> None:
    state = synthetic_state("var_tiny")
    average = {key: value * 2 if value.is_floating_point() else value for key, value in state.items()}
    torch.save({"model": state, "ema": average}, tmp_path / "mine.pth")
    files = ("--transformer", tmp_path / "mine.pth", *parts[2:])
    line = refuse("convert", *files, "--out", tmp_path / "a")
    assert "holds 2 sets of transformer weights; pass --part, one of model, ema" in line
    said = succeed("convert", *files, "--part", "ema", "--out", tmp_path / "b").splitlines()
    assert said[0] == "took 'ema' of mine.pth, left 'model'"
    stored = load_file(tmp_path / "b" / "transformer.safetensors")
    assert torch.equal(stored["head.weight"], average["head.weight"])


def test_a_scorer_serves_a_copy_of_its_backbone_under_another_name(
    run: Any, succeed: Text, tmp_path: Path
) -> None:
    from tts.backbones.storage import embedded_folder

    transformer, tokenizer = embedded_folder("var-digits")
    files = ("--transformer", transformer, "--tokenizer", tokenizer)
    succeed("convert", *files, "--name", "var-copy", "--out", tmp_path / "copy")
    scorer = transformer.parent.parent / "var-digits-scorer.safetensors"
    options = ("--labels", "3", "--seeds", "0", "--candidates", "4", "--scorer", scorer, "--save-tokens")
    options = (*options, "--cfg", 1.5, "--top-k", 0, "--top-p", 0)
    done = run("sample", "--backbone", tmp_path / "copy", *options, "--out", tmp_path / "a")
    assert done.code == 0
    assert "note: the weights in transformer.safetensors are float16, not float32" in done.stderr
    succeed("sample", *options, "--out", tmp_path / "b")
    a, b = (load_file(tmp_path / name / "tokens.safetensors")["tokens"] for name in ("a", "b"))
    assert torch.equal(a, b)


def test_a_type_is_called_as_people_call_it(run: Any, tmp_path: Path) -> None:
    options = ("--labels", "3", "--seeds", "0", "--device", "CPU", "--dtype", "BF16")
    done = run("sample", *options, "--out", tmp_path)
    assert done.code == 0
    assert done.stderr.startswith("note: bfloat16 changes 74 to 91 % of images against float32")
    assert '"dtype": "bfloat16"' in (tmp_path / "run.json").read_text()
