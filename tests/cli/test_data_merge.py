"""``tts data merge``."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tts.data.store import TokenStore
from tts.data.writing import StoreWriter
from tts.engine.launch import Launch
from tts.engine.worker import Worker

Run = Callable[..., Any]
Text = Callable[..., str]
Files = Callable[[Path], dict[str, bytes]]

SAMPLE = ("--labels", "0-2", "--seeds", "0-4", "--candidates", "2", "--shard-items", "4")
EVERYTHING = ("--format", "png,npz", "--save-tokens", "--trace")
COLLECT = ("--per-class", "3", "--shard-items", "8")


def sampled(succeed: Text, out: Path, *more: object) -> Path:
    succeed("sample", *SAMPLE, *more, "--out", out)
    return out


def collected(succeed: Text, out: Path, *more: object) -> Path:
    succeed("collect", *COLLECT, *more, "--out", out)
    return out


def shard(folder: Path, number: int) -> Path:
    inner = folder / "shards"
    return (inner if inner.is_dir() else folder) / f"shard-{number:05d}.safetensors"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Ten class folders with three pictures each."""
    root = tmp_path / "pictures"
    for label in range(10):
        folder = root / f"class-{label}"
        folder.mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (30, 20), (25 * label, 80 * i, 0)).save(folder / f"{i}.png")
    return root


# parts of one plan


def parts(succeed: Text, root: Path, command: str, *options: object) -> list[Path]:
    """Folders of two tasks of a job array, each on a disk of its own."""
    for part in (1, 2):
        succeed(command, *options, "--shard", f"{part}/2", "--out", root / f"part-{part}")
    return [root / "part-1", root / "part-2"]


@pytest.mark.parametrize("command", ["sample", "collect"])
def test_parts_of_one_plan_become_its_run(succeed: Text, files: Files, tmp_path: Path, command: str) -> None:
    options = (*SAMPLE, *EVERYTHING) if command == "sample" else COLLECT
    folders = parts(succeed, tmp_path, command, *options)
    before = [files(folder) for folder in folders]
    count = 15 if command == "sample" else 30
    line = succeed("data", "merge", *folders, "--out", tmp_path / "all")
    assert line == f"{count} images merged in {tmp_path / 'all'}\n"
    succeed(command, *options, "--out", tmp_path / "whole")
    made, whole = files(tmp_path / "all"), files(tmp_path / "whole")
    record = "run.json" if command == "sample" else "manifest.json"
    mine, theirs = json.loads(made.pop(record)), json.loads(whole.pop(record))
    assert made == whole
    timing = mine["timing"] if command == "sample" else mine["settings"]["timing"]
    assert timing["images"] == count  # the parts' times are summed
    assert mine["plan"] == theirs["plan"]
    assert [files(folder) for folder in folders] == before
    assert succeed("data", "verify", tmp_path / "all").startswith("4 of 4 shards whole")


def test_parts_with_missing_shards_say_how_to_make_them(succeed: Text, images: Path, tmp_path: Path) -> None:
    options = ("collect", "--real", images, "--shard-items", 8)
    for part in (1, 3):
        succeed(*options, "--shard", f"{part}/4", "--out", tmp_path / f"part-{part}")
    folders = [tmp_path / "part-1", tmp_path / "part-3"]
    line = succeed("data", "merge", *folders, "--out", tmp_path / "all")
    start, command = line.rstrip().split(" missing with: ")
    assert start == f"2 of 4 shards merged in {tmp_path / 'all'}; make the 2"
    succeed(*shlex.split(command)[1:])
    succeed(*options, "--out", tmp_path / "whole")
    all_, whole = TokenStore.open(tmp_path / "all"), TokenStore.open(tmp_path / "whole")
    assert all_.manifest.shards == whole.manifest.shards


def test_a_finished_folder_and_a_part_of_it(succeed: Text, tmp_path: Path) -> None:
    whole = sampled(succeed, tmp_path / "whole")
    part = sampled(succeed, tmp_path / "part", "--shard", "2/2")
    made = json.loads(succeed("data", "merge", part, whole, "--out", tmp_path / "all", "--json"))
    assert (made["images"], made["shards"], made["finished"], made["kind"]) == (15, 4, True, "sample")


