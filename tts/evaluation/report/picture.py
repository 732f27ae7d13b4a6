"""Image files as data URIs, so that a page needs no file beside it."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from xml.etree import ElementTree

from tts.errors import CheckpointError, reason
from tts.evaluation.report.page import Picture
from tts.images import verified_size

SMALL, ENLARGED = 320, 480
"""Pictures less than ``SMALL`` wide grow by a whole factor to at most ``ENLARGED``, in CSS pixels."""

SHARP = 1024
"""Grids up to this width keep hard pixel edges when the browser scales them up."""

MEDIA = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg", ".webp": "image/webp"}
LENGTH = re.compile(r"\s*([0-9.]+)\s*(px|pt|in|cm|mm)?\s*")
UNITS = {None: 1.0, "px": 1.0, "pt": 96 / 72, "in": 96.0, "cm": 96 / 2.54, "mm": 96 / 25.4}


def load_picture(path: Path, alt: str, grid: bool = False, sha256: str | None = None) -> Picture:
    """Read an image file; ``grid`` says that it shows generated images rather than a drawing.

    Where its ``sha256`` is known, it must be that file.

    An SVG goes in as an image of its own: its names cannot meet those of another, nothing in it is fetched
    or run.
    """
    media = MEDIA.get(path.suffix.lower())
    if media is None:
        raise CheckpointError(f"{path} is no picture; a report takes {', '.join(MEDIA)}")
    try:
        content = path.read_bytes()
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError(f"it does not match its checksum {sha256[:12]}")
        width, height = _svg_size(content) if media == MEDIA[".svg"] else verified_size(path)
    except (OSError, SyntaxError, ValueError) as error:  # the XML parser raises all three
        raise CheckpointError(f"{path} is no readable picture ({reason(error)}); draw it anew") from error
    factor = max(1, ENLARGED // width) if grid and width < SMALL else 1
    uri = f"data:{media};base64,{base64.b64encode(content).decode()}"
    return Picture(uri, alt, width * factor, height * factor, grid and width <= SHARP)


def _svg_size(content: bytes) -> tuple[int, int]:
    """Width and height in CSS pixels, from the root's attributes or its view box."""
    root = ElementTree.fromstring(content)
    if root.tag.rpartition("}")[2] != "svg":
        raise ValueError(f"its root is {root.tag}")
    box = root.get("viewBox", "").replace(",", " ").split()
    sides = [_length(root.get(name, "")) for name in ("width", "height")]
    if None in sides:
        sides = [float(side) for side in box[2:]]
    width, height = (round(side) for side in sides if side)
    return width, height


def _length(text: str) -> float | None:
    found = LENGTH.fullmatch(text)
    return float(found[1]) * UNITS[found[2]] if found else None
