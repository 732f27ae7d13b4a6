"""Sets of images: runs, npz files and image folders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tts.errors import CheckpointError
from tts.evaluation.image_source import ImageSource
from tts.evaluation.sources import open_source
from tts.io import read_json, save_png, write_json
from tts.packing import pack

Pictures = Callable[..., NDArray[np.uint8]]
COUNT = 30


@pytest.fixture
def labels() -> NDArray[np.int64]:
    return np.sort(np.arange(COUNT) % 5)


@pytest.fixture(params=["shards", "png", "npz", "packed", "folder", "flat"])
def source(
    request: pytest.FixtureRequest, tmp_path: Path, pictures: Pictures, labels: Any, write_run: Any
) -> ImageSource:
    """The same images in every form."""
    pixels, path = pictures(COUNT), tmp_path / "set"
    if request.param in ("shards", "png", "packed"):
        write_run(path, pixels, labels, png=request.param == "png")
    if request.param == "packed":
        pack(path, tmp_path / "set.npz")
    elif request.param == "npz":
        np.savez(tmp_path / "set.npz", arr_0=pixels, arr_1=labels)
    elif request.param in ("folder", "flat"):
        write_folder(path, pixels, labels if request.param == "folder" else None)
    return open_source(path if request.param not in ("npz", "packed") else tmp_path / "set.npz")


def write_folder(folder: Path, pixels: NDArray[np.uint8], labels: NDArray[Any] | None) -> None:
    for number, image in enumerate(pixels):
        path = folder / ("" if labels is None else f"class-{labels[number]}") / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(path, image)


def all_images(source: ImageSource, size: int = 100) -> torch.Tensor:
    """Images (N, 3, S, S) in the order in which figures take them."""
    stored = torch.cat(list(source.batches(range(source.count), size)))
    return stored if source.order is None else stored[torch.from_numpy(source.order)]


def test_every_form_gives_the_same_images(source: ImageSource, pictures: Pictures, labels: Any) -> None:
    assert (source.count, source.size) == (COUNT, 6)
    expected = pictures(COUNT).transpose(0, 3, 1, 2)
    found, given = all_images(source), source.ordered_labels()
    assert found.dtype == torch.uint8
    numbers = [int(np.flatnonzero((expected == image).all((1, 2, 3)))[0]) for image in found.numpy()]
    assert sorted(numbers) == list(range(COUNT))
    if given is not None:
        np.testing.assert_array_equal(given, labels[numbers])


@pytest.mark.parametrize("size", [1, 7, 12, 1000])
def test_portions_are_consecutive_and_small(source: ImageSource, size: int) -> None:
    whole = torch.cat(list(source.batches(range(source.count), 1000)))
    parts = list(source.batches(range(4, 26), size))
    assert max(map(len, parts)) <= size
    assert torch.equal(torch.cat(parts), whole[4:26])
    assert list(source.batches(range(9, 9), size)) == []


def test_a_run_is_taken_in_the_order_of_its_packed_npz(
    tmp_path: Path, pictures: Pictures, labels: Any, write_run: Any
) -> None:
    run = write_run(tmp_path / "run", pictures(COUNT), labels, png=True)
    pack(run, tmp_path / "packed.npz")
    folder, packed = open_source(run), open_source(tmp_path / "packed.npz")
    assert packed.order is None
    assert torch.equal(all_images(folder), all_images(packed))
    first, second = folder.ordered_labels(), packed.ordered_labels()
    assert first is not None
    assert second is not None
    assert first.tolist() == second.tolist() != sorted(first)


def test_a_source_says_how_its_pixels_were_made(
    tmp_path: Path, pictures: Pictures, labels: Any, write_run: Any
) -> None:
    run = write_run(tmp_path / "run", pictures(COUNT), labels, uint8="round", family="flexvar", speed=12.5)
    pack(run, tmp_path / "packed.npz")
    for path, speed in ((run, 12.5), (tmp_path / "packed.npz", None)):
        source = open_source(path)
        facts = (source.uint8_rule, source.family, source.images_per_second)
        assert facts == ("round", "flexvar", speed)
    np.savez(tmp_path / "foreign.npz", arr_0=pictures(3), record=np.array("no json"))
    assert open_source(tmp_path / "foreign.npz").uint8_rule is None


def test_a_hash_tells_sets_apart(tmp_path: Path, pictures: Pictures, labels: Any, write_run: Any) -> None:
    run = write_run(tmp_path / "run", pictures(COUNT), labels)
    assert open_source(run).sha256() == json.loads((run / "run.json").read_text())["plan"]
    write_folder(tmp_path / "a", pictures(3), None)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert open_source(tmp_path / "a").sha256() == open_source(tmp_path / "b").sha256()
    (tmp_path / "b" / "000.png").rename(tmp_path / "b" / "new.png")
    assert open_source(tmp_path / "a").sha256() != open_source(tmp_path / "b").sha256()


def test_class_folders_count_by_their_number_or_place(tmp_path: Path, pictures: Pictures) -> None:
    for name in ("0003", "0012", "0005"):
        write_folder(tmp_path / "numbers" / name, pictures(2), None)
        write_folder(tmp_path / "names" / f"n{name}", pictures(1), None)
    (tmp_path / "names" / "empty").mkdir()
    numbered, named = open_source(tmp_path / "numbers"), open_source(tmp_path / "names")
    assert numbered.labels is not None
    assert numbered.labels.tolist() == [3, 3, 5, 5, 12, 12]
    assert named.labels is not None
    assert named.labels.tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", ["a.PNG", "b.bmp", "c.webp", "d.jpg"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "1"])
def test_images_of_many_kinds_become_rgb(tmp_path: Path, name: str, mode: str) -> None:
    if name == "d.jpg" and mode in ("P", "RGBA"):
        mode = "CMYK"
    Image.new("RGB", (6, 6), "white").convert(mode).save(tmp_path / name)
    image = all_images(open_source(tmp_path))
    assert image.shape == (1, 3, 6, 6)
    assert int(image.min()) >= 250


def test_a_missing_path_and_empty_folders_are_refused(tmp_path: Path, refused: Any) -> None:
    with refused(f"{tmp_path / 'none'} does not exist"):
        open_source(tmp_path / "none")
    with refused(f"{tmp_path} has no images"):
        open_source(tmp_path)
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "notes.txt").write_text("")
    with refused(f"{tmp_path} has no images"):
        open_source(tmp_path)


def test_images_beside_class_folders_are_refused(tmp_path: Path, pictures: Pictures, refused: Any) -> None:
    write_folder(tmp_path, pictures(2), np.arange(2))
    save_png(tmp_path / "stray.png", pictures(1)[0])
    with refused("has images both in it and in sub-folders"):
        open_source(tmp_path)


def test_images_of_other_sizes_are_named(
    tmp_path: Path, pictures: Pictures, labels: Any, write_run: Any, refused: Any
) -> None:
    write_folder(tmp_path / "flat", pictures(3), None)
    save_png(tmp_path / "flat" / "002.png", pictures(1, 8)[0])
    run = write_run(tmp_path / "run", pictures(COUNT), labels, png=True)
    save_png(run / "images" / "0002" / "000013.png", pictures(1, 8)[0])
    with refused("002.png has 8x8 pixels, the first image 6x6", kind=CheckpointError):
        all_images(open_source(tmp_path / "flat"))
    with refused("000013.png", "does not match its checksum", "--repair", kind=CheckpointError):
        all_images(open_source(run))
    save_png(tmp_path / "flat" / "000.png", pictures(1, 8)[0][:4])
    with refused("000.png has 4x8 pixels, images must be square", kind=CheckpointError):
        open_source(tmp_path / "flat")


def test_unreadable_images_are_named(
    tmp_path: Path, pictures: Pictures, labels: Any, write_run: Any, refused: Any
) -> None:
    run = write_run(tmp_path / "run", pictures(COUNT), labels, png=True)
    source = open_source(run)
    damaged, missing = run / "images" / "0002" / "000013.png", run / "images" / "0004" / "000027.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    with refused(str(damaged), "--repair", kind=CheckpointError):
        all_images(source)
    missing.unlink()
    with refused(str(missing), "--repair", kind=CheckpointError):
        list(source.batches(range(20, 30), 5))
    with refused(f"{missing} is missing", "--repair", kind=CheckpointError):
        open_source(run)
    (tmp_path / "floats").mkdir()
    Image.new("F", (6, 6)).save(tmp_path / "floats" / "a.tif")
    with refused("a.tif is no readable image (its pixels are floats", kind=CheckpointError):
        open_source(tmp_path / "floats")


def test_unfinished_and_foreign_runs_are_refused(
    tmp_path: Path, pictures: Pictures, labels: Any, write_run: Any, refused: Any
) -> None:
    run = write_run(tmp_path / "run", pictures(COUNT), labels)
    record = read_json(run / "run.json")
    (run / "run.json").unlink()
    with refused(f"{run} is unfinished"):
        open_source(run)
    for text, fault in (("{}", "missing required field `timing`"), ("{", "input data was truncated")):
        (run / "run.json").write_text(text)
        with refused(f"{run / 'run.json'} is not a valid record", fault, "--repair", kind=CheckpointError):
            open_source(run)
    write_json(run / "run.json", {**record, "plan": "of another run"})
    with refused(f"{run} is unfinished"):
        open_source(run)
    (run / "run.json").write_text(json.dumps({**record, "record_sha256": "0" * 64}))
    with refused("run.json does not match its checksum", kind=CheckpointError):
        open_source(run)
    write_json(run / "run.json", {**record, "timing": {}})
    with refused("run.json is not a valid record of 'tts sample'", kind=CheckpointError):
        open_source(run)
    (run / "plan.json").unlink()
    with refused("holds no plan.json, no run of 'tts sample'"):
        open_source(run)


def test_damaged_shards_are_found_at_once(
    tmp_path: Path, pictures: Pictures, labels: Any, write_run: Any, refused: Any
) -> None:
    run = write_run(tmp_path / "run", pictures(COUNT), labels)
    shard = run / "shards" / "shard-00002.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
    with refused("shard-00002.safetensors does not match its checksum", "--repair", kind=CheckpointError):
        open_source(run)
    shard.write_bytes(whole[:-5])
    with refused("shard-00002.safetensors", "--repair", kind=CheckpointError):
        open_source(run)
    shard.unlink()
    with refused("shard-00002.safetensors", "--repair", kind=CheckpointError):
        open_source(run)