def test_a_broken_part_is_refused_by_name(succeed: Text, refuse: Text, tmp_path: Path) -> None:
    folders = parts(succeed, tmp_path, "sample", *SAMPLE)
    out = tmp_path / "all"
    image = folders[1] / "images" / "0001" / "000000.png"
    content = image.read_bytes()
    image.unlink()
    line = refuse("data", "merge", *folders, "--out", out)
    assert f"{folders[1]}: images/0001/000000.png: missing; run 'tts data verify" in line
    assert not out.exists()
    image.write_bytes(content)
    flip(shard(folders[0], 2))
    out.mkdir()
    line = refuse("data", "merge", *folders, "--out", out)
    assert f"{folders[0]}: shard-00002.safetensors: does not match its checksum" in line
    assert list(out.iterdir()) == []


# data sets


def test_data_sets_become_one(succeed: Text, run: Run, tmp_path: Path) -> None:
    few, many = collected(succeed, tmp_path / "few"), tmp_path / "many"
    succeed("collect", "--per-class", 5, "--shard-items", 7, "--out", many)
    out = tmp_path / "all"
    done = run("data", "merge", few, many, "--out", out)
    assert (done.code, done.stderr) == (0, "note: 30 exact duplicates left out\n")
    assert done.stdout == f"50 images merged in {out}\n"
    store, whole = TokenStore.open(out), TokenStore.open(many)
    assert store.manifest.per_class == (5,) * 10
    mine, theirs = (
        {(label, seed): tuple(row) for label, seed, row in zip(*columns, strict=True)}
        for columns in ((s.labels.tolist(), s.seeds.tolist(), s.tokens.tolist()) for s in (store, whole))
    )
    assert mine == theirs
    origins = store.manifest.settings["merged"]
    assert [(origin["items"], origin["settings"]["per_class"]) for origin in origins] == [(30, 3), (50, 5)]
    assert succeed("data", "verify", out) == f"1 of 1 shard whole, 50 images, 0 faults in {out}\n"
    assert json.loads(succeed("data", "info", out, "--json"))["finished"]


def rewritten(store: TokenStore, out: Path, tokens: torch.Tensor | None = None, **changes: Any) -> Path:
    """A copy of a data set with something else in it."""
    settings = {**store.manifest.settings, **changes.pop("settings", {})}
    kind, identity = changes.get("kind", store.manifest.kind), changes.get("identity", store.identity)
    with StoreWriter(out, kind, identity, settings) as writer:
        writer.append(store.tokens if tokens is None else tokens, store.labels, store.seeds)
    return out


def test_data_sets_that_do_not_go_together_are_refused(succeed: Text, refuse: Text, tmp_path: Path) -> None:
    from dataclasses import replace

    first = collected(succeed, tmp_path / "first")
    store = TokenStore.open(first)
    other = store.tokens.clone()
    other[7, 3] = (other[7, 3] + 1) % 256
    cases = {
        "kind": (rewritten(store, tmp_path / "kind", kind="real"), "are generated and real data"),
        "name": (
            rewritten(store, tmp_path / "name", identity=replace(store.identity, name="var-digits-l")),
            "different backbones (backbone var-digits, got var-digits-l)",
        ),
        "weights": (
            rewritten(store, tmp_path / "weights", identity=replace(store.identity, weights="0" * 64)),
            "(weights ",
        ),
        "cfg": (
            rewritten(store, tmp_path / "cfg", settings={"cfg": 1.0, "top_k": 5}),
            "settings (cfg, top_k)",
        ),
        "tokens": (
            rewritten(store, tmp_path / "tokens", other),
            f"seed {int(store.seeds[7])} has other tokens in {tmp_path / 'tokens'} than in {first}",
        ),
    }
    for second, expected in cases.values():
        assert expected in refuse("data", "merge", first, second, "--out", tmp_path / "all")
        assert not (tmp_path / "all").exists()


def test_real_sets_of_other_listings_are_refused(
    succeed: Text, refuse: Text, images: Path, tmp_path: Path
) -> None:
    succeed("collect", "--real", images, "--out", tmp_path / "one")
    shutil.copy(images / "class-3" / "0.png", images / "class-3" / "7.png")
    succeed("collect", "--real", images, "--out", tmp_path / "two")
    line = refuse("data", "merge", tmp_path / "one", tmp_path / "two", "--out", tmp_path / "all")
    assert "have other settings (images)" in line


