"""One changed byte, or another file under the name, in anything that the toolkit wrote and then reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tts.backbones.storage import EMBEDDED
from tts.io import save_tensors

Run = Callable[..., Any]
HEADER, MIDDLE, END = "header", "middle", "end"
PLACES = (HEADER, MIDDLE, END)
WARNED = ("warning: ", "note: ")


@pytest.fixture(scope="module")
def made(succeed: Any, run: Run, trained: Any, converted: Any, tmp_path_factory: Any) -> Path:
    """A folder of results of all kinds."""
    root: Path = tmp_path_factory.mktemp("made")
    for name in ("real", "generated", "scorer"):
        shutil.copytree(getattr(trained, name), root / name)
    shutil.copytree(converted("var_tiny"), root / "model")
    ten = ("--labels", "0-9", "--seeds", "0-3")
    succeed("sample", *ten, "--out", root / "run", "--save-tokens")
    succeed("sample", *ten, "--candidates", 1, "--out", root / "other")
    succeed("sample", *ten, "--format", "npz", "--out", root / "npz")
    succeed("pack", root / "run", "--to", root / "packed.npz")
    grid = ("--grid", "candidates=1,2", "--images", 40, "--seeds", 1, "--device", "cpu")
    assert run("sweep", *grid, "--out", root / "sweep").code == 0
    return root


TRAIN = ("train-scorer", "--real", "real", "--generated", "generated", "--epoch-pairs", 128, "--epochs", 1)
USES: dict[str, tuple[str, tuple[object, ...]]] = {
    "token shard": ("generated/shard-00000.safetensors", (*TRAIN, "--out", "new")),
    "manifest": ("real/manifest.json", (*TRAIN, "--out", "new")),
    "scorer": ("scorer/scorer.safetensors", ("sample", "--scorer", "scorer", "--out", "new")),
    "token maps": (
        "run/tokens.safetensors",
        ("sample", "--from-tokens", "run/tokens.safetensors", "--from-scale", 2, "--out", "new"),
    ),
    "transformer": ("model/transformer.safetensors", ("sample", "--backbone", "model", "--out", "new")),
    "tokenizer": ("model/tokenizer.safetensors", ("sample", "--backbone", "model", "--out", "new")),
    "image, eval": ("run/images/0003/000002.png", ("eval", "run", "--out", "new")),
    "image, pack": ("run/images/0003/000002.png", ("pack", "run", "--to", "new")),
    "image, grid": ("run/images/0003/000002.png", ("grid", "run", "other", "--out", "new")),
    "shard, eval": ("run/shards/shard-00000.safetensors", ("eval", "run", "--out", "new")),
    "shard of pixels": ("npz/shards/shard-00000.safetensors", ("eval", "npz", "--out", "new")),
    "shard, pack": ("npz/shards/shard-00000.safetensors", ("pack", "npz", "--to", "new")),
    "shard, grid": ("run/shards/shard-00000.safetensors", ("grid", "run", "other", "--out", "new")),
    "run record": ("run/run.json", ("eval", "run", "--out", "new")),
    "run record, pack": ("run/run.json", ("pack", "run", "--to", "new")),
    "run record, report": ("run/run.json", ("report", "run", "--out", "new.html")),
    "plan": ("run/plan.json", ("eval", "run", "--out", "new")),
    "npz of a run": ("npz/samples.npz", ("eval", "npz/samples.npz", "--out", "new")),
    "grid, report": ("run/grid.png", ("report", "run", "--out", "new.html")),
    "training, report": ("scorer/metrics.json", ("report", "scorer", "--out", "new.html")),
    "curves, report": ("scorer/curves.png", ("report", "scorer", "--out", "new.html")),
    "results": ("sweep/results.json", ("report", "sweep", "--out", "new.html")),
    "list of figures": ("sweep/figures.json", ("report", "sweep", "--out", "new.html")),
    "sweep": ("sweep/sweep.json", ("sweep", "--out", "sweep")),
}


@pytest.fixture
def copy(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to damage, which is the current folder."""
    shutil.copytree(made, tmp_path / "made")
    monkeypatch.chdir(tmp_path / "made")
    return tmp_path / "made"


def flip(path: Path, place: str) -> None:
    """Change one bit."""
    content = bytearray(path.read_bytes())
    position = {HEADER: min(20, len(content) - 1), MIDDLE: len(content) // 2, END: len(content) - 1}[place]
    content[position] ^= 1
    path.write_bytes(content)


def refused(done: Any, name: str) -> None:
    """One line that names the file, and no output."""
    assert done.code in (1, 2), done
    assert done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if not line.startswith(WARNED)]
    assert len(errors) == 1, done.stderr
    assert name in errors[0]
    assert not Path("new.html").exists()
    assert not Path("new").exists() or not any(Path("new").iterdir())


@pytest.mark.parametrize("place", [MIDDLE, *(pytest.param(p, marks=pytest.mark.slow) for p in (HEADER, END))])
@pytest.mark.parametrize("use", USES)
def test_a_changed_byte_is_refused_by_name(run: Run, copy: Path, use: str, place: str) -> None:
    name, command = USES[use]
    flip(copy / name, place)
    refused(run(*command), name)


@pytest.mark.parametrize(
    "command",
    [("eval", "packed.npz"), ("eval", "run", "--reference", "packed.npz", "--features", "digits")],
)
def test_a_changed_byte_of_a_packed_npz_is_refused(run: Run, copy: Path, command: tuple[str, ...]) -> None:
    flip(copy / "packed.npz", MIDDLE)
    refused(run(*command, "--out", "new"), "packed.npz")


