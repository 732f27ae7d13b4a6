"""Image files inside the page."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from tts.errors import CheckpointError
from tts.evaluation.report.picture import load_picture
from tts.io import save_png

SVG = '<svg xmlns="http://www.w3.org/2000/svg" {}><path d="M0 0"/></svg>'


def png(path: Path, width: int, height: int) -> Path:
    save_png(path, np.zeros((height, width, 3), np.uint8))
    return path


def test_the_bytes_of_the_file_are_in_the_address(tmp_path: Path) -> None:
    path = png(tmp_path / "x.png", 40, 10)
    uri = load_picture(path, "alt").uri
    assert uri.startswith("data:image/png;base64,")
    assert base64.b64decode(uri.partition(",")[2]) == path.read_bytes()


@pytest.mark.parametrize(
    ("width", "shown", "sharp"), [(160, 480, True), (400, 400, True), (1024, 1024, True), (2000, 2000, False)]
)
def test_small_grids_grow_by_a_whole_factor_and_keep_their_pixels(
    tmp_path: Path, width: int, shown: int, sharp: bool
) -> None:
    picture = load_picture(png(tmp_path / "x.png", width, 16), "", grid=True)
    assert (picture.width, picture.height, picture.sharp) == (shown, 16 * shown // width, sharp)


def test_drawings_keep_their_size(tmp_path: Path) -> None:
    picture = load_picture(png(tmp_path / "x.png", 160, 16), "")
    assert (picture.width, picture.height, picture.sharp) == (160, 16, False)


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ('width="360pt" height="180pt"', (480, 240)),
        ('width="300" height="20px"', (300, 20)),
        ('width="100%" viewBox="0 0 64 32"', (64, 32)),
        ('viewBox="0,0,64.4,32"', (64, 32)),
    ],
)
def test_the_size_of_an_svg_is_that_of_its_root(
    tmp_path: Path, attributes: str, size: tuple[int, int]
) -> None:
    (tmp_path / "x.svg").write_text(SVG.format(attributes))
    picture = load_picture(tmp_path / "x.svg", "")
    assert (picture.width, picture.height) == size


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.png", "no png"), ("x.svg", "<svg"), ("x.svg", "<html/>"), ("x.svg", "<svg/>"), ("x.txt", "text")],
)
def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(CheckpointError, match=f"{name} is no "):
        load_picture(tmp_path / name, "")
