"""Image files of many kinds become 8-bit RGB rightly, or are refused."""

from __future__ import annotations

import struct
import subprocess
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import EpsImagePlugin, Image, ImageCms, ImageOps

from tts.images import FORMATS, ImageError, Pixels, read_image, read_picture, verified_size

RGB = np.random.default_rng(0).integers(0, 256, (6, 4, 3), np.uint8)
DEEP = np.random.default_rng(1).integers(0, 65536, (6, 4, 3)).astype(np.uint16)
LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "BMP": {},
    "TIFF": {},
    "PPM": {},
}


def save(path: Path, image: Image.Image, kind: str | None = None, **options: Any) -> Path:
    image.save(path, kind, **options)
    return path


def png(values: NDArray[Any], colour_type: int) -> bytes:
    """A PNG of 16 bits a channel, which Pillow cannot write in colour."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a", "a.eps"])
def test_content_says_what_a_file_is_not_its_name(tmp_path: Path, kind: str, name: str) -> None:
    path = save(tmp_path / name, Image.fromarray(RGB), kind, **LOSSLESS[kind])
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert picture.remarks == ()
    assert verified_size(path) == (4, 6)


def test_pixels_are_one_s_own(tmp_path: Path) -> None:
    pixels = read_image(save(tmp_path / "a.png", Image.fromarray(RGB)))
    assert (pixels.dtype, pixels.flags.writeable, pixels.flags.c_contiguous) == (np.uint8, True, True)


def test_lossy_and_palette_formats(tmp_path: Path) -> None:
    for kind in ("JPEG", "GIF"):
        path = save(tmp_path / kind, Image.new("RGB", (8, 8), (200, 30, 60)), kind)
        assert np.abs(read_image(path).astype(int) - (200, 30, 60)).max() <= 3
    assert set(FORMATS) == {"JPEG", "GIF", *LOSSLESS}


@pytest.mark.parametrize(
    ("kind", "modes"),
    {
        "PNG": "1 L LA P RGB RGBA",
        "JPEG": "1 L RGB CMYK YCbCr",
        "WEBP": "L RGB RGBA",
        "BMP": "1 L P RGB RGBA",
        "GIF": "1 L P RGB",
        "TIFF": "1 L LA P RGB RGBA CMYK",  # before 13.0 Pillow cannot read its own YCbCr
        "PPM": "1 L RGB RGBA",
    }.items(),
)
def test_modes_become_rgb_as_pillow_converts_them(tmp_path: Path, kind: str, modes: str) -> None:
    for mode in modes.split():
        path = save(tmp_path / mode, Image.fromarray(RGB).convert(mode), kind)
        with Image.open(path) as opened:
            np.testing.assert_array_equal(read_image(path), np.asarray(opened.convert("RGB")), mode)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_sixteen_bit_grey_keeps_its_upper_eight_bits(tmp_path: Path, name: str) -> None:
    """Pillow's own conversion makes everything above 255 white."""
    grey = np.ascontiguousarray(DEEP[..., 0])
    path = tmp_path / name
    if name == "a.pgm":
        path.write_bytes(b"P5\n%d %d\n65535\n" % grey.shape[::-1] + grey.astype(">u2").tobytes())
    else:
        save(path, Image.fromarray(grey))
    picture = read_picture(path)
    for channel in range(3):
        np.testing.assert_array_equal(picture.pixels[..., channel], grey >> 8)
    assert picture.remarks == ("depth",)


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_png_of_every_colour_type(tmp_path: Path, colour_type: int, channels: int) -> None:
    values = np.random.default_rng(2).integers(0, 65536, (6, 4, channels)).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(png(values, colour_type))
    picture = read_picture(tmp_path / "a.png")
    colours = values[..., :3] if channels > 2 else values[..., :1].repeat(3, axis=2)
    np.testing.assert_array_equal(picture.pixels, colours >> 8)
    assert "depth" in picture.remarks