@pytest.mark.parametrize("name", ["run/images/0003/000002.png", "run/shards/shard-00000.safetensors"])
@pytest.mark.parametrize("command", [("eval", "run"), ("pack", "run", "--to"), ("grid", "run", "npz")])
def test_another_file_under_the_name_is_refused(
    run: Run, copy: Path, name: str, command: tuple[str, ...]
) -> None:
    shutil.copyfile(copy / name.replace("run", "other", 1), copy / name)
    out = ("new",) if command[-1] == "--to" else ("--out", "new")
    refused(run(*command, *out), name)


def test_the_npz_of_another_run_is_refused(run: Run, copy: Path) -> None:
    shutil.copyfile(copy / "packed.npz", copy / "npz" / "samples.npz")
    refused(run("eval", "npz/samples.npz", "--out", "new"), "npz/samples.npz")


@pytest.mark.parametrize("command", [("eval", "run", "--out", "new"), ("pack", "run", "--to", "new")])
def test_a_deleted_and_an_added_image_are_noticed(run: Run, copy: Path, command: tuple[str, ...]) -> None:
    folder = copy / "run" / "images" / "0003"
    (folder / "000002.png").rename(copy / "kept.png")
    refused(run(*command), "000002.png is missing")
    shutil.copyfile(copy / "kept.png", folder / "000002.png")
    shutil.copyfile(copy / "kept.png", folder / "000009.png")
    refused(run(*command), "000009.png is no image of the run")


def stripped(path: Path) -> None:
    """Write a safetensors file again as other software does, without the checksum."""
    with safe_open(path, "pt") as file:
        metadata = {key: value for key, value in file.metadata().items() if "sha256" not in key}
    save_file({key: value + 1 for key, value in load_file(path).items()}, path, metadata)


@pytest.mark.parametrize("use", ["scorer", "token maps", "transformer", "tokenizer", "shard, eval"])
def test_a_checksum_that_was_taken_away_is_missed(run: Run, copy: Path, use: str) -> None:
    name, command = USES[use]
    stripped(copy / name)
    refused(run(*command), name)


@pytest.mark.parametrize("use", [use for use, (name, _) in USES.items() if name.endswith(".json")])
def test_a_checksum_that_a_record_lacks_is_missed(run: Run, copy: Path, use: str) -> None:
    name, command = USES[use]
    content = json.loads((copy / name).read_text())
    del content["record_sha256"]
    (copy / name).write_text(json.dumps(content))
    refused(run(*command), name)


def test_a_copy_of_a_shipped_file_needs_no_checksum_inside(run: Run, copy: Path, succeed: Any) -> None:
    shutil.copyfile(EMBEDDED / "var-digits-scorer.safetensors", copy / "mine.safetensors")
    sample = ("sample", "--labels", 1, "--seeds", 0, "--candidates", 2, "--scorer", "mine.safetensors")
    succeed(*sample, "--out", "first")
    flip(copy / "mine.safetensors", MIDDLE)
    refused(run(*sample, "--out", "new"), "mine.safetensors")


def test_a_shard_that_is_missing_can_be_mended(run: Run, copy: Path) -> None:
    (copy / "generated" / "shard-00000.safetensors").unlink()
    done = run(*TRAIN, "--out", "new")
    refused(done, "generated/shard-00000.safetensors is missing")
    assert done.stderr.endswith("; mend it with 'tts data verify generated --repair'\n")


def test_a_manifest_that_counts_wrongly_disagrees_with_the_shards(run: Run, copy: Path) -> None:
    path = copy / "real" / "manifest.json"
    path.write_text(path.read_text().replace('"items": 200', '"items": 199'))
    refused(run(*TRAIN, "--out", "new"), "real/manifest.json")


def test_a_shard_of_other_tokens_with_a_checksum_of_its_own_is_refused(run: Run, copy: Path) -> None:
    path = copy / "generated" / "shard-00000.safetensors"
    with safe_open(path, "pt") as file:
        metadata = dict(file.metadata())
    tensors = load_file(path)
    tensors["tokens"][0, 0] ^= 1
    save_tensors(path, tensors, metadata)
    refused(run(*TRAIN, "--out", "new"), "generated/shard-00000.safetensors")


def test_figures_of_seed_sets_are_compared_before_they_are_summed_up(run: Run, copy: Path) -> None:
    (copy / "sweep" / "results.json").unlink()
    flip(copy / "sweep" / "points" / "plain" / "set-0.json", MIDDLE)
    refused(run("sweep", "--out", "sweep"), "sweep/points/plain/set-0.json")


def test_the_first_images_of_another_point_are_refused(run: Run, copy: Path) -> None:
    points = copy / "sweep" / "points"
    (other,) = (path for path in points.iterdir() if path.name != "plain")
    shutil.copyfile(other / "images.png", points / "plain" / "images.png")
    (copy / "sweep" / "figures.json").unlink()  # whose grids would stand for them
    refused(run("report", "sweep", "--out", "new.html"), "sweep/points/plain/images.png")


def test_checking_in_full_is_an_option(run: Run, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_CACHE", str(copy / "cache"))
    monkeypatch.setattr("tts.cache.SMALL", 0)
    monkeypatch.setattr("tts.cache.SETTLED", -10.0)
    path = copy / "generated" / "shard-00000.safetensors"
    same = path.stat()
    monkeypatch.setattr("tts.cache._stamp", lambda path: [path.stat().st_size, 0, 0, 0, 0])
    assert run(*TRAIN, "--out", "first").code == 0
    flip(path, MIDDLE)
    assert path.stat().st_size == same.st_size
    assert run(*TRAIN, "--out", "second").code == 0  # as if the disk had changed it
    refused(run(*TRAIN, "--recheck", "--out", "new"), "generated/shard-00000.safetensors")
