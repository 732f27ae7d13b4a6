"""Pictures of several runs side by side."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from tts.engine.folder import RunFolder
from tts.engine.plan import Request
from tts.engine.shards import Rows, write_shard
from tts.errors import CheckpointError
from tts.evaluation.compare import CELL, draw_comparison
from tts.io import make_folder, save_png
from tts.outputs import image_path
from tts.pipeline import Item
from tts.run_images import PNG, png_digests
from tts.sample_job import LAYOUT
from tts.tiles import GAP, TITLE, margin_of

MARGIN, PITCH, TOP = margin_of(["0"]), CELL + GAP, TITLE + GAP
"""Classes of one digit; every block has its title and, before each row, the class."""


@pytest.fixture
def make(tmp_path):
    """Writes a run with plain grey images: class, seed and run decide the grey."""

    def write(name, grey, labels, seeds, size=16):
        folder = tmp_path / name
        for label in labels:
            for seed in seeds:
                path = image_path(folder, Item(label, seed))
                path.parent.mkdir(parents=True, exist_ok=True)
                save_png(path, np.full((size, size, 3), grey + 10 * label + seed, np.uint8))
        items = [Item(int(p.parent.name), int(p.stem)) for p in sorted(folder.glob("images/*/*.png"))]
        request = Request.of("sample", {}, {}, {}, items)
        request.plan.save(folder)
        run = RunFolder(folder, folder, LAYOUT, request.plan, items)
        make_folder(folder / "shards")
        columns = {
            "labels": torch.tensor([item.label for item in items]),
            "seeds": torch.tensor([item.seed for item in items]),
            PNG: png_digests(folder, items),
        }
        write_shard(run.shard_path(0), Rows(columns, len(items)), run.shards[0])
        return folder

    return write


def picture(path):
    with Image.open(path) as image:
        return np.asarray(image)


def width(columns):
    """Of a block."""
    return MARGIN + columns * PITCH


def cells(pixels, run, columns, rows):
    """The grey in the middle of each cell of a block."""
    left, middle = run * width(columns) + MARGIN, CELL // 2
    return [
        [int(pixels[TOP + y * PITCH + middle, left + x * PITCH + middle, 0]) for x in range(columns)]
        for y in range(rows)
    ]


@pytest.mark.parametrize("size", [8, 16, 100])
def test_blocks_hold_the_runs_images(make, tmp_path, size):
    runs = [make("a", 0, (0, 1), (0, 1, 2), size), make("b", 100, (0, 1), (0, 1, 2), size)]
    assert draw_comparison(runs, tmp_path / "out.png", columns=8, rows=10) == 6
    pixels = picture(tmp_path / "out.png")
    assert pixels.shape == (TOP + 2 * PITCH, 2 * width(3), 3)
    assert cells(pixels, 0, 3, 2) == [[0, 1, 2], [10, 11, 12]]
    assert cells(pixels, 1, 3, 2) == [[100, 101, 102], [110, 111, 112]]
    assert (pixels[:, width(3) - GAP : width(3)] == 255).all()
    assert (pixels[TOP + CELL : TOP + PITCH, MARGIN : width(3)] == 255).all()
    numbers = [pixels[TOP + y * PITCH : TOP + y * PITCH + CELL, : MARGIN - GAP] for y in range(2)]
    assert [int(number.min()) < 64 for number in numbers] == [True, True]
    assert not np.array_equal(*numbers)


def test_a_block_has_its_runs_name(make, tmp_path):
    runs = [make(name, 0, (0,), (0, 1)) for name in ("same", "other")]
    draw_comparison([runs[0], runs[0], runs[1]], tmp_path / "out.png", 8, 10)
    titles = picture(tmp_path / "out.png")[:TITLE]
    blocks = [titles[:, i * width(2) : (i + 1) * width(2)] for i in range(3)]
    assert np.array_equal(blocks[0], blocks[1])
    assert not np.array_equal(blocks[0], blocks[2])
    assert blocks[0].min() < 64


def test_columns_and_rows_are_limits(make, tmp_path):
    run = make("a", 0, (0, 1, 2), (0, 1, 2))
    assert draw_comparison([run], tmp_path / "out.png", columns=2, rows=1) == 2
    pixels = picture(tmp_path / "out.png")
    assert pixels.shape == (TOP + PITCH, width(2), 3)
    assert cells(pixels, 0, 2, 1) == [[0, 1]]


def test_only_common_images_are_drawn(make, tmp_path):
    runs = [make("a", 0, (0, 1, 2), (0, 1)), make("b", 100, (1, 2, 3), (1, 2))]
    assert draw_comparison(runs, tmp_path / "out.png", 8, 10) == 2
    pixels = picture(tmp_path / "out.png")
    assert cells(pixels, 0, 1, 2) == [[11], [21]]
    assert cells(pixels, 1, 1, 2) == [[111], [121]]


def test_rows_of_different_lengths_are_filled_with_white(make, tmp_path):
    run = make("a", 0, (0,), (0, 1, 2))
    make("a", 0, (1,), (0,))
    assert draw_comparison([run], tmp_path / "out.png", 8, 10) == 4
    assert cells(picture(tmp_path / "out.png"), 0, 3, 2) == [[0, 1, 2], [10, 255, 255]]


def test_the_picture_may_go_to_a_new_folder(make, tmp_path):
    draw_comparison([make("a", 0, (0,), (0,))], tmp_path / "new" / "out.png", 8, 10)
    assert (tmp_path / "new" / "out.png").is_file()


def test_runs_with_nothing_in_common(make, tmp_path, refused):
    runs = [make("a", 0, (0,), (0,)), make("b", 0, (0,), (1,))]
    with refused("the runs have no image in common", "same labels and seeds"):
        draw_comparison(runs, tmp_path / "out.png", 8, 10)
    assert not (tmp_path / "out.png").exists()


def test_a_folder_that_is_no_run(make, tmp_path, refused):
    (tmp_path / "b").mkdir()
    for other, what in ((tmp_path / "b", "holds no plan.json"), (tmp_path / "missing", "is no folder")):
        with refused(str(other), what, "give"):
            draw_comparison([make("a", 0, (0,), (0,)), other], tmp_path / "out.png", 8, 10)


def test_a_broken_image_is_named(make, tmp_path, refused):
    run = make("a", 0, (0,), (0,))
    path = run / "images" / "0000" / "000000.png"
    path.write_bytes(b"broken")
    with refused(str(path), kind=CheckpointError):
        draw_comparison([run], tmp_path / "out.png", 8, 10)


def test_a_long_name_is_drawn_whole(make, tmp_path):
    runs = [
        make(name, 100, [0], [0]) for name in ("a-long-name-of-a-run-that-ends-in-" + end for end in "ab")
    ]
    draw_comparison(runs, tmp_path / "compare.png", 1, 1)
    drawn = picture(tmp_path / "compare.png")
    one, other = np.split(drawn[:TOP], 2, axis=1)
    assert (one != other).any()  # by their last letters alone
    assert (one[:, -GAP:] == 255).all()