def test_twelve_bits_and_inverted_grey_are_refused(tmp_path: Path) -> None:
    """As Pillow reads them, the one would be black, the other a negative."""
    path = save(tmp_path / "a.tif", Image.fromarray(np.ascontiguousarray(DEEP[..., 0])), tiffinfo={262: 0})
    with pytest.raises(ImageError, match="no plain 16-bit grey TIFF; save it with 8 bits a channel"):
        read_image(path)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_values_of_unknown_range_are_refused(tmp_path: Path, dtype: Any) -> None:
    values = np.zeros((6, 4), dtype)
    if dtype is np.float32:
        values[0, 0] = np.nan
    path = save(tmp_path / "a.tif", Image.fromarray(values))
    with pytest.raises(ImageError, match="whose range is unknown; save it with 8 bits a channel"):
        read_image(path)
    (tmp_path / "a.pfm").write_bytes(b"Pf\n4 6\n-1.0\n" + np.zeros((6, 4), "<f4").tobytes())
    with pytest.raises(ImageError, match=r"its pixels are floats|is no readable image"):  # to older Pillows
        read_image(tmp_path / "a.pfm")


def test_lab_is_refused_whatever_pillow_makes_of_it(tmp_path: Path) -> None:
    lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    image = ImageCms.applyTransform(Image.fromarray(RGB), lab)
    assert image is not None
    with pytest.raises(
        ImageError, match="its colours are LAB, which become RGB by no one rule; save it as RGB"
    ):
        read_image(save(tmp_path / "a.tif", image))


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_one_transparent_colour_is_told_and_stays(tmp_path: Path, mode: str) -> None:
    """What PNG says of transparency without an alpha channel."""
    image = Image.fromarray(RGB).convert(mode)
    first = image.getpixel((0, 0))
    picture = read_picture(save(tmp_path / "a.png", image, transparency=first))
    np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))
    assert picture.remarks == ("transparency",)


