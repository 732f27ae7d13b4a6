"""``tts sample``: what a run writes, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packaging.version import Version
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from tts.tiles import GAP, margin_of

Run = Callable[..., Any]
Text = Callable[..., str]
Files = Callable[[Path], dict[str, bytes]]

QUICK = ("--labels", "3,7", "--seeds", "0-1", "--candidates", "4", "--scorer", "likelihood")
SHARD = "shards/shard-00000.safetensors"
GREEDY = ("--labels", "3,7", "--seeds", "0", "--cfg", "1.5", "--top-k", "1", "--top-p", "0")
"""Of the golden files: guided, the most likely token everywhere."""


def tokens(folder: Path) -> Tensor:
    return load_file(folder / "tokens.safetensors")["tokens"]


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def pixels(file: Path) -> Any:
    with Image.open(file) as image:
        return np.asarray(image)


# What a user does


@pytest.mark.skipif(
    Version(torch.__version__) < Version("2.8"), reason="einops imports the compiler of an older PyTorch"
)
@pytest.mark.parametrize("backbone", ["var-digits", "flexvar-digits"])
def test_the_way_to_the_picture_imports_no_compiler_and_no_solver(tmp_path: Path, backbone: str) -> None:
    code = (
        "import sys; from tts_cli.main import app; app(sys.argv[1:], standalone_mode=False);"
        "heavy = {'torch._dynamo', 'torch._inductor', 'sympy', 'scipy', 'sklearn', 'matplotlib'};"
        "sys.exit(', '.join(heavy & sys.modules.keys()))"
    )
    args = ("sample", "--backbone", backbone, "--labels", "0", "--out", tmp_path)
    done = subprocess.run((sys.executable, "-c", code, *args), capture_output=True, text=True, check=False)
    assert done.stderr in ("", "\n"), done.stderr
    assert (tmp_path / "run.json").exists()


@pytest.mark.parametrize("name", ["var_tiny", "var_tiny_shared_aln"])
@pytest.mark.parametrize("sampler", ["exact", "fast"])
def test_converted_weights_give_the_published_tokens(
    succeed: Text, converted: Any, golden: Any, tmp_path: Path, name: str, sampler: str
) -> None:
    options = ("--candidates", "1", "--dtype", "float32", "--sampler", sampler, "--save-tokens")
    succeed("sample", "--backbone", converted(name), *GREEDY, *options, "--out", tmp_path)
    g = golden(name)
    expected = torch.cat([g[f"ar_argmax.tokens.{k}"] for k in range(4)], dim=1)
    assert torch.equal(tokens(tmp_path), expected)
    assert g["labels"].tolist() == load_file(tmp_path / "tokens.safetensors")["labels"].tolist() == [3, 7]
    for label, image in zip((3, 7), g["ar_argmax.image"], strict=True):
        exact = (image * 255).permute(1, 2, 0).numpy()
        ours = pixels(tmp_path / "images" / f"{label:04d}" / "000000.png").astype(float)
        assert ours.shape == (64, 64, 3)
        assert (exact - ours).min() > -0.01
        assert (exact - ours).max() < 1.01  # truncated, as the authors do


def test_no_arguments_are_enough(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TTS_WORK")
    done = run("sample")
    assert (done.code, done.stderr) == (0, "")
    line = "50 images in tts-work/var-digits/samples/greedy-8 (candidates 1,8,8,8, scorer learned, "
    assert done.stdout.startswith(line)
    out = tmp_path / "tts-work" / "var-digits" / "samples" / "greedy-8"
    assert len(list(out.glob("images/*/*.png"))) == 50
    made = record(out)
    assert made["scorer"]["name"] == "learned"
    assert made["scorer"]["file"].endswith("var-digits-scorer.safetensors")
    assert made["resolved"]["candidates"] == [1, 8, 8, 8]
    assert made["selector"] == "greedy"


def test_a_run_says_how_it_was_made(succeed: Text, trained: Any, tmp_path: Path) -> None:
    scorer = trained.scorer / "scorer.safetensors"
    options = ("--labels", "3,7", "--seeds", "5", "--candidates", "2", "--selector", "softmax")
    succeed("sample", *options, "--scorer", scorer, "--temperature", 0.5, "--out", tmp_path)
    made = record(tmp_path)
    settings = made["settings"]
    assert (settings["labels"], settings["seeds"], settings["candidates"]) == ("3,7", "5", "2")
    execution = {
        "out",
        "batch_size",
        "chunk",
        "device",
        "overwrite",
        "extend",
        "shard",
        "shard_items",
    }
    assert not execution & set(settings)
    resolved = made["resolved"]
    assert (resolved["cfg"], resolved["top_k"], resolved["top_p"]) == (1.5, 0, 0.0)
    assert (resolved["stream"], resolved["uint8"], resolved["items"]) == ("SAMPLE", "truncate", 2)
    assert made["backbone"]["name"] == "var-digits"
    assert made["backbone"]["schedule"] == [1, 2, 3, 4]
    assert len(made["backbone"]["weights_sha256"]) == len(made["scorer"]["sha256"]) == 64
    assert made["scorer"]["file"] == str(scorer)
    assert made["scorer"]["training"]["settings"]["epochs"] == 1
    assert made["selector"] == "softmax"
    assert {"scalewise-tts", "python", "libraries", "plugins", "device"} <= set(made["environment"])
    assert made["timing"]["generate_seconds"] > 0
    assert made["timing"]["images_per_second"] > 0


def test_the_fast_sampler_runs_and_is_recorded(succeed: Text, trained: Any, tmp_path: Path) -> None:
    scorer = trained.scorer
    for name in ("exact", "fast"):
        succeed(
            "sample", *QUICK, "--scorer", scorer, "--sampler", name, "--save-tokens", "--out", tmp_path / name
        )
    assert "sampler" not in record(tmp_path / "exact")["settings"]
    assert record(tmp_path / "fast")["settings"]["sampler"] == "fast"
    assert tokens(tmp_path / "fast").shape == tokens(tmp_path / "exact").shape


def test_an_unknown_sampler_is_refused(refuse: Text, tmp_path: Path) -> None:
    assert "unknown sampler 'quick'; use exact or fast" in refuse(
        "sample", "--sampler", "quick", "--out", tmp_path
    )


def test_files_are_named_by_class_and_seed(succeed: Text, files: Files, tmp_path: Path) -> None:
    line = succeed("sample", *QUICK, "--out", tmp_path)
    assert line.startswith(f"4 images in {tmp_path} (candidates 1,4,4,4, ")
    names = {f"images/{label:04d}/{seed:06d}.png" for label in (3, 7) for seed in (0, 1)}
    assert files(tmp_path).keys() == names | {"grid.png", "run.json", "plan.json", SHARD}
    assert line.endswith(f"; the first of them: {tmp_path / 'grid.png'}\n")
    pitch = 64 + GAP
    assert pixels(tmp_path / "grid.png").shape == (GAP + 2 * pitch, margin_of(["3", "7"]) + 2 * pitch, 3)
    for name in names:
        assert pixels(tmp_path / name).shape == (16, 16, 3)


def test_every_kind_of_output(succeed: Text, tmp_path: Path) -> None:
    options = ("--format", "png,npz", "--save-tokens", "--trace", "--json")
    answer = json.loads(succeed("sample", *QUICK, *options, "--out", tmp_path))
    assert (answer["out"], answer["images"], answer["made"]) == (str(tmp_path), 4, 4)
    assert (answer["finished"], answer["shards_done"], answer["shards"]) == (True, 1, 1)
    assert answer["images_per_second"] > 0
    with np.load(tmp_path / "samples.npz") as arrays:
        assert arrays["arr_0"].shape == (4, 16, 16, 3)
        assert arrays["arr_1"].tolist() == [3, 3, 7, 7]
        assert arrays["seeds"].tolist() == [0, 1, 0, 1]
        assert (arrays["arr_0"][1] == pixels(tmp_path / "images" / "0003" / "000001.png")).all()
    saved, trace = load_file(tmp_path / "tokens.safetensors"), load_file(tmp_path / "trace.safetensors")
    assert saved["tokens"].shape == (4, 30)
    assert sorted(trace) == ["scores.2", "scores.3", "scores.4"]
    for scale in (2, 3, 4):
        scores = trace[f"scores.{scale}"]
        assert scores.shape == (4, 4)
        assert torch.equal(scores.max(dim=1).values, saved["winner_scores"][:, scale - 1])
        assert torch.equal(scores.argmax(dim=1), saved["winner_index"][:, scale - 1])
    assert saved["winner_scores"][:, 0].isnan().all()


def test_npz_alone_writes_no_png(succeed: Text, files: Files, tmp_path: Path) -> None:
    succeed("sample", *QUICK, "--format", "npz", "--out", tmp_path)
    assert files(tmp_path).keys() == {"samples.npz", "grid.png", "run.json", "plan.json", SHARD}


def test_batches_and_chunks_change_nothing(succeed: Text, tmp_path: Path) -> None:
    for name, options in {"one": (), "two": ("--batch-size", 3, "--chunk", 1)}.items():
        succeed("sample", *QUICK, *options, "--save-tokens", "--out", tmp_path / name)
    assert torch.equal(tokens(tmp_path / "one"), tokens(tmp_path / "two"))
    assert record(tmp_path / "one")["settings"] == record(tmp_path / "two")["settings"]


def test_one_candidate_needs_no_scorer(succeed: Text, tmp_path: Path) -> None:
    line = succeed("sample", "--labels", "3", "--seeds", "0", "--candidates", "1", "--out", tmp_path)
    assert "(candidates 1,1,1,1, " in line
    assert record(tmp_path)["scorer"] is None


def test_seeds_of_a_class_are_distinct_with_per_class(succeed: Text, tmp_path: Path) -> None:
    options = ("--labels", "2,5", "--per-class", 3, "--candidates", 1, "--save-tokens")
    succeed("sample", *options, "--out", tmp_path)
    assert load_file(tmp_path / "tokens.safetensors")["seeds"].tolist() == [2, 12, 22, 5, 15, 25]


@pytest.mark.parametrize(
    ("selector", "settings"),
    [("greedy", ()), ("topk", ("--top-k-select", 2)), ("softmax", ("--temperature", 0.5)), ("random", ())],
)
def test_every_selector_runs(
    succeed: Text, tmp_path: Path, selector: str, settings: tuple[object, ...]
) -> None:
    succeed("sample", *QUICK, "--selector", selector, *settings, "--out", tmp_path)
    assert record(tmp_path)["selector"] == selector


@pytest.mark.parametrize(
    ("option", "value"), [("--per-class", "many"), ("--per-class", "1.5"), ("--cfg", "x")]
)
def test_what_is_no_number_is_named(refuse: Text, option: str, value: str) -> None:
    line = refuse("sample", option, value)
    assert line.startswith(f"error: invalid value for '{option}': '{value}' ")
    assert line.endswith("; see tts sample --help")


def test_a_setting_without_effect_is_refused(refuse: Text, tmp_path: Path) -> None:
    line = refuse("sample", *QUICK, "--temperature", 0.5, "--out", tmp_path / "out")
    assert "--temperature does not go with --selector greedy; leave it out or pass --selector " in line
    assert not (tmp_path / "out").exists()


def test_the_random_selector_needs_no_scorer(succeed: Text, tmp_path: Path) -> None:
    succeed("sample", *QUICK[:-1], "none", "--selector", "random", "--out", tmp_path)
    assert record(tmp_path)["scorer"] is None


def test_candidates_can_differ_by_scale(succeed: Text, tmp_path: Path) -> None:
    assert "(candidates 1,2,3,1, " in succeed("sample", *QUICK, "--candidates", "1,2,3,1", "--out", tmp_path)


def test_a_scorer_is_found_by_file_by_folder_and_by_name(succeed: Text, trained: Any, tmp_path: Path) -> None:
    forms = (trained.scorer / "scorer.safetensors", trained.scorer, f"learned:{trained.scorer}")
    for i, form in enumerate(forms):
        succeed("sample", *QUICK, "--scorer", form, "--save-tokens", "--out", tmp_path / str(i))
    first, *others = (tokens(tmp_path / str(i)) for i in range(3))
    assert all(torch.equal(first, other) for other in others)


def test_greedy_decoding_says_that_candidates_are_idle(run: Run, tmp_path: Path) -> None:
    done = run("sample", *QUICK, "--top-k", 1, "--out", tmp_path)
    assert done.code == 0
    assert "(candidates 1,1,1,1, " in done.stdout
    assert done.stderr == (
        "note: decoding is greedy at scale 2, 3, 4: one candidate there, since all would be equal\n"
    )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_runs_and_says_that_it_changes_images(run: Run, tmp_path: Path, dtype: str) -> None:
    done = run("sample", "--labels", "3", "--seeds", "0", *QUICK[4:], "--dtype", dtype, "--out", tmp_path)
    assert done.code == 0
    (line,) = done.stderr.splitlines()
    assert re.match(rf"note: {dtype} changes \d+ to \d+ % of images against float32", line)
    found = record(tmp_path)
    assert found["settings"]["dtype"] == dtype
    assert found["remarks"] == [line.removeprefix("note: ")]


def test_single_precision_has_no_remark(succeed: Text, tmp_path: Path) -> None:
    succeed("sample", "--labels", "3", "--seeds", "0", *QUICK[4:], "--out", tmp_path)
    assert record(tmp_path)["remarks"] == []


# Saved tokens


def test_saved_tokens_are_a_start(succeed: Text, tmp_path: Path) -> None:
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    succeed("sample", *QUICK, "--save-tokens", "--out", first)
    start = ("--from-tokens", first / "tokens.safetensors", "--from-scale", 3, *QUICK[4:], "--save-tokens")
    succeed("sample", *start, "--out", again)
    assert torch.equal(tokens(again), tokens(first))
    assert (again / "images" / "0007" / "000001.png").read_bytes() == (
        first / "images" / "0007" / "000001.png"
    ).read_bytes()
    succeed("sample", *start, "--cfg", 4, "--out", other)
    kept = 1 + 4
    assert torch.equal(tokens(other)[:, :kept], tokens(first)[:, :kept])
    assert not torch.equal(tokens(other)[:, kept:], tokens(first)[:, kept:])


def test_a_scale_can_be_replaced_by_noise(succeed: Text, tmp_path: Path) -> None:
    for name, options in {"plain": (), "noisy": ("--randomize-scale", 2)}.items():
        succeed("sample", *QUICK, *options, "--save-tokens", "--out", tmp_path / name)
    plain, noisy = (tokens(tmp_path / name).split((1, 4, 9, 16), dim=1) for name in ("plain", "noisy"))
    same = [torch.equal(a, b) for a, b in zip(plain, noisy, strict=True)]
    assert same == [True, False, True, True]


# Bad input

BAD = {
    "backbone": ("--backbone var-digit", "unknown backbone 'var-digit'; did you mean 'var-digits'"),
    "backbone-folder": ("--backbone ./nothing", "no backbone folder './nothing'"),
    "backbone-empty": ("--backbone {empty}", "transformer.safetensors"),
    "label": ("--labels 10", "label 10 is out of range; this backbone has 0 to 9"),
    "label-text": ("--labels three", "label 'three'"),
    "candidates-0": ("--candidates 0", "candidates '0' must be"),
    "candidates-list": ("--candidates 1,2", "candidates has 2 numbers, the backbone 4 scales"),
    "start-scale": ("--start-scale 5", "start-scale 5 is out of range; this backbone has scales 1 to 4"),
    "end-scale": ("--end-scale 1", "end-scale 1 is before start-scale 2"),
    "scorer": ("--scorer likelyhood", "unknown scorer 'likelyhood'; did you mean 'likelihood'?"),
    "scorer-file": ("--scorer nothing.safetensors", "nothing.safetensors"),
    "scorer-truncated": ("--scorer {truncated_scorer}", "truncated"),
    "scorer-weights": ("--scorer {transformer}", "holds a transformer, no scorer"),
    "scorer-malicious": ("--scorer {malicious}", "mkdir, refused unread"),
    "scorer-empty": ("--scorer {empty}", "no weights file in folder"),
    "scorer-other": ("--backbone {tiny} --scorer {scorer}", "was trained for codebook size 256, got 64"),
    "scorer-none": ("--scorer none", "needs a scorer"),
    "selector": ("--selector greddy", "unknown selector 'greddy'; did you mean 'greedy'?"),
    "temperature": ("--selector softmax --temperature 0", "temperature 0 must be at least 1e-06"),
    "top-k-select": ("--selector topk --top-k-select 0", "top-k-select 0"),
    "weights-embedded": ("--weights {transformer}", "--weights does not go with var-digits"),
    "weights-folder": ("--backbone {tiny} --weights {transformer}", "--weights does not go with"),
    "weights-malicious": ("--backbone var-d16 --weights {malicious}", "mkdir, refused unread"),
    "weights-truncated": ("--backbone var-d16 --weights {truncated}", "truncated"),
    "weights-truncated-pth": ("--backbone var-d16 --weights {truncated_pth}", "truncated"),
    "weights-empty": ("--backbone var-d16 --weights {nothing}", "is empty; fetch or copy it again"),
    "weights-dir": ("--backbone var-d16 --weights {empty}", "no weights file"),
    "weights-twice": ("--backbone var-d16 --weights {transformer} --weights {tiny}", "is a second"),
    "weights-depth": ("--backbone var-d16 --weights {transformer} --weights {tokenizer}", "depth 2"),
    "seeds": ("--seeds 1-x", "seed '1-x' is not a list of whole numbers"),
    "seeds-huge": ("--seeds 99999999999999999999", "below 2^63"),
    "seeds-per-class": ("--per-class 2", "--seeds and --per-class"),
    "dtype": ("--dtype float64", "unknown dtype 'float64'; use float32, bfloat16, float16"),
    "device": ("--device cuda:9", "device 'cuda:9' is not available on this machine"),
    "device-kind": ("--device gpu", "unknown device 'gpu'"),
    "format": ("--format jpg", "unknown format 'jpg'; use png or npz"),
    "uint8": ("--uint8 floor", "unknown uint8 rule 'floor'"),
    "cfg": ("--cfg nan", "cfg nan"),
    "top-p": ("--top-p 2", "top-p 2.0"),
    "batch-size": ("--batch-size 0", "batch-size 0 must be at least 1"),
    "chunk": ("--chunk 0", "chunk 0 must be at least 1"),
    "from-scale": ("--from-scale 2", "--from-tokens FILE and --from-scale K go together"),
    "randomize-scale": ("--randomize-scale 5", "randomize-scale 5 is out of range"),
    "shard-items": ("--shard-items 0", "shard-items 0 must be at least 1; the default is 512"),
    "extend": ("--extend", "--overwrite starts afresh and --extend adds items; pass one of them"),
    "shard-overwrite": ("--shard 1/2", "--overwrite does not go with --shard"),
    "number": ("--top-k many", "invalid value for '--top-k'"),
    "option": ("--selektor greedy", "no such option: --selektor"),
    "schedule-fixed": ("--schedule 1,2,4", "var-digits has the fixed schedule 1,2,3,4, got 1,2,4"),
    "schedule-order": (
        "--backbone {flexvar} --schedule 1,3,2",
        "schedule 1,3,2 does not increase from 3 to 2",
    ),
    "schedule-equal": ("--backbone {flexvar} --schedule 1,2,2", "does not increase from 2 to 2"),
    "schedule-start": ("--backbone {flexvar} --schedule 2,3", "schedule 2,3 must start at side 1"),
    "schedule-one": ("--backbone {flexvar} --schedule 1", "schedule '1' must be increasing sides from 1"),
    "schedule-large": (
        "--backbone {flexvar} --schedule 1,2,33",
        "schedule 1,2,33 ends at side 33, the model's position table has 32; end it at 32 or below",
    ),
    "schedule-name": ("--backbone {flexvar} --schedule ten", "or a name: 6, 8, 9, 10, 11, 12, 13, 512"),
    "schedule-candidates": (
        "--backbone {flexvar} --schedule 1,2,4 --candidates 1,2,2,2",
        "candidates has 4 numbers, the backbone 3 scales",
    ),
    "schedule-scales": ("--backbone {flexvar} --schedule 1,2,4 --start-scale 4", "has scales 1 to 3"),
    "guidance": (
        "--backbone {flexvar} --guidance cfg",
        "unknown guidance 'cfg'; flexvar-d2 has flexvar, llamagen",
    ),
    "guidance-fixed": ("--guidance llamagen", "unknown guidance 'llamagen'; var-digits has var"),
    "cfg-llamagen": (
        "--backbone {flexvar} --guidance llamagen --cfg -1",
        "cfg -1.0 must be at least 0",
    ),
    "flexvar-of-var": (
        "--backbone flexvar-d16 --weights {transformer} --weights {tokenizer}",
        "the transformer is a VAR, not a FlexVAR; pass a var backbone",
    ),
    "var-of-flexvar": (
        "--backbone var-d16 --weights {flexvar}",
        "the transformer is a FlexVAR, not a VAR; pass a flexvar backbone",
    ),
    "flexvar-depth": ("--backbone flexvar-d16 --weights {flexvar}", "depth 2, flexvar-d16 has 16"),
    "flexvar-scorer": (
        "--backbone {flexvar} --scorer {scorer}",
        "was trained for codebook size 256, got 64",
    ),
}


@pytest.fixture(scope="module")
def bad_files(
    trained: Any, converted: Any, flexvar: Path, tiny_files: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Files that are fine elsewhere, or nowhere."""
    root = tmp_path_factory.mktemp("bad")
    transformer, tokenizer = tiny_files("var_tiny")
    scorer = trained.scorer / "scorer.safetensors"
    tiny = converted("var_tiny")
    made = {"transformer": transformer, "tokenizer": tokenizer, "scorer": scorer, "tiny": tiny}
    made["flexvar"] = flexvar
    for name, source in {
        "truncated_scorer.safetensors": scorer,
        "truncated.safetensors": tiny / "transformer.safetensors",
        "truncated_pth.pth": transformer,
    }.items():
        whole = source.read_bytes()
        (root / name).write_bytes(whole[: len(whole) // 2])
        made[name.partition(".")[0]] = root / name
    made["empty"] = root / "empty"
    made["empty"].mkdir()
    made["nothing"] = root / "nothing.pth"
    made["nothing"].touch()
    return made


@pytest.fixture(scope="module")
def finished(succeed: Text, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every kind of output."""
    out = tmp_path_factory.mktemp("finished") / "run"
    succeed("sample", *QUICK, "--format", "png,npz", "--save-tokens", "--trace", "--out", out)
    return out


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_an_existing_run_stays(
    refuse: Text,
    files: Files,
    finished: Path,
    bad_files: dict[str, Path],
    malicious: Any,
    tmp_path: Path,
    name: str,
) -> None:
    text, expected = BAD[name]
    options = text.format(**bad_files, malicious=malicious.file).split()
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    before = files(out)
    assert expected in refuse("sample", *QUICK, *options, "--overwrite", "--out", out)
    assert files(out) == before
    assert not malicious.marker.exists()


@pytest.mark.parametrize("share", ["3/2", "0/2", "x", "1/0", "-1/2", "1"])
def test_a_share_that_is_none_is_refused(
    refuse: Text, files: Files, finished: Path, tmp_path: Path, share: str
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    before = files(tmp_path / "run")
    line = refuse("sample", *QUICK, "--shard", share, "--out", tmp_path / "run")
    assert f"shard {share!r} must be i/n with i from 1 to n; for example 2/8" in line
    assert files(tmp_path / "run") == before


def test_saved_tokens_cannot_be_extended(refuse: Text, files: Files, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    before = files(tmp_path / "run")
    start = ("--from-tokens", finished / "tokens.safetensors", "--from-scale", 2, *QUICK[4:])
    line = refuse("sample", *start, "--extend", "--out", tmp_path / "run")
    assert "--extend does not go with --from-tokens: its images are the rows of the file" in line
    assert files(tmp_path / "run") == before


@pytest.mark.parametrize("name", ["tokens", "trace", "scorer", "text", "missing"])
def test_a_file_that_is_no_start_is_refused(
    refuse: Text, finished: Path, trained: Any, tmp_path: Path, name: str
) -> None:
    (tmp_path / "text").write_text("hello")
    file = {
        "tokens": finished / "tokens.safetensors",
        "trace": finished / "trace.safetensors",
        "scorer": trained.scorer / "scorer.safetensors",
    }.get(name, tmp_path / name)
    labels = QUICK[:2] if name == "tokens" else ()  # the file has its own labels
    options = ("--from-tokens", file, "--from-scale", 2, *labels, *QUICK[4:])
    refuse("sample", *options, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_tokens_of_another_backbone_are_no_start(
    refuse: Text, finished: Path, converted: Any, tmp_path: Path
) -> None:
    options = ("--from-tokens", finished / "tokens.safetensors", "--from-scale", 2, *QUICK[4:])
    assert "does not fit var-d2" in refuse(
        "sample", "--backbone", converted("var_tiny"), *options, "--out", tmp_path / "out"
    )


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_folder_that_cannot_be_written_is_refused(refuse: Text, tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("mine")
    line = refuse("sample", *QUICK, "--out", f"{tmp_path}/file{below}")
    assert "cannot write to folder" in line
    assert (tmp_path / "file").read_text() == "mine"


def test_the_process_ends_with_the_same_line_and_code(tts: Run, malicious: Any, tmp_path: Path) -> None:
    options = ("--backbone", "var-d16", "--weights", str(malicious.file), "--out", str(tmp_path / "out"))
    done = tts("sample", *options)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "refused" in line
    assert not malicious.marker.exists()
