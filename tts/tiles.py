"""Images in rows on one picture, with a gap between them and a label before each row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tts.images import Pixels

GAP, TEXT = 4, 12
TITLE = TEXT + 2 * GAP


def tiled(rows: Sequence[tuple[str, Sequence[Pixels]]], title: str = "") -> Pixels:
    """A picture (H, W, 3) of rows of images (S, S, 3), each with its label, below a title if there is one."""
    side = rows[0][1][0].shape[0]
    margin, top = margin_of([label for label, _ in rows]), GAP + (TITLE if title else 0)
    width = margin + max(len(images) for _, images in rows) * (side + GAP)
    font = ImageFont.load_default(TEXT)
    width = max(width, margin + round(font.getlength(title)) + GAP)
    canvas = Image.new("RGB", (width, top + len(rows) * (side + GAP)), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((margin, top // 2), title, fill="black", font=font, anchor="lm")
    for y, (label, images) in enumerate(rows):
        place = top + y * (side + GAP)
        draw.text((margin - GAP, place + side // 2), label, fill="black", font=font, anchor="rm")
        for x, image in enumerate(images):
            canvas.paste(Image.fromarray(image), (margin + x * (side + GAP), place))
    return np.asarray(canvas)


def margin_of(labels: Sequence[str]) -> int:
    """Pixels to the left of the images."""
    font = ImageFont.load_default(TEXT)
    return round(max(font.getlength(label) for label in labels)) + 2 * GAP