def test_associated_alpha_is_divided_out(tmp_path: Path) -> None:
    """TIFF may hold colours that are multiplied by their alpha."""
    premultiplied = np.concatenate((RGB // 2, np.full((6, 4, 1), 128, np.uint8)), axis=2)
    path = save(tmp_path / "a.tif", Image.fromarray(premultiplied))
    entry = struct.pack("<HHI", 338, 3, 1)  # ExtraSamples: Pillow writes 2, unassociated
    path.write_bytes(path.read_bytes().replace(entry + b"\2\0", entry + b"\1\0"))
    picture = read_picture(path)
    assert np.abs(picture.pixels.astype(int) - RGB).max() <= 3
    assert picture.remarks == ("transparency",)


@pytest.mark.parametrize("kind", ["EPS", "PDF", "ICO", "JPEG2000", "TGA", "PCX", "SGI", "DDS", "ICNS"])
def test_other_formats_are_refused_under_any_name(tmp_path: Path, kind: str) -> None:
    try:
        path = save(tmp_path / "a.png", Image.new("RGB", (16, 16)), kind)
    except OSError:
        pytest.skip(f"Pillow writes no {kind} here")
    for read in (read_image, verified_size):
        with pytest.raises(ImageError, match="its content is none of PNG, JPEG, WEBP, BMP, GIF, TIFF, PPM"):
            read(path)


def test_ghostscript_is_never_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An EPS is a program; Pillow has Ghostscript run it, whatever the file is called."""
    started: list[Any] = []
    for name in ("Popen", "run", "call", "check_call"):
        monkeypatch.setattr(subprocess, name, lambda *args, **options: started.append(args))
    monkeypatch.setattr(EpsImagePlugin, "has_ghostscript", lambda: True)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", "gs")
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **options: started.append(args))
    opened: list[Any] = []
    monkeypatch.setitem(Image.OPEN, "EPS", (lambda *args: opened.append(args), lambda prefix: True))
    path = save(tmp_path / "a.png", Image.new("RGB", (8, 8)), "EPS")
    for name in ("a.png", "a.eps", "a.jpg", "a.tif"):
        renamed = path.rename(tmp_path / name)
        path = renamed
        with pytest.raises(ImageError):
            read_image(path)
    assert (started, opened) == ([], [])


def test_animations_and_pages_are_refused(tmp_path: Path) -> None:
    other = ImageOps.invert(Image.fromarray(RGB))
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        path = save(tmp_path / kind, Image.fromarray(RGB), kind, save_all=True, append_images=[other])
        with pytest.raises(ImageError, match="holds 2 frames or pages; save one of them as an image"):
            read_image(path)


def test_a_photograph_with_a_small_one_behind_it_is_read(tmp_path: Path) -> None:
    first = Image.new("RGB", (8, 8), "red")
    path = save(tmp_path / "a.jpg", first, "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    assert read_image(path)[0, 0].tolist() == [254, 0, 0]


@pytest.mark.parametrize("kind", FORMATS)
def test_cut_files_are_refused_wherever_they_end(tmp_path: Path, kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = save(tmp_path / "a", Image.fromarray(pixels), kind)
    whole, expected = path.read_bytes(), read_image(path)
    for length in range(0, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:length])
        try:
            found: Pixels | None = read_image(path)
        except ImageError:
            found = None
        assert found is None or np.array_equal(found, expected), length


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0", b"P6 9999999 9999999 255\n"])
def test_what_is_no_image_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(
        ImageError, match=r"a\.png is no readable image \(.*\); replace or remove it"
    ) as error:
        read_image(tmp_path / "a.png")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_orientation_is_left_or_applied_and_always_told(tmp_path: Path, orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a", Image.fromarray(RGB), kind, exif=exif, **LOSSLESS.get(kind, {}))
    with Image.open(path) as image:
        stored = np.asarray(image.convert("RGB"))  # Pillow turns TIFF
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    left, applied = read_picture(path), read_picture(path, upright=True)
    np.testing.assert_array_equal(left.pixels, stored)
    np.testing.assert_array_equal(applied.pixels, expected)
    told = () if orientation == 1 else ("turned",)
    assert applied.remarks == told
    assert left.remarks == (told if kind == "TIFF" else ("orientation",) * len(told))


@pytest.mark.parametrize("value", [0, 9, 300])
def test_what_is_no_orientation_is_none(tmp_path: Path, value: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    picture = read_picture(save(tmp_path / "a.png", Image.fromarray(RGB), exif=exif), upright=True)
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert picture.remarks == ()


def test_transparency_is_told_and_colours_stay(tmp_path: Path) -> None:
    clear = Image.fromarray(RGB)
    clear.putalpha(Image.new("L", clear.size, 255))
    assert read_picture(save(tmp_path / "opaque.png", clear)).remarks == ()
    clear.putalpha(Image.new("L", clear.size, 7))
    palette = Image.fromarray(RGB).convert("P")
    for name, image, options in (("a.png", clear, {}), ("b.png", palette, {"transparency": bytes(256)})):
        picture = read_picture(save(tmp_path / name, image, **options))
        assert picture.remarks == ("transparency",)
        np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))


def test_profiles_other_than_srgb_are_told(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    other = srgb.replace(b"sRGB", b"wide").replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))
    for profile, expected in ((srgb, ()), (other, ("profile",))):
        picture = read_picture(save(tmp_path / "a.png", Image.fromarray(RGB), icc_profile=profile))
        assert picture.remarks == expected
        np.testing.assert_array_equal(picture.pixels, RGB)
    cmyk = save(tmp_path / "a.jpg", Image.fromarray(RGB).convert("CMYK"))
    assert read_picture(cmyk).remarks == ("cmyk",)


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(RGB))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 11)
    with pytest.raises(ImageError, match=r"exceeds limit.*replace or remove it"):
        read_image(path)


def test_special_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a directory"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="no such file"):
        read_image(tmp_path / "none.png")


def test_threads_keep_warnings_from_each_other(tmp_path: Path) -> None:
    """Pillow warns of palettes with transparent entries; here a warning would be an error."""
    path = save(tmp_path / "a.png", Image.fromarray(RGB).convert("P"), transparency=bytes(256))
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(read_image, [path] * 400))
    assert all(np.array_equal(pixels, found[0]) for pixels in found)
    assert list(warnings.filters) == before
    with pytest.raises(UserWarning, match="of mine"):
        warnings.warn("of mine", stacklevel=1)