def test_a_changed_shard_stops_the_merging_of_sets(succeed: Text, refuse: Text, tmp_path: Path) -> None:
    one, two = collected(succeed, tmp_path / "one"), tmp_path / "two"
    succeed("collect", "--per-class", 4, "--out", two)
    tensors = load_file(shard(two, 0))
    content = bytearray(shard(two, 0).read_bytes())
    place = bytes(content).rindex(tensors["seeds"].numpy().tobytes())
    content[place + 3 * 8] ^= 64  # the seed of an item that the other set has not
    shard(two, 0).write_bytes(content)
    line = refuse("data", "merge", one, two, "--out", tmp_path / "all")
    assert f"{shard(two, 0)} does not match its checksum" in line
    assert not (tmp_path / "all").exists()


def test_folders_that_cannot_be_merged(succeed: Text, refuse: Text, run: Run, tmp_path: Path) -> None:
    one, two = collected(succeed, tmp_path / "one"), tmp_path / "two"
    succeed("collect", "--per-class", 4, "--out", two)
    unfinished = collected(succeed, tmp_path / "unfinished", "--cfg", 1, "--shard", "1/2")
    drawn = sampled(succeed, tmp_path / "drawn")
    again = tmp_path / "again"
    succeed("sample", "--labels", 5, "--seeds", 0, "--candidates", 2, "--out", again)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    out = tmp_path / "all"
    cases: list[tuple[tuple[Path, ...], Path, str]] = [
        ((one,), out, "at least two folders"),
        ((one, one / "."), out, "is given twice"),
        ((one, two), one, "which is merged; choose another --out"),
        ((one, two), one / "inside", "which is merged; choose another --out"),
        ((one, two), tmp_path / "full", "is not an empty folder"),
        ((one, two), tmp_path / "full" / "mine", "is not an empty folder"),
        (
            (one, unfinished),
            out,
            f"{unfinished} is unfinished, and no part of the same plan as {one} (they differ in cfg)",
        ),
        ((unfinished, one), out, f"{unfinished} is unfinished"),
        ((drawn, again), out, "are not parts of one plan (they differ in shard_items)"),
        ((drawn, one), out, "are not parts of one plan"),
        ((one, tmp_path / "nothing"), out, "is no folder"),
    ]
    for folders, target, expected in cases:
        assert expected in refuse("data", "merge", *folders, "--out", target)
    with Worker(two / ".work"):
        assert f"is at work in {two}; wait for it" in refuse("data", "merge", one, two, "--out", out)
    (two / "manifest.json").write_text("{")
    assert "manifest.json: is not a valid manifest" in refuse("data", "merge", one, two, "--out", out)
    assert not out.exists()
    assert (tmp_path / "full" / "mine").read_text() == "mine"


def test_parts_that_cannot_be_finished_here_are_kept(
    succeed: Text, run: Run, tmp_path: Path, trained: Any
) -> None:
    scorer = shutil.copy(trained.scorer / "scorer.safetensors", tmp_path / "mine.safetensors")
    folders = parts(succeed, tmp_path, "sample", *SAMPLE, "--scorer", scorer)
    scorer.unlink()
    done = run("data", "merge", *folders, "--out", tmp_path / "all")
    assert done.code == 1
    assert f"all shards are in {tmp_path / 'all'}, but the run could not be finished there" in done.stderr
    shutil.copy(trained.scorer / "scorer.safetensors", tmp_path / "mine.safetensors")
    command = done.stderr.rstrip().split("finish it with: ")[1]
    succeed(*shlex.split(command)[1:])
    assert succeed("data", "verify", tmp_path / "all").startswith("4 of 4 shards whole")


def test_a_full_disk_leaves_nothing_behind(
    succeed: Text, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = parts(succeed, tmp_path, "sample", *SAMPLE)
    copies: list[str] = []
    copy = shutil.copyfile

    def full(source: Path, target: Path) -> None:
        copies.append(source.name)
        if len(copies) > 7:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", full)
    done = run("data", "merge", *folders, "--out", tmp_path / "all")
    assert (done.code, done.stdout) == (1, "")
    assert f"cannot copy {folders[1]}" in done.stderr
    assert "(no space left on device)" in done.stderr
    assert not (tmp_path / "all").exists()


def test_merging_under_torchrun_is_refused(
    refuse: Text, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Launch, "from_environment", lambda: Launch(0, 2))
    assert "start it without torchrun" in refuse(
        "data", "merge", tmp_path, tmp_path, "--out", tmp_path / "all"
    )
