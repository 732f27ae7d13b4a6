"""Lists of images: numbers, fingerprints, and the text file."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tts.data.classes import Classes
from tts.data.folders import list_images
from tts.data.listing import ImageFolder
from tts.errors import CheckpointError
from tts.images import Tally

COUNTS = (3, 0, 1, 4)


@pytest.fixture
def folder():
    files = tuple(f"c{label}/{i}.png" for label, count in enumerate(COUNTS) for i in range(count))
    labels = np.repeat(np.arange(4, dtype=np.int32), COUNTS)
    classes = Classes.of(("c0", "c1", "c2", "c3"))
    return ImageFolder(Path("/images"), classes, files, labels, Tally().add("c0/notes.txt", "x", "y", "z"))


@pytest.fixture
def cache(folder, tmp_path):
    folder.save(tmp_path / "images.txt")
    return tmp_path / "images.txt"


def same(a, b):
    labels = a.labels.dtype == b.labels.dtype and np.array_equal(a.labels, b.labels)
    alike = all(getattr(a, name) == getattr(b, name) for name in ("classes", "files", "left_out"))
    return alike and a.fingerprint() == b.fingerprint() and labels


def test_length_and_paths(folder):
    assert len(folder) == 8
    assert folder.path(int(folder.first(1)[1])) == Path("/images/c2/0.png")


@pytest.mark.parametrize(
    ("per_class", "numbers"),
    [(None, range(8)), (9, range(8)), (3, [0, 1, 2, 3, 4, 5, 6]), (2, [0, 1, 3, 4, 5]), (1, [0, 3, 4])],
)
def test_the_first_of_each_class_keep_their_numbers(folder, per_class, numbers):
    kept = folder.first(per_class)
    assert kept.dtype == np.int64
    assert kept.tolist() == list(numbers)


def test_the_fingerprint_is_of_names_order_and_classes(folder):
    assert folder.fingerprint() == replace(folder, root=Path("/moved")).fingerprint()
    others = [
        replace(folder, files=folder.files[::-1]),
        replace(folder, files=folder.files[:-1]),
        replace(folder, files=(*folder.files[:-1], "c3/x.png")),
        replace(folder, classes=Classes.of(("c0", "c00", "c2", "c3"))),  # another empty folder
        replace(folder, classes=Classes.of(("a", "c0", "c2", "c3"))),  # each class has another number
    ]
    assert len({folder.fingerprint(), *(other.fingerprint() for other in others)}) == 6


def test_a_list_comes_back(folder, cache):
    again = ImageFolder.load(cache, "/moved")
    assert same(again, folder)
    assert again.root == Path("/moved")
    assert cache.read_text().split("\n")[1:] == [*folder.files, ""]
    assert [file.name for file in cache.parent.iterdir()] == ["images.txt"]


def test_names_with_odd_characters_come_back(tmp_path):
    names = [
        b"caf\xe9.png",
        "é\r.png".encode(),
        b"a\x85b\x0c.png",
        "\u2028 x.png".encode(),
        b" .png",
        b"\\.png",
    ]
    (tmp_path / "root" / "klasse \u2029").mkdir(parents=True)
    for name in names:  # one is no UTF-8
        (tmp_path / "root" / "klasse \u2029" / os.fsdecode(name)).touch()
    folder = list_images(tmp_path / "root", classes=1)
    folder.save(tmp_path / "images.txt")
    again = ImageFolder.load(tmp_path / "images.txt", tmp_path / "root")
    assert len(again) == 6
    assert same(again, folder)
    assert all(again.path(i).is_file() for i in range(6))


def damaged(change):
    def with_header(text):
        header, rest = text.split("\n", 1)
        header = json.loads(header)
        change(header)
        return json.dumps(header) + "\n" + rest

    return with_header


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text[:20],
        lambda text: text[:-1],
        lambda text: text[:-20],
        lambda text: text.replace("c0/0", "c0/9"),
        lambda text: text.replace("c0/0", "c9/0"),
        lambda text: text.replace("c0/0.png\nc0/1", "c0/1.png\nc0/0"),
        lambda text: text + "c3/5.png\n",
        lambda text: "[" * 100_000,
        lambda text: "[1]\n" + text,
        damaged(lambda header: header.update(format="scalewise-tts images 1")),
        damaged(lambda header: header.update(names=["c0", "c1", "c3", "c2"])),
        damaged(lambda header: header.update(names=None)),
        damaged(lambda header: header.update(names=[["c0"]])),
        damaged(lambda header: header.pop("fingerprint")),
        damaged(lambda header: header.update(names=["c0", "1", "c2", "c3"])),
        damaged(lambda header: header.update(left_out=7)),
        damaged(lambda header: header.update(left_out={"count": "x", "first": []})),
    ],
)
def test_a_damaged_list_is_one_line(cache, change, refused):
    cache.write_text(change(cache.read_text()))
    with refused(f"{cache} is not a valid list of images (", "; delete it,", kind=CheckpointError):
        ImageFolder.load(cache, "/images")


def test_bytes_that_are_no_text(cache, refused):
    cache.write_bytes(bytes(range(256)))
    with refused("is not a valid list of images", kind=CheckpointError):
        ImageFolder.load(cache, "/images")


def test_a_missing_list(tmp_path, refused):
    with refused("(no such file or directory); check the path", kind=CheckpointError):
        ImageFolder.load(tmp_path / "images.txt", "/images")
