"""Images of other sizes made alike, by rules that have names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tts.errors import CheckpointError
from tts.evaluation.reading import Reading
from tts.evaluation.resizing import WORDS, Resize
from tts.evaluation.sources import open_source


def noise(height: int, width: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("rule", WORDS)
@pytest.mark.parametrize("shape", [(8, 8), (8, 30), (31, 9), (16, 16), (17, 70), (5, 3), (1, 2)])
def test_every_shape_becomes_the_size(rule: str, shape: tuple[int, int]) -> None:
    pixels = Resize(8, rule).apply(noise(*shape))
    assert (pixels.shape, pixels.dtype, pixels.flags.c_contiguous) == ((8, 8, 3), np.uint8, True)


def test_images_of_the_size_stay_as_they_are() -> None:
    pixels = noise(8, 8)
    assert Resize(8).apply(pixels) is pixels


def test_adm_halves_by_a_box_then_takes_bicubic_and_the_center() -> None:
    pixels = noise(40, 51)  # 20x25 after one box, then bicubic to 12x15, then columns 1 to 12
    image = Image.fromarray(pixels).resize((25, 20), Image.Resampling.BOX)
    expected = np.asarray(image.resize((15, 12), Image.Resampling.BICUBIC))[:, 1:13]
    np.testing.assert_array_equal(Resize(12).apply(pixels), expected)


@pytest.mark.parametrize("rule", ["bicubic", "lanczos", "box"])
def test_the_other_rules_are_one_filter_of_pillow(rule: str) -> None:
    pixels = noise(40, 40)
    kind = Image.Resampling[rule.upper()]
    expected = np.asarray(Image.fromarray(pixels).resize((12, 12), kind))
    np.testing.assert_array_equal(Resize(12, rule).apply(pixels), expected)


def test_text_names_size_and_rule() -> None:
    assert Resize.parse("256") == Resize(256, "adm")
    assert Resize.parse("64:lanczos") == Resize(64, "lanczos")
    assert Resize(64, "box").describe() == {"size": 64, "rule": "box", "does": WORDS["box"]}


@pytest.mark.parametrize("text", ["", "0", "-3", "x", "8:cubic", "8:", "1e3", "99999", "9" * 400])
def test_other_text_is_refused(text: str, refused: Any) -> None:
    with refused("must be SIZE or SIZE:RULE", "for example 256 or 256:lanczos"):
        Resize.parse(text)


def test_threads_are_not_blown_up(tmp_path: Path, refused: Any) -> None:
    Image.new("L", (1, 60_000)).save(tmp_path / "a.png")
    with refused("a.png cannot be resized (1 by 60000 pixels are too long", kind=CheckpointError):
        Reading(resize=Resize(4096)).read(tmp_path / "a.png")


def test_every_kind_of_set_is_resized_alike(tmp_path: Path, write_run: Any, pictures: Any) -> None:
    pixels = pictures(4)
    expected = torch.from_numpy(np.stack([Resize(4).apply(image) for image in pixels])).permute(0, 3, 1, 2)
    np.savez(tmp_path / "set.npz", arr_0=pixels)
    (tmp_path / "folder").mkdir()
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "folder" / f"{number}.png")
    runs = [write_run(tmp_path / name, pixels, np.arange(4), png=name == "png") for name in ("png", "shards")]
    for path in (tmp_path / "set.npz", tmp_path / "folder", *runs):
        plain, source = open_source(path), open_source(path, Reading(resize=Resize(4)))
        assert (source.size, source.count, source.name) == (4, 4, plain.name)
        assert torch.equal(torch.cat(list(source.batches(range(4), 3))), expected), path
        assert source.sha256() == plain.sha256()
        assert [*source.doubts] == []


def test_sets_of_many_shapes_need_a_resize(tmp_path: Path, refused: Any) -> None:
    for number, shape in enumerate(((9, 9), (12, 40), (30, 7))):
        Image.fromarray(noise(*shape)).save(tmp_path / f"{number}.png")
    with refused("1.png has 12x40 pixels, the first image 9x9", "--resize", kind=CheckpointError):
        list(open_source(tmp_path).batches(range(3), 3))
    source = open_source(tmp_path, Reading(resize=Resize(8)))
    (batch,) = source.batches(range(3), 3)
    assert batch.shape == (3, 3, 8, 8)
    assert source.remarked["enlarged"].first == ["2.png"]


def test_an_npz_of_oblong_images_can_be_resized(tmp_path: Path, refused: Any) -> None:
    np.savez(tmp_path / "a.npz", arr_0=np.stack([noise(4, 6)] * 2))
    with refused("has 4x6 pixels, images must be square; crop them or pass --resize", kind=CheckpointError):
        open_source(tmp_path / "a.npz")
    source = open_source(tmp_path / "a.npz", Reading(resize=Resize(8)))
    assert next(source.batches(range(2), 2)).shape == (2, 3, 8, 8)


def test_enlarging_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", arr_0=np.stack([noise(4, 4)] * 2))
    (line,) = open_source(tmp_path / "a.npz", Reading(resize=Resize(8))).doubts
    assert line == "images of 4x4 are enlarged to 8, which figures show"
