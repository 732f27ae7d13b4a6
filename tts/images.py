"""The one reader of image files: which formats there are, and how each becomes 8-bit RGB.

A file's content says what it is, not its name. Pixels are as stored, which is how published evaluations and
training code read images; what they leave aside is remarked on. Nothing here imports torch, because worker
processes import this.

Axis letters: H W pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from tts.errors import CheckpointError, reason
from tts.quiet import Quiet

Pixels = NDArray[np.uint8]

for _decoder in ("Bmp", "Gif", "Jpeg", "Png", "Ppm", "Tiff", "WebP"):
    import_module(f"PIL.{_decoder}ImagePlugin")  # or Image.open would import all that there are

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""What is read. No other decoder of Pillow's is ever tried: that of EPS, for one, starts Ghostscript."""

EXTENSIONS = (
    *(".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm"),
    *(".tif", ".tiff", ".webp"),
)
"""Names of files that are taken for images in a folder; what they hold decides about how they are read."""

REMARKS = {
    "orientation": "are stored turned, with an EXIF orientation, and are taken as stored, as published"
    " evaluations take them; --apply-orientation turns them upright",
    "turned": "were turned upright by their EXIF orientation",
    "transparency": "have transparent pixels, whose colours are taken as stored",
    "depth": "have 16 bits a channel, of which the upper 8 are taken",
    "profile": "have a colour profile other than sRGB, and their colours are taken as stored",
    "cmyk": "are CMYK, and become RGB without a colour profile",
    "enlarged": "were smaller and were enlarged, which their figures show",
}
"""What is to be said of images, by kind; a count and names go before it."""

_QUIET = Quiet()
_NAMED = 3
_ORIENTATION = 0x0112
_PHOTOMETRIC, _BITS = 262, 258  # tags of TIFF
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
"""Modes that become RGB by one rule; of others, as LAB, Pillow's versions have several or none."""

_DEEP = ("I;16", "I;16B", "I;16L", "I;16N")
_GAMMA = 0.45455
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image of each EXIF orientation upright."""


def printable(name: str) -> str:
    """A file's name as it can be shown: without line breaks, control characters and what is no text."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)


@dataclass
class Tally:
    """How many files there are of a kind, and the first names."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, *names: str) -> Tally:
        """Count more of them."""
        self.count += len(names)
        self.first += [printable(name) for name in names[: max(0, _NAMED - len(self.first))]]
        return self

    def join(self, other: Tally) -> Tally:
        """Count those of another tally too."""
        self.count += other.count
        self.first = [*self.first, *other.first][:_NAMED]
        return self

    def __str__(self) -> str:
        """The names, and that there are others."""
        return ", ".join([*self.first, *(["…"] if self.count > len(self.first) else [])])


def tally_remarks(remarks: Iterable[str]) -> dict[str, Tally]:
    """Remarks on images, each as 'kind name', counted by kind."""
    tallies: dict[str, Tally] = {}
    for remark in remarks:
        kind, _, name = remark.partition(" ")
        tallies.setdefault(kind, Tally()).add(name)
    return tallies


def remark_lines(tallies: Mapping[str, Tally], total: int) -> list[str]:
    """What to say of remarks: a line for each kind."""
    return [
        f"{tally.count} of {total} images {REMARKS.get(kind, kind)} ({tally})"
        for kind, tally in sorted(tallies.items())
    ]


class ImageError(CheckpointError):
    """An image file cannot be read, or not without guessing what its values mean."""


@dataclass(frozen=True)
class Picture:
    """An image file's pixels (H, W, 3), and the kinds of ``REMARKS`` that apply."""

    pixels: Pixels
    remarks: tuple[str, ...] = ()


def read_image(path: Path | str, sha256: str | None = None) -> Pixels:
    """Pixels (H, W, 3), uint8, of an image file, as stored; ``ImageError`` if they cannot be had.

    Where the file's ``sha256`` is known, it must be that file.
    """
    return read_picture(path, sha256=sha256).pixels


