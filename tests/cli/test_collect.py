"""``tts collect``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

Run = Callable[..., Any]
Text = Callable[..., str]
Files = Callable[[Path], dict[str, bytes]]
COLUMNS = {"4": [1, 4, 9, 16], "3": [1, 4, 16]}
"""Tokens of each scale of the digits' schedules of four and three scales."""


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def shard(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "shard-00000.safetensors")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Ten class folders with two pictures each."""
    root = tmp_path / "images"
    for label in range(10):
        folder = root / f"class-{label}"
        folder.mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (30, 20), (25 * label, 100 * i, 0)).save(folder / f"{i}.png")
    return root


def test_generated_images(succeed: Text, files: Files, tmp_path: Path) -> None:
    line = succeed("collect", "--backbone", "var-digits", "--per-class", 3, "--out", tmp_path)
    assert line == f"30 images collected in {tmp_path}\n"
    assert files(tmp_path).keys() == {"manifest.json", "plan.json", "shard-00000.safetensors"}
    made = manifest(tmp_path)
    assert (made["kind"], made["items"], made["per_class"]) == ("generated", 30, [3] * 10)
    assert made["identity"]["name"] == "var-digits"
    settings = made["settings"]
    assert (settings["cfg"], settings["top_k"], settings["top_p"]) == (0.0, 0, 0.0)  # the preset's
    assert settings["per_class"] == 3
    data = shard(tmp_path)
    assert data["tokens"].shape == (30, 30)
    assert data["labels"].tolist() == sorted([*range(10)] * 3)
    assert len(data["seeds"].unique()) == 30


def test_more_images_begin_with_the_same_ones(succeed: Text, tmp_path: Path) -> None:
    succeed("collect", "--per-class", 2, "--out", tmp_path / "few")
    succeed("collect", "--per-class", 5, "--batch-size", 7, "--out", tmp_path / "many")
    few, many = shard(tmp_path / "few"), shard(tmp_path / "many")
    rows = [5 * label + i for label in range(10) for i in range(2)]
    assert torch.equal(many["seeds"][rows], few["seeds"])
    assert torch.equal(many["tokens"][rows], few["tokens"])


@pytest.mark.parametrize(("schedule", "sides"), [("3", [1, 2, 4]), ("1,3,4", [1, 3, 4])])
def test_a_free_schedule_is_recorded(succeed: Text, tmp_path: Path, schedule: str, sides: list[int]) -> None:
    options = ("--backbone", "flexvar-digits", "--schedule", schedule, "--per-class", 2)
    for name, real in {"generated": (), "real": ("--real", "digits")}.items():
        succeed("collect", *options, *real, "--out", tmp_path / name)
        made = manifest(tmp_path / name)
        assert made["identity"]["schedule"] == sides
        assert shard(tmp_path / name)["tokens"].shape == (20, sum(side * side for side in sides))


def test_real_maps_of_a_side_are_the_same_at_every_schedule(succeed: Text, tmp_path: Path) -> None:
    options = ("--backbone", "flexvar-digits", "--real", "digits", "--per-class", 2)
    succeed("collect", *options, "--out", tmp_path / "4")
    succeed("collect", *options, "--schedule", "1,2,4", "--out", tmp_path / "3")
    whole, part = (shard(tmp_path / name)["tokens"].split(n, dim=1) for name, n in COLUMNS.items())
    assert torch.equal(torch.cat((whole[0], whole[1], whole[3]), dim=1), torch.cat(part, dim=1))


def test_data_of_another_schedule_or_guidance_are_refused_by_name(
    succeed: Text, refuse: Text, tmp_path: Path
) -> None:
    options = ("collect", "--backbone", "flexvar-digits", "--per-class", 2, "--out", tmp_path)
    succeed(*options)
    succeed(*options, "--schedule", "1,2,3,4", "--guidance", "flexvar")  # the defaults, spelt out
    assert "(schedule)" in refuse(*options, "--schedule", "1,2,4")
    assert "(guidance)" in refuse(*options, "--guidance", "llamagen")
    assert "(sample_all_scales)" in refuse(*options, "--sample-all-scales")


def test_images_for_training_are_no_samples(succeed: Text, tmp_path: Path) -> None:
    succeed("collect", "--per-class", 2, "--out", tmp_path / "data")
    options = ("--labels", "0-9", "--per-class", 2, "--candidates", 1, "--cfg", 0, "--save-tokens")
    succeed("sample", *options, "--out", tmp_path / "run")
    sampled, collected = load_file(tmp_path / "run" / "tokens.safetensors"), shard(tmp_path / "data")
    assert torch.equal(sampled["seeds"], collected["seeds"])
    assert not (sampled["tokens"] == collected["tokens"]).all(dim=1).any()


def test_guidance_can_be_given(succeed: Text, tmp_path: Path) -> None:
    options = ("--per-class", 1, "--cfg", 1.5, "--top-k", 50, "--top-p", 0.9)
    succeed("collect", *options, "--out", tmp_path)
    settings = manifest(tmp_path)["settings"]
    assert (settings["cfg"], settings["top_k"], settings["top_p"]) == (1.5, 50, 0.9)


def test_real_digits(succeed: Text, tmp_path: Path) -> None:
    line = succeed("collect", "--real", "digits", "--per-class", 3, "--out", tmp_path)
    assert line == f"30 images collected in {tmp_path}\n"
    made = manifest(tmp_path)
    assert (made["kind"], made["per_class"], made["settings"]["real"]) == ("real", [3] * 10, "digits")
    assert "cfg" not in made["settings"]


def test_an_image_folder(succeed: Text, images: Path, tmp_path: Path) -> None:
    line = succeed("collect", "--real", images, "--crop", "random", "--out", tmp_path / "out")
    assert line.startswith("20 images collected")
    assert manifest(tmp_path / "out")["per_class"] == [2] * 10
    assert manifest(tmp_path / "out")["settings"]["crop"] == "random"


def test_the_labels_of_a_folder_are_said_and_recorded(succeed: Text, images: Path, tmp_path: Path) -> None:
    said = "labels 0 to 9 are the places of the class folders' names sorted as text, 'class-0' to 'class-9'"
    assert succeed("collect", "--real", images, "--out", tmp_path / "named").splitlines()[1] == said
    for folder in sorted(images.iterdir()):
        folder.rename(images / folder.name.removeprefix("class-"))
    (images / "7").rename(images / "007")
    said = "labels are the numbers that the class folders are named by, 0 to 9"
    assert succeed("collect", "--real", images, "--out", tmp_path / "numbered").splitlines()[1] == said
    record = manifest(tmp_path / "numbered")["settings"]["folder"]
    assert record == {"labels": said, "left_out": {"count": 0, "first": []}}
    named, numbered = shard(tmp_path / "named"), shard(tmp_path / "numbered")
    assert torch.equal(named["labels"], numbered["labels"])
    assert torch.equal(named["tokens"], numbered["tokens"])


def test_numbered_folders_are_no_text(succeed: Text, refuse: Text, images: Path, tmp_path: Path) -> None:
    """As text, 10 comes before 2."""
    for i, folder in enumerate(sorted(images.iterdir())):
        folder.rename(images / str(i + 1))
    line = refuse("collect", "--real", images, "--out", tmp_path / "out")
    assert "class folder 10 is no class of the backbone, whose labels are 0 to 9" in line
    (images / "10").rename(images / "0")
    succeed("collect", "--real", images, "--per-class", 1, "--out", tmp_path / "out")
    assert shard(tmp_path / "out")["labels"].tolist() == [*range(10)]


def test_what_is_no_image_is_counted_and_named(run: Run, images: Path, tmp_path: Path) -> None:
    for name in ("notes.txt", "a.avif", "b.heic", "c.jp2"):
        (images / "class-3" / name).touch()
    Image.new("RGB", (20, 20)).save(images / "class-3" / "2.gif")
    Image.new("RGB", (20, 20)).save(images / "class-3" / "3.tiff")
    done = run("collect", "--real", images, "--out", tmp_path / "out")
    assert (done.code, done.stdout.splitlines()[0]) == (0, f"22 images collected in {tmp_path / 'out'}")
    (line,) = done.stderr.splitlines()
    named = "(class-3/a.avif, class-3/b.heic, class-3/c.jp2, …)"
    assert line.startswith(f"warning: 4 files or folders are left out {named}: they are hidden, not where")
    record = manifest(tmp_path / "out")["settings"]["folder"]["left_out"]
    assert record["count"] == 4


def test_turned_images_are_told_and_turned_if_asked(run: Run, images: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    ramp = Image.linear_gradient("L").resize((18, 18)).convert("RGB")
    ramp.save(images / "class-0" / "0.png", exif=exif)
    ramp.save(images / "class-0" / "1.png")
    maps = []
    for name, options in {"left": (), "turned": ("--apply-orientation",)}.items():
        done = run("collect", "--real", images, *options, "--out", tmp_path / name)
        assert done.code == 0
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"warning: 1 of 20 images {'were turned' if options else 'are stored turned'}")
        assert line.endswith("(class-0/0.png)")
        remarks = manifest(tmp_path / name)["settings"]["remarks"]
        kind = "turned" if options else "orientation"
        assert remarks == {kind: {"count": 1, "first": ["class-0/0.png"]}}
        maps.append(shard(tmp_path / name)["tokens"])
    assert torch.equal(maps[0][0], maps[0][1])
    assert not torch.equal(maps[1][0], maps[1][1])


def test_folders_that_contradict_the_model_s_classes_are_told(run: Run, images: Path, tmp_path: Path) -> None:
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    for folder, name in zip(sorted(images.iterdir()), names, strict=True):
        folder.rename(images / name)
    done = run("collect", "--real", images, "--out", tmp_path / "out")
    assert done.code == 0
    (line,) = done.stderr.splitlines()
    assert "class folder 'eight' is taken for class 0, which the model's training data call '0'" in line


def test_an_image_that_cannot_be_read_is_named_and_skipped(run: Run, images: Path, tmp_path: Path) -> None:
    (images / "class-4" / "1.png").write_bytes(b"no picture")
    done = run("collect", "--real", images, "--out", tmp_path / "out")
    assert done.code == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: ")
    assert "class-4/1.png" in line
    assert manifest(tmp_path / "out")["per_class"] == [2, 2, 2, 2, 1, 2, 2, 2, 2, 2]


def test_many_images_that_cannot_be_read_end_the_run(run: Run, images: Path, tmp_path: Path) -> None:
    for label in (4, 5):
        (images / f"class-{label}" / "1.png").write_bytes(b"no picture")
    done = run("collect", "--real", images, "--out", tmp_path / "out")
    assert done.code == 1
    assert done.stderr.splitlines()[-1].startswith("error: 2 of 20 images cannot be read")
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_finished_data_set_is_left_alone(succeed: Text, files: Files, tmp_path: Path) -> None:
    succeed("collect", "--per-class", 2, "--out", tmp_path)
    before = files(tmp_path)
    line = succeed("collect", "--per-class", 2, "--batch-size", 3, "--out", tmp_path)
    assert line == f"20 images already collected in {tmp_path}\n"
    assert files(tmp_path) == before


def test_a_data_set_can_be_extended(succeed: Text, refuse: Text, files: Files, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "few")
    succeed("collect", "--per-class", 2, *out)
    before = files(tmp_path / "few")
    line = refuse("collect", "--per-class", 5, *out)
    assert line.endswith("(per_class); choose another --out or pass --overwrite, or --extend to add items")
    assert files(tmp_path / "few") == before
    line = succeed("collect", "--per-class", 5, "--extend", *out)
    assert line == f"50 images collected in {tmp_path / 'few'}\n"
    made = manifest(tmp_path / "few")
    assert (made["items"], made["per_class"]) == (50, [5] * 10)
    assert [part["items"] for part in made["shards"]] == [20, 30]
    name = "shard-00000.safetensors"
    assert (tmp_path / "few" / name).read_bytes() == before[name]
    assert succeed("collect", "--per-class", 5, *out).startswith("50 images already collected in ")
    line = refuse("collect", "--per-class", 6, "--cfg", 1, "--extend", *out)
    assert line.endswith("(cfg, per_class); choose another --out or pass --overwrite")


def test_shares_of_a_job_array(succeed: Text, files: Files, tmp_path: Path) -> None:
    options = ("--per-class", 3, "--shard-items", 8)
    shared = ("collect", *options, "--out", tmp_path / "shared")
    line = succeed(*shared, "--shard", "1/2")
    rest = "the rest is left to other processes"
    assert line == f"2 of 4 shards collected, {rest}, in {tmp_path / 'shared'}\n"
    assert not (tmp_path / "shared" / "manifest.json").exists()
    assert succeed(*shared, "--shard", "2/2") == f"30 images collected in {tmp_path / 'shared'}\n"
    succeed("collect", *options, "--out", tmp_path / "alone")
    shared_files, alone = files(tmp_path / "shared"), files(tmp_path / "alone")
    assert shared_files.keys() == alone.keys()
    assert [name for name in alone if name != "manifest.json" and shared_files[name] != alone[name]] == []


def test_a_log_in_json(run: Run, images: Path, tmp_path: Path) -> None:
    (images / "class-4" / "1.png").write_bytes(b"no picture")
    done = run("collect", "--real", images, "--log-json", "--out", tmp_path / "out")
    assert (done.code, done.stdout.splitlines()[0]) == (0, f"19 images collected in {tmp_path / 'out'}")
    begun, warning, progress = (json.loads(line) for line in done.stderr.splitlines())
    assert warning.keys() == {"event", "time", "message"}
    assert warning["event"] == "warning"
    assert "class-4/1.png" in warning["message"]
    assert (begun["event"], begun["items_done"], begun["items"]) == ("progress", 0, 20)
    assert (progress["event"], progress["what"]) == ("progress", "collecting real")
    assert (progress["items_done"], progress["items"]) == (20, 20)
    assert (progress["shards_done"], progress["shards"], progress["processes"]) == (1, 1, 1)
    assert progress["time"] >= warning["time"] > 1.6e9


def test_many_images_may_be_unreadable_if_allowed(run: Run, images: Path, tmp_path: Path) -> None:
    for label in (4, 5):
        (images / f"class-{label}" / "1.png").write_bytes(b"no picture")
    options = ("--max-unreadable", 0.1, "--workers", 0)
    done = run("collect", "--real", images, *options, "--out", tmp_path / "out")
    assert (done.code, len(done.stderr.splitlines())) == (0, 2)
    assert manifest(tmp_path / "out")["settings"]["skipped"] == 2


def test_another_data_set_is_refused_unless_overwritten(
    succeed: Text, refuse: Text, files: Files, tmp_path: Path
) -> None:
    succeed("collect", "--per-class", 2, "--out", tmp_path)
    before = files(tmp_path)
    line = refuse("collect", "--per-class", 3, "--cfg", 1, "--out", tmp_path)
    assert "(cfg, per_class)" in line
    assert "--overwrite" in line
    assert files(tmp_path) == before
    succeed("collect", "--per-class", 3, "--cfg", 1, "--overwrite", "--out", tmp_path)
    assert manifest(tmp_path)["items"] == 30
    assert len(list(tmp_path.glob("shard-*"))) == 1
    assert not (tmp_path / ".unfinished").exists()


BAD = {
    "backbone": ("--backbone var-digts", "did you mean 'var-digits'"),
    "per-class": ("--per-class 0", "per-class 0 must be at least 1"),
    "batch-size": ("--batch-size -1", "batch-size -1 must be at least 1"),
    "real": ("--real {root}/nothing", "does not exist"),
    "real-empty": ("--real {root}/empty", "has 0 class folders"),
    "real-other": ("--real {root}/classes", "has 1 class folders, the backbone has 10 classes"),
    "orientation": ("--apply-orientation", "--apply-orientation is for image folders; pass --real FOLDER"),
    "crop": ("--real digits --crop middle", "unknown crop 'middle'"),
    "cfg": ("--cfg -1", "cfg -1.0"),
    "cfg-nan": ("--cfg nan", "cfg nan"),
    "top-k": ("--top-k -1", "top-k -1"),
    "top-p": ("--top-p 1.5", "top-p 1.5"),
    "dtype": ("--dtype double", "unknown dtype 'double'; use float32, bfloat16, float16"),
    "device": ("--device cuda:9", "not available"),
    "weights": ("--backbone var-d16 --weights {malicious}", "mkdir, refused unread"),
    "weights-embedded": ("--weights {malicious}", "--weights does not go with var-digits"),
    "shard-items": ("--shard-items 0", "shard-items 0 must be at least 1; the default is 512"),
    "shard-items-text": ("--shard-items many", "invalid value for '--shard-items'"),
    "workers": ("--workers -1", "workers -1 must be at least 0; 0 decodes in the process itself"),
    "max-unreadable": ("--max-unreadable 2", "max-unreadable 2.0 must be a share from 0 to 1"),
    "extend": ("--extend", "--overwrite starts afresh and --extend adds items; pass one of them"),
    "shard-overwrite": ("--shard 1/2", "--overwrite does not go with --shard"),
}
SHARES = ("3/2", "0/2", "x", "1/0", "-1/2", "1")


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_existing_data_stay(
    succeed: Text, refuse: Text, files: Files, malicious: Any, tmp_path: Path, name: str
) -> None:
    for folder in ("empty", "classes/one"):
        (tmp_path / folder).mkdir(parents=True)
    text, expected = BAD[name]
    options = text.format(root=tmp_path, malicious=malicious.file).split()
    out = tmp_path / "out"
    succeed("collect", "--per-class", 1, "--out", out)
    before = files(out)
    assert expected in refuse("collect", "--per-class", 1, *options, "--overwrite", "--out", out)
    assert files(out) == before
    assert not malicious.marker.exists()


@pytest.mark.parametrize("share", SHARES)
def test_a_share_that_is_none_is_refused(
    succeed: Text, refuse: Text, files: Files, tmp_path: Path, share: str
) -> None:
    succeed("collect", "--per-class", 1, "--out", tmp_path)
    before = files(tmp_path)
    line = refuse("collect", "--per-class", 1, "--shard", share, "--out", tmp_path)
    assert f"shard {share!r} must be i/n with i from 1 to n; for example 2/8" in line
    assert files(tmp_path) == before


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_folder_that_cannot_be_written_is_refused(refuse: Text, tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("mine")
    line = refuse("collect", "--per-class", 1, "--out", f"{tmp_path}/file{below}")
    assert "cannot write to folder" in line
    assert (tmp_path / "file").read_text() == "mine"
