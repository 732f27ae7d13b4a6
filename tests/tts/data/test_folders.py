"""Listing image folders, and images as tensors."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tts.data.decode import decode
from tts.data.folders import left_out_line, list_images, load_image
from tts.images import EXTENSIONS, ImageError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_listing_is_sorted_by_class_and_name(tmp_path: Path) -> None:
    touch(tmp_path, "n02/b.JPEG", "n02/a.png", "n10/c.webp", "n10/.hidden.png", "n10/B.bmp", "n10/a b.jpg")
    touch(tmp_path, "n02/notes.txt", "n02/png", "n02/deeper/d.png", "n02/folder.png/e.png", "outside.png")
    (tmp_path / "n05").mkdir()
    (tmp_path / ".cache").mkdir()
    folder = list_images(str(tmp_path), classes=3)
    assert (folder.root, folder.classes.names) == (tmp_path, ("n02", "n05", "n10"))
    assert folder.files == ("n02/a.png", "n02/b.JPEG", "n10/B.bmp", "n10/a b.jpg", "n10/c.webp")
    assert folder.labels.tolist() == [0, 0, 2, 2, 2]
    assert folder.labels.dtype == np.int32
    assert folder.path(1) == tmp_path / "n02" / "b.JPEG"
    left_out = [
        "n02/deeper/",
        "n02/folder.png/",
        "n02/notes.txt",
        "n02/png",
        "n10/.hidden.png",
        "outside.png",
    ]
    assert folder.left_out.count == len(left_out)
    assert set(folder.left_out.first) < set(left_out)


@pytest.mark.parametrize("suffix", EXTENSIONS)
def test_every_suffix_of_an_image_counts(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path, f"a/1{suffix}", f"a/2{suffix.upper()}")
    assert list_images(tmp_path, classes=1).files == (f"a/1{suffix}", f"a/2{suffix.upper()}")


def test_numbered_folders_are_labels(tmp_path: Path, refused) -> None:
    touch(tmp_path, "10/a.png", "2/b.png", "001/c.png")
    folder = list_images(tmp_path, classes=11)
    assert folder.files == ("001/c.png", "2/b.png", "10/a.png")
    assert folder.labels.tolist() == [1, 2, 10]
    assert folder.first(1).tolist() == [0, 1, 2]
    with refused("class folder 10 is no class of the backbone, whose labels are 0 to 9, and these"):
        list_images(tmp_path, classes=10)
    touch(tmp_path, "other/d.png")
    with refused(f"{tmp_path}: some class folders are named by a number, like 001, others are not"):
        list_images(tmp_path, classes=11)


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", *(f"a/{i}.avif" for i in range(5)), "a/deeper/2.png", "a/.DS_Store")
    line = left_out_line(list_images(tmp_path, classes=1).left_out)
    assert line.startswith("6 files or folders are left out (a/0.avif, a/1.avif, a/2.avif, …): they are")


def test_the_order_is_that_of_sorted_paths(tmp_path: Path) -> None:
    names = [f"{a}{b}" for a in ("n1", "n-1", "n 1", "N1", "é") for b in ("/1", "/10", "/2", "/1-2", "/ü")]
    touch(tmp_path, *(f"{name}.png" for name in names))
    paths = [path for folder in sorted(tmp_path.iterdir()) for path in sorted(folder.iterdir())]
    listed = list_images(tmp_path, classes=5)
    assert [listed.path(i) for i in range(len(listed))] == paths


def test_links_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.png", "root/one/b.png")
    (tmp_path / "root" / "two").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "one" / "c.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "root" / "one" / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "root" / "one" / "folder.png").symlink_to(tmp_path / "elsewhere")
    assert list_images(tmp_path / "root", classes=2).files == ("one/b.png", "one/c.png", "two/a.png")


def test_links_in_circles_and_pipes_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "root/one/b.png")
    os.mkfifo(tmp_path / "root" / "one" / "pipe.png")
    for name in ("one/self.png", "round"):
        (tmp_path / "root" / name).symlink_to(Path(name).name)
    listed = list_images(tmp_path / "root", classes=1)
    assert listed.files == ("one/b.png",)
    assert sorted(listed.left_out.first) == ["one/pipe.png", "one/self.png", "round"]
    assert "no regular files" in left_out_line(listed.left_out)


def test_listing_refuses_another_number_of_classes(tmp_path: Path, refused) -> None:
    touch(tmp_path, "a/1.png")
    with refused("has 1 class folders, the backbone has 10 classes; give one"):
        list_images(tmp_path, classes=10)


def test_listing_refuses_no_folder_and_no_images(tmp_path: Path, refused) -> None:
    with refused("does not exist"):
        list_images(tmp_path / "missing", classes=1)
    (tmp_path / "a").mkdir()
    with refused("has no images in its class folders, which are named .bmp .gif .jfif .jpeg"):
        list_images(tmp_path, classes=1)


@pytest.mark.parametrize("name", ["a\nb/1.png", "a/1\n2.png"])
def test_listing_refuses_line_breaks_in_names(name: str, tmp_path: Path, refused) -> None:
    touch(tmp_path, name)
    with refused("\\n", "has a line break in its name, names must be one line; rename it"):
        list_images(tmp_path, classes=1)


def test_what_cannot_be_listed_is_named(tmp_path: Path, refused, monkeypatch) -> None:
    touch(tmp_path, "a/1.png", "b/1.png")
    real = os.scandir

    def scandir(path):
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("tts.data.folders.os.scandir", scandir)
    with refused(f"cannot list image folder {tmp_path / 'b'} (permission denied); check the rights there"):
        list_images(tmp_path, classes=2)


def test_an_image_as_a_tensor(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 256, (50, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    image = load_image(str(path), 16, "random", seed=1, item=2)
    assert (image.shape, image.dtype) == ((3, 16, 16), torch.float32)
    assert (float(image.min()) >= 0.0, float(image.max()) <= 1.0) == (True, True)
    same = torch.from_numpy(decode(path, 16, "random", seed=1, item=2).pixels).permute(2, 0, 1)
    assert torch.equal(image * 255, same.float())
    path.write_bytes(b"")
    with pytest.raises(ImageError, match="is no readable image"):
        load_image(path, 16)