def read_picture(path: Path | str, upright: bool = False, sha256: str | None = None) -> Picture:
    """The same with remarks; ``upright`` applies an EXIF orientation."""
    with _named(path, sha256) as file, Image.open(file, formats=FORMATS) as image:
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # a photograph, followed by small ones of it
            raise ValueError(f"it holds {frames} frames or pages; save one of them as an image")
        deep, stored = _is_deep(image), _orientation(image) if image.format == "TIFF" else 1
        image.load()
        turned = stored != 1 and _orientation(image) == 1  # Pillow turns TIFF
        remarks = (*_kinds(turned=turned, depth=deep), *_remarks(image))
        pixels = _eight_bits(image)
        if upright and "orientation" in remarks:
            remarks = tuple("turned" if kind == "orientation" else kind for kind in remarks)
            pixels = pixels.transpose(_TURNS[_orientation(image)])
        return Picture(np.array(pixels), remarks)


def verified_size(path: Path | str) -> tuple[int, int]:
    """Width and height of an image file, whose own checksums, as PNG has, are compared."""
    with _named(path) as file, Image.open(file, formats=FORMATS) as image:
        image.verify()
        return image.size


@contextmanager
def _named(path: Path | str, sha256: str | None = None) -> Iterator[IO[bytes]]:
    """An open image file, the one of a checksum if that is given; what goes wrong is told under its name."""
    try:
        with Path(path).open("rb") as file, _QUIET:  # of large images and odd metadata: the pixels count
            content: IO[bytes] = file
            if sha256 is not None:
                data = file.read()
                if hashlib.sha256(data).hexdigest() != sha256:
                    raise ImageError(
                        f"{path} does not match its checksum {sha256[:12]}; replace or remove it"
                    )
                content = BytesIO(data)
            yield content
    except ImageError:
        raise
    except Exception as error:  # decoders raise errors of many kinds for broken files
        raise ImageError(f"{path} is no readable image ({_why(error)}); replace or remove it") from error


def _why(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"its content is none of {', '.join(FORMATS)}"
    return reason(error)


def _eight_bits(image: Image.Image) -> Image.Image:
    """8-bit RGB, without guesses: of floats and 32-bit integers nobody knows which value is white."""
    if _is_deep_grey(image):
        if image.format == "TIFF" and (_tag(image, _BITS) != 16 or _tag(image, _PHOTOMETRIC) != 1):
            raise ValueError("it is no plain 16-bit grey TIFF; save it with 8 bits a channel")
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode.startswith(("I", "F")):
        what = "floats" if image.mode.startswith("F") else "signed or 32-bit integers"
        raise ValueError(f"its pixels are {what}, whose range is unknown; save it with 8 bits a channel")
    if image.mode not in _MODES:
        raise ValueError(f"its colours are {image.mode}, which become RGB by no one rule; save it as RGB")
    return image.convert("RGB")


def _is_deep(image: Image.Image) -> bool:
    """Whether an image that is not loaded yet has 16 bits a channel: Pillow's decoders take the upper 8."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ()
    many = isinstance(arguments, tuple) and any(isinstance(n, int) and n > 255 for n in arguments)
    return _is_deep_grey(image) or ";16" in str(arguments) or (image.format == "PPM" and many)


def _is_deep_grey(image: Image.Image) -> bool:
    return image.mode in _DEEP or (image.mode == "I" and image.format in ("PNG", "PPM"))


def _tag(image: Image.Image, tag: int) -> object:
    value = getattr(image, "tag_v2", {}).get(tag)
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


def _kinds(**found: bool) -> Iterator[str]:
    """The names of what was found."""
    return (kind for kind, holds in found.items() if holds)


def _remarks(image: Image.Image) -> Iterator[str]:
    """Kinds of what the stored pixels do not show, of an image that is loaded."""
    return _kinds(
        orientation=_orientation(image) != 1,
        transparency=_is_transparent(image),
        cmyk=image.mode == "CMYK",
        profile=image.mode != "CMYK" and not _is_srgb(image),
    )


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation from 1, upright, to 8; what is no orientation is none."""
    with suppress(Exception):  # damaged metadata; the pixels may be whole
        found = image.getexif().get(_ORIENTATION, 1)
        return found if found in range(2, 9) else 1
    return 1


def _is_transparent(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    if image.mode in _DEEP:
        return True
    alpha = image.convert("RGBA").getchannel("A").getextrema()
    return alpha[0] != 255


def _is_srgb(image: Image.Image) -> bool:
    """Whether the profile calls itself sRGB; without a profile, whether there is no gamma but the usual."""
    profile = image.info.get("icc_profile")
    if profile:
        return any("sRGB".encode(text) in profile for text in ("ascii", "utf-16-be"))
    return "srgb" in image.info or abs(image.info.get("gamma", _GAMMA) - _GAMMA) < 0.01
