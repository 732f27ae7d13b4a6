"""Images of a sweep side by side: figures 1, 4, 8 and 9 of the LSRS paper.

Axis letters: S pixels a side, H W pixels of a picture. A row is an item, whose noise all columns share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tts.building import Model
from tts.errors import CheckpointError
from tts.evaluation.sweep.reading import ResultPoint
from tts.evaluation.sweep.sheet import Sheet
from tts.evaluation.sweep.store import POINTS, STRIP_FILE
from tts.images import read_image
from tts.io import make_folder, pixels_digest, save_png, to_uint8
from tts.pipeline import Generator, Item
from tts.resolve import build_selector
from tts.sample_config import SampleConfig, search_settings

Pixels = NDArray[np.uint8]

SMALLEST, LARGEST = 64, 160
"""Pixels a side of a cell: smaller images are enlarged, larger ones reduced, both by a whole factor."""

GAP, TITLE, MARGIN, TEXT = 4, 26, 44, 15
ROWS, LARGE_ROWS, COLUMNS = 10, 6, 8
"""Rows and columns of a grid at most; the rows of large images are fewer."""

RANDOMISED_ROWS = 4


@dataclass(frozen=True)
class Grid:
    """A picture of cells under titles; ``paper`` names the figures of the LSRS paper like it."""

    name: str
    title: str
    caption: str
    paper: str
    pixels: Pixels

    def write(self, folder: Path) -> Path:
        """Write ``grids/NAME.png`` below a folder."""
        make_folder(folder / "grids")
        path = folder / "grids" / f"{self.name}.png"
        save_png(path, self.pixels)
        return path


def sweep_grids(sheet: Sheet) -> Iterator[Grid]:
    """Images against M, and against ST at the largest M that has several."""
    curves = sheet.curves
    rule = f"{curves.usual['selector']} selection"
    by_m = [("plain" if p.plain else f"M = {p.candidates}", p) for p in curves.by_candidates().points]
    said = f"{sheet.rule}, M from left to right"
    yield from _grid(sheet, "m", "Images against M", said, by_m)
    for curve in curves.starts()[-1:]:
        by_start = [(f"ST = {p.setting.start_scale}", p) for p in curve.points]
        plain = [("plain", curves.plain)] if curves.plain else []
        said = f"{rule} from scale ST on, {curve.name}"
        yield from _grid(sheet, "st", "Images against ST", said, [*plain, *by_start])


def _grid(
    sheet: Sheet, name: str, title: str, said: str, settings: Sequence[tuple[str, ResultPoint]]
) -> list[Grid]:
    """A column a setting, of those whose first images are of the same seed set as the first one's."""
    found = [
        (text, images)
        for text, point in settings
        if min(point.sets) == min(settings[0][1].sets) and (images := strip(sheet.results.folder, point))
    ]
    if len(found) < 2:
        return []
    found = spaced(found, COLUMNS)
    most = ROWS if resized(found[0][1][0]).shape[0] <= SMALLEST else LARGE_ROWS
    rows = min(most, *(len(images) for _, images in found))
    classes = sheet.results.classes
    names = [str(row % classes) if classes else str(row) for row in range(rows)]
    pixels = assemble([text for text, _ in found], names, [images[:rows] for _, images in found])
    head = "class" if classes else "image"
    caption = f"A row is an item ({head} at the left) with the same noise in all columns; {said}."
    return [Grid(name, title, caption, "figures 4, 8 and 9", pixels)]


def spaced(columns: Sequence[tuple[str, list[Pixels]]], most: int) -> list[tuple[str, list[Pixels]]]:
    """At most so many columns, evenly spaced, the first and the last among them."""
    if len(columns) <= most:
        return list(columns)
    return [columns[round(i * (len(columns) - 1) / (most - 1))] for i in range(most)]


def strip(folder: Path, point: ResultPoint) -> list[Pixels]:
    """The first images (S, S, 3) of a point; none where there is no picture of them."""
    path = folder / POINTS / point.id / STRIP_FILE
    if not path.is_file():
        return []
    row = read_image(path)
    if point.strips and pixels_digest(row) not in point.strips:
        raise CheckpointError(f"{path} is not the picture that the sweep drew; remove it or sweep again")
    side, width = row.shape[:2]
    if width % side:
        raise CheckpointError(f"{path} is {width}x{side}, a row of square images was expected; sweep again")
    return list(rearrange(row, "h (n w) c -> n h w c", w=side))


def assemble(titles: Sequence[str], names: Sequence[str], columns: Sequence[Sequence[Pixels]]) -> Pixels:
    """A picture (H, W, 3): a column of images (S, S, 3) under each title, a name beside each row."""
    cells = [[resized(image) for image in column] for column in columns]
    side = cells[0][0].shape[0]
    widest = max(_width(text) for text in titles)
    pitch = max(side + GAP, widest + 2 * GAP)
    size = (MARGIN + len(columns) * pitch, TITLE + len(names) * (side + GAP))
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    font = _font()
    for x, (text, column) in enumerate(zip(titles, cells, strict=True)):
        centre = MARGIN + x * pitch + pitch // 2
        draw.text((centre, TITLE // 2), text, fill="black", font=font, anchor="mm")
        for y, cell in enumerate(column):
            canvas.paste(Image.fromarray(cell), (centre - side // 2, TITLE + y * (side + GAP)))
    for y, text in enumerate(names):
        middle = TITLE + y * (side + GAP) + side // 2
        draw.text((MARGIN - 2 * GAP, middle), text, fill="black", font=font, anchor="rm")
    return np.asarray(canvas)


def resized(image: Pixels) -> Pixels:
    """An image (S, S, 3), its pixels repeated by a whole factor, or reduced by one to means of blocks."""
    side = image.shape[0]
    factor = max(1, SMALLEST // side)
    if factor > 1:
        return image.repeat(factor, axis=0).repeat(factor, axis=1)
    step = -(-side // LARGEST)
    return np.asarray(Image.fromarray(image).reduce(step)) if step > 1 else image


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(TEXT)


def _width(text: str) -> int:
    return round(_font().getlength(text))


def randomised(config: SampleConfig, model: Model) -> Grid:
    """Figure 1: plain images, and the same with one scale's map replaced by random tokens."""
    info = model.info
    settings = search_settings(
        replace(config, candidates="1", start_scale=None, end_scale=None, strategy="lsrs"), info
    )
    plain = Generator(model.backbone, None, build_selector("random", 1, 1.0), settings, model.device)
    items = [Item(row % info.classes, row) for row in range(RANDOMISED_ROWS)]
    titles, columns = ["original"], [_images(plain, items)]
    for scale in range(info.scales):
        titles.append(f"scale {scale + 1}")
        columns.append(_images(replace(plain, randomize_scale=scale), items))
    pixels = assemble(titles, [str(item.label) for item in items], columns)
    caption = (
        f"Images of {info.name} (class at the left); in each further column the map of one scale is"
        " replaced by random tokens once the image is finished."
    )
    return Grid("randomised", "One scale at random", caption, "figure 1", pixels)


def _images(generator: Generator, items: Sequence[Item]) -> list[Pixels]:
    """Images (S, S, 3) of some items."""
    found: list[Pixels] = []
    for batch in generator.batches(items, len(items)):
        assert batch.result.images is not None
        found += list(to_uint8(batch.result.images, generator.backbone.info.uint8))
    return found
