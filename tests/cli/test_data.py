"""``tts data info`` and ``tts data verify``."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tts.data.store import TokenStore
from tts.data.writing import StoreWriter
from tts.engine.launch import Launch
from tts.engine.worker import Worker
from tts.io import read_json, write_json

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


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def broken(run: Run, folder: Path, *more: object) -> list[str]:
    """Lines of stdout of a verification that must find something."""
    done = run("data", "verify", folder, *more)
    assert done.code == 1, done
    (line,) = done.stderr.splitlines()
    assert f"in {folder}; mend it with 'tts data verify {folder} --repair'" in line
    lines: list[str] = done.stdout.splitlines()
    return lines


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


# info


def test_info_of_a_finished_run(succeed: Text, files: Files, tmp_path: Path) -> None:
    out = sampled(succeed, tmp_path / "run")
    before = files(out)
    text = succeed("data", "info", out)
    lines = {line[:12].strip(): line[12:] for line in text.splitlines()}
    assert lines["kind"] == "run of tts sample"
    assert lines["backbone"].startswith("var-digits, schedule 1-2-3-4, weights ")
    assert "candidates 1,2,2,2" in lines["settings"]
    assert "cfg 1.5, top-k 0, top-p 0.0" in lines["settings"]
    assert lines["asked for"] == "labels 0-2, seeds 0-4"
    assert (lines["images"], lines["shards"]) == ("15 of 15", "4 of 4")
    assert lines["classes"] == "3, 5 images each"
    assert lines["state"] == "finished"
    assert "go on" not in lines
    made = json.loads(succeed("data", "info", out, "--json"))
    assert (made["kind"], made["finished"], made["go_on"], made["at_work"]) == ("sample", True, None, None)
    assert made["bytes"] == sum(map(len, before.values()))
    assert files(out) == before


def test_info_of_an_unfinished_run_gives_the_command_that_finishes_it(
    succeed: Text, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = sampled(succeed, tmp_path / "my run", "--shard", "1/2", "--format", "npz", "--trace")
    made = json.loads(succeed("data", "info", out, "--json"))
    assert (made["images"], made["images_planned"]) == (8, 15)
    assert (made["shards"], made["shards_planned"], made["finished"]) == (2, 4, False)
    assert made["balance"] == {
        **{"classes": 3, "lowest": 2, "lowest_class": 1},
        **{"highest": 4, "highest_class": 0},
    }
    words = shlex.split(made["go_on"])
    assert words[:2] == ["tts", "sample"]
    succeed(*words[1:])
    assert json.loads(succeed("data", "info", out, "--json"))["finished"]


@pytest.mark.parametrize("real", [(), ("--real", "digits")])
def test_the_command_of_an_extended_data_set_finishes_it(
    succeed: Text, tmp_path: Path, real: tuple[str, ...]
) -> None:
    out = collected(succeed, tmp_path / "data", *real)
    succeed("collect", "--per-class", 5, "--extend", "--shard", "1/9", *real, "--out", out)
    made = json.loads(succeed("data", "info", out, "--json"))
    assert (made["finished"], made["images_planned"]) == (False, 50)
    assert made["choices"] == [{"per_class": 3}, {"per_class": 5}]
    words = shlex.split(made["go_on"])
    assert "--extend" in words
    succeed(*words[1:])
    assert json.loads(succeed("data", "info", out, "--json"))["finished"]
    assert TokenStore.open(out).manifest.per_class == (5,) * 10


def test_a_free_schedule_is_in_the_command(succeed: Text, tmp_path: Path) -> None:
    options = ("--backbone", "flexvar-digits", "--guidance", "llamagen", "--schedule", "1,2,4")
    out = collected(succeed, tmp_path / "data", *options, "--shard", "1/2")
    made = json.loads(succeed("data", "info", out, "--json"))
    assert "--schedule 1,2,4" in made["go_on"]
    assert "--guidance llamagen" in made["go_on"]
    succeed(*shlex.split(made["go_on"])[1:])


def test_info_counts_skipped_images_and_classes_without_any(run: Run, images: Path, tmp_path: Path) -> None:
    for i in range(3):
        (images / "class-4" / f"{i}.png").write_bytes(b"no picture")
    options = ("--max-unreadable", 0.2, "--out", tmp_path / "data")
    assert run("collect", "--real", images, *options).code == 0
    made = json.loads(run("data", "info", tmp_path / "data", "--json").stdout)
    assert (made["skipped"], made["images"], made["images_planned"]) == (3, 27, 30)
    assert made["skipped_names"] == [f"class-4/{i}.png" for i in range(3)]
    assert (made["balance"]["classes"], made["balance"]["lowest_class"]) == (10, 4)
    text = run("data", "info", tmp_path / "data").stdout
    assert "skipped     3 unreadable images\n" in text
    assert "classes     10, 0 (class 4) to 3 images (class 0)\n" in text


def test_info_tells_how_images_were_taken_and_what_was_left_out(
    run: Run, images: Path, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(images / "class-4" / "0.png", exif=exif)
    (images / "class-5" / "notes.txt").write_text("mine")
    assert run("collect", "--real", images, "--out", tmp_path / "data").code == 0
    text = run("data", "info", tmp_path / "data").stdout
    assert "remark      1 of 30 images are stored turned, with an EXIF orientation" in text
    assert "(class-4/0.png)\n" in text
    assert "remark      1 files or folders are left out (class-5/notes.txt)" in text
    assert len(json.loads(run("data", "info", tmp_path / "data", "--json").stdout)["remarks"]) == 2


def test_info_and_verify_of_a_data_set_of_an_earlier_version(
    succeed: Text, run: Run, refuse: Text, tmp_path: Path
) -> None:
    new = collected(succeed, tmp_path / "new")
    store = TokenStore.open(new)
    with StoreWriter(tmp_path / "old", "generated", store.identity, {"cfg": 0.0}, shard_items=11) as writer:
        writer.append(store.tokens, store.labels, store.seeds)
    old = tmp_path / "old"
    made = json.loads(succeed("data", "info", old, "--json"))
    assert (made["images"], made["shards"], made["finished"], made["plan"]) == (30, 3, True, None)
    assert succeed("data", "verify", old) == f"3 of 3 shards whole, 30 images, 0 faults in {old}\n"
    flip(shard(old, 1))
    shard(old, 2).unlink()
    lines = broken(run, old)
    assert lines[0].startswith("shard-00001.safetensors: does not match its checksum")
    assert lines[1] == "shard-00002.safetensors: missing"
    done = run("data", "verify", old, "--repair")
    assert done.code == 2
    assert "has no plan.json to make its shards again from" in done.stderr


def test_who_is_at_work_is_named_and_repair_refused(
    succeed: Text, run: Run, files: Files, tmp_path: Path
) -> None:
    out = collected(succeed, tmp_path / "data")
    truncate(shard(out, 1))
    with Worker(out / ".work"):
        before = {name for name in files(out) if ".work" not in name}
        text = succeed("data", "info", out)
        assert "at work     process " in text
        done = run("data", "verify", out)
        assert f"is at work in {out}" in done.stderr.splitlines()[0]
        done = run("data", "verify", out, "--repair")
        assert (done.code, done.stderr.splitlines()[-1].startswith("error: process ")) == (2, True)
        assert {name for name in files(out) if ".work" not in name} == before


@pytest.mark.parametrize("command", ["info", "verify"])
def test_what_is_no_run_is_refused(succeed: Text, refuse: Text, tmp_path: Path, command: str) -> None:
    assert "is no folder" in refuse("data", command, tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    assert "holds no plan.json and no manifest.json" in refuse("data", command, tmp_path / "empty")
    (tmp_path / "empty" / "run.json").write_text("{}")
    assert "run.json of an earlier version" in refuse("data", command, tmp_path / "empty")
    (tmp_path / "empty" / "plan.json").write_text("{")
    assert "plan.json: is not a valid plan" in refuse("data", command, tmp_path / "empty")


# verify and repair

DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (lambda out: truncate(shard(out, 1)), "shard-00001.safetensors: truncated, "),
    "flipped": (lambda out: flip(shard(out, 1)), "shard-00001.safetensors: does not match its checksum "),
    "deleted": (lambda out: shard(out, 1).unlink(), "shard-00001.safetensors: missing"),
    "emptied": (
        lambda out: shard(out, 1).write_bytes(b"") and None,
        "shard-00001.safetensors: is not a complete safetensors file",
    ),
    "exchanged": (
        lambda out: shutil.copy(shard(out, 0), shard(out, 1)) and None,
        "shard-00001.safetensors: belongs to another plan",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", ["sample", "generated", "digits"])
def test_a_broken_shard_is_named_and_made_again(
    succeed: Text, run: Run, files: Files, tmp_path: Path, kind: str, damage: str
) -> None:
    out = tmp_path / "out"
    if kind == "sample":
        sampled(succeed, out, *EVERYTHING)
    else:
        collected(succeed, out, *(("--real", "digits") if kind == "digits" else ()))
    before = files(out)
    do, expected = DAMAGE[damage]
    do(out)
    after = files(out)
    first, *_, last = broken(run, out)
    assert first.startswith(expected)
    assert last.startswith("3 of 4 shards whole, ")
    assert files(out) == after  # verifying alone changes nothing
    done = run("data", "verify", out, "--repair")
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("4 of 4 shards whole, ")
    again = files(out)
    if (
        kind == "sample"
    ):  # its record has no checksums, so that it is only kept where the shard's header has one
        kept = again.pop("run.json") == before.pop("run.json")
        assert kept == (damage in ("truncated", "flipped"))
    assert again == before


def test_only_missing_files_of_a_run_are_made_from_its_shards(
    succeed: Text, run: Run, files: Files, tmp_path: Path
) -> None:
    out = sampled(succeed, tmp_path / "run", *EVERYTHING)
    before = files(out)
    (out / "samples.npz").unlink()
    truncate(out / "tokens.safetensors")
    flip(out / "trace.safetensors")
    (out / "grid.png").write_bytes(b"no picture")
    lines = broken(run, out)
    assert [line.partition(":")[0] for line in lines[:-1]] == [
        *("tokens.safetensors", "trace.safetensors", "samples.npz", "grid.png")
    ]
    assert run("data", "verify", out, "--repair").code == 0
    assert files(out) == before
    content = bytearray((out / "samples.npz").read_bytes())
    content[600] ^= 1
    (out / "samples.npz").write_bytes(content)
    assert broken(run, out)[0] == "samples.npz: arr_0.npy does not match its checksum"
    assert run("data", "verify", out, "--repair").code == 0
    assert files(out) == before


@pytest.mark.parametrize("pixels", [True, False])
def test_png_files_are_named_and_made_again(
    succeed: Text, run: Run, files: Files, tmp_path: Path, pixels: bool
) -> None:
    out = sampled(succeed, tmp_path / "run", *(("--format", "png,npz") if pixels else ()))
    before = files(out)
    names = [f"images/{label:04d}/{seed:06d}.png" for label in range(3) for seed in range(5)]
    (out / names[1]).unlink()
    flip(out / names[2])
    (out / names[9]).write_bytes((out / names[10]).read_bytes())
    lines = broken(run, out)
    assert lines[0] == f"{names[1]}: missing"
    assert lines[1] == f"{names[2]}: is not the image that was made"
    assert lines[2] == f"{names[9]}: is not the image that was made"
    assert lines[3] == f"4 of 4 shards whole, 15 images, 3 faults in {out}"
    found = json.loads(run("data", "verify", out, "--json").stdout)["faults"]
    assert [fault["shard"] for fault in found] == [0, 0, 2]
    done = run("data", "verify", out, "--repair", "--json")
    answer = json.loads(done.stdout)
    assert (done.code, len(answer["found"]), answer["faults"]) == (0, 3, [])
    assert files(out) == before


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"plan": 3}', b"\xff", b""])
def test_a_damaged_record_is_written_again(
    succeed: Text, run: Run, files: Files, tmp_path: Path, content: bytes
) -> None:
    for out, name in (
        (sampled(succeed, tmp_path / "run"), "run.json"),
        (collected(succeed, tmp_path / "data"), "manifest.json"),
    ):
        before = files(out)
        (out / name).write_bytes(content)
        shard(out, 2).unlink()
        assert f"{name}: " in succeed_or_not(run, "data", "info", out)
        lines = broken(run, out)
        assert lines[0].startswith(f"{name}: ")
        assert lines[1] == "shard-00002.safetensors: missing"
        assert run("data", "verify", out, "--repair").code == 0
        after = files(out)
        assert json.loads(after.pop(name))["plan"] == json.loads(before.pop(name))["plan"]
        assert after == before


def succeed_or_not(run: Run, *args: object) -> str:
    done = run(*args)
    assert done.code == 0, done
    return str(done.stdout)


def test_a_manifest_that_names_another_checksum_is_written_again(
    succeed: Text, run: Run, files: Files, tmp_path: Path
) -> None:
    out = collected(succeed, tmp_path / "data")
    before = files(out)
    path = out / "manifest.json"
    record = read_json(path)
    record["shards"][1]["sha256"] = "0" * 64
    write_json(path, record)
    assert (
        broken(run, out)[0]
        == "manifest.json: names another checksum for shard-00001.safetensors, which is whole"
    )
    assert run("data", "verify", out, "--repair").code == 0
    assert (
        json.loads(files(out).pop("manifest.json"))["shards"] == json.loads(before["manifest.json"])["shards"]
    )


def test_several_segments_are_repaired(succeed: Text, run: Run, files: Files, tmp_path: Path) -> None:
    options = ("sample", "--candidates", 2, "--shard-items", 4, *EVERYTHING, "--out", tmp_path / "run")
    succeed(*options, "--labels", "0-1", "--seeds", "0-4")
    succeed(*options, "--labels", "1-2", "--seeds", "3-6", "--extend")  # some of them are there already
    succeed(*options, "--labels", "7", "--seeds", "0", "--extend")
    collected(succeed, tmp_path / "data")
    succeed("collect", "--per-class", 5, "--extend", "--out", tmp_path / "data")
    for out in (tmp_path / "run", tmp_path / "data"):
        before = files(out)
        for number in (0, 3):
            flip(shard(out, number))
        assert len(broken(run, out)) == 3
        done = run("data", "verify", out, "--repair")
        assert (done.code, done.stderr) == (0, "")
        assert files(out) == before


def test_missing_shards_of_an_unfinished_run_are_no_fault_and_are_not_made(
    succeed: Text, run: Run, files: Files, tmp_path: Path
) -> None:
    for out in (
        sampled(succeed, tmp_path / "run", "--shard", "1/2"),
        collected(succeed, tmp_path / "data", "--shard", "1/2"),
    ):
        before = files(out)
        last = succeed("data", "verify", out)
        assert last.startswith("2 of 4 shards whole, ")
        assert (
            f" 0 faults, unfinished, 2 shards still to be made in {out}; 'tts data info {out}' has " in last
        )
        flip(shard(out, 0))
        truncate(shard(out, 2))
        assert len(broken(run, out)) == 3
        done = run("data", "verify", out, "--repair")
        assert (done.code, done.stdout.splitlines()[-1]) == (0, last.rstrip())
        assert {k: v for k, v in files(out).items() if ".work" not in k} == {
            k: v for k, v in before.items() if ".work" not in k
        }


def test_images_of_a_folder_are_encoded_again_and_another_checksum_is_told(
    succeed: Text, run: Run, files: Files, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "data"
    succeed("collect", "--real", images, "--shard-items", 8, "--out", out)
    before = files(out)
    flip(shard(out, 0))
    (out / "images.txt").write_bytes(b"nothing")
    lines = broken(run, out)
    assert lines[1].startswith("images.txt: is not a valid list of images")
    assert run("data", "verify", out, "--repair").code == 0
    assert files(out) == before
    flip(shard(out, 0))
    Image.new("RGB", (30, 20), (200, 1, 99)).save(
        images / "class-0" / "0.png"
    )  # what was encoded has changed
    done = run("data", "verify", out, "--repair")
    assert done.code == 0
    assert done.stderr.startswith("note: shard-00000.safetensors came out with another checksum")
    TokenStore.open(out).verify()


def test_nothing_is_removed_where_it_cannot_be_made_again(
    succeed: Text, run: Run, files: Files, tmp_path: Path, trained: Any
) -> None:
    scorer = shutil.copy(trained.scorer / "scorer.safetensors", tmp_path / "mine.safetensors")
    out = sampled(succeed, tmp_path / "run", "--scorer", scorer)
    flip(shard(out, 0))
    before = files(out)
    scorer.unlink()
    done = run("data", "verify", out, "--repair")
    assert done.code == 2
    assert "mine.safetensors" in done.stderr
    assert files(out) == before


def test_repair_is_refused_under_torchrun_and_beside_a_replacement(
    succeed: Text, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = collected(succeed, tmp_path / "data")
    flip(shard(out, 0))
    cut = collected(succeed, tmp_path / "cut", "--shard", "1/2")
    shutil.copytree(cut, out / ".unfinished")
    assert f"replacement 16 of 30 images in {out / '.unfinished'}\n" in succeed("data", "info", out)
    assert "which is to replace this run, was not verified" in run("data", "verify", out).stderr
    assert "finish or remove it before --repair" in run("data", "verify", out, "--repair").stderr
    monkeypatch.setattr(Launch, "from_environment", lambda: Launch(0, 2))
    assert "start it without torchrun" in run("data", "verify", out, "--repair").stderr
