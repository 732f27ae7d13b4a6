"""Image files become pixels the way VAR prepares them; what cannot be read is an error of its own."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tts.data.decode import Crop, decode
from tts.errors import UsageError
from tts.images import ImageError


def make_image(path: Path, width: int = 40, height: int = 30, mode: str = "RGB") -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def make_ramp(path: Path, width: int, height: int) -> Path:
    """An image whose red grows with x and whose green grows with y, one level a pixel."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    Image.fromarray(np.stack([x, y, 0 * x], axis=-1).astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize("crop", ["center", "random"])
@pytest.mark.parametrize("shape", [(40, 30), (30, 40), (7, 100), (16, 16), (18, 18)])
def test_image_has_the_asked_shape(crop: Crop, shape: tuple[int, int], tmp_path: Path) -> None:
    image = decode(str(make_image(tmp_path / "a.png", *shape)), 16, crop, seed=1, item=2).pixels
    assert (image.shape, image.dtype) == ((16, 16, 3), np.uint8)
    assert image.flags.owndata
    assert image.flags.writeable


def test_centre_crop_follows_the_recipe(tmp_path: Path) -> None:
    image = decode(make_ramp(tmp_path / "a.png", 27, 18), 16).pixels  # 18 = round(1.125 * 16): no resize
    assert image[0, :, 0].tolist() == list(range(6, 22))  # round(11 / 2) = 6
    assert image[:, 0, 1].tolist() == list(range(1, 17))


def test_resize_is_lanczos_on_the_shorter_side(tmp_path: Path) -> None:
    path = make_image(tmp_path / "a.png", 61, 40)
    with Image.open(path) as image:
        resized = image.resize((27, 18), Image.Resampling.LANCZOS)  # 18 * 61 / 40 = 27.45
    assert np.array_equal(decode(path, 16).pixels, np.asarray(resized)[1:17, 6:22])


def test_random_crop_depends_on_seed_and_item_only(tmp_path: Path) -> None:
    path = make_ramp(tmp_path / "a.png", 100, 18)
    corners = set()
    for item in range(40):
        image = decode(path, 16, "random", seed=3, item=item).pixels
        assert np.array_equal(image, decode(path, 16, "random", seed=3, item=item).pixels)
        corners.add((int(image[0, 0, 0]), int(image[0, 0, 1])))
    assert len(corners) > 25
    assert {top for _, top in corners} == {0, 1, 2}
    lefts = [[int(decode(path, 16, "random", seed, i).pixels[0, 0, 0]) for i in range(10)] for seed in (3, 4)]
    assert lefts[0] != lefts[1]


def test_exif_turns_the_image_only_where_asked_and_is_remarked_on(tmp_path: Path) -> None:
    with Image.open(make_image(tmp_path / "a.png", 18, 18)) as image:
        exif = Image.Exif()
        exif[0x0112] = 6  # a quarter turn
        image.save(tmp_path / "turned.png", exif=exif)
    plain = decode(tmp_path / "a.png", 16).pixels
    stored, upright = (decode(tmp_path / "turned.png", 16, upright=applied) for applied in (False, True))
    assert np.array_equal(stored.pixels, plain)
    assert stored.remarks == ("orientation",)
    assert np.array_equal(upright.pixels, np.rot90(plain, -1))
    assert upright.remarks == ("turned",)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG file whose header promises many black pixels, and that ends there."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0")),
    ]
    parts = [
        struct.pack(">I", len(data)) + k + data + struct.pack(">I", zlib.crc32(k + data))
        for k, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    "content",
    [b"", b"not an image", None, png_of_size(30_000, 30_000), png_of_size(0, 5), b"\xff\xd8\xff\xe0"],
)
def test_broken_image_is_an_error_of_its_own(content: bytes | None, tmp_path: Path) -> None:
    path = make_image(tmp_path / "broken.png", 200, 200)
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    with pytest.raises(
        ImageError, match=r"broken\.png is no readable image .*; replace or remove it"
    ) as error:
        decode(path, 16)
    assert "\n" not in str(error.value)


def test_truncated_jpeg_and_webp(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.webp"):
        path = make_image(tmp_path / name, 200, 200)
        path.write_bytes(path.read_bytes()[:-2000])
        with pytest.raises(ImageError):
            decode(path, 16)


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        decode(tmp_path / "a.png", 16)
    (tmp_path / "b.png").mkdir()
    with pytest.raises(ImageError, match="is a directory"):
        decode(tmp_path / "b.png", 16)


def test_large_images_are_read_up_to_pillows_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_image(tmp_path / "a.png", 40, 30)
    expected = decode(path, 16).pixels
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 601)  # from there to twice as many Pillow warns
    assert np.array_equal(decode(path, 16).pixels, expected)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 599)
    with pytest.raises(ImageError, match="exceeds limit"):
        decode(path, 16)


def test_a_thread_of_an_image_is_not_blown_up(tmp_path: Path) -> None:
    Image.new("L", (1, 50_000)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="1 by 50000 pixels are too long for their width"):
        decode(tmp_path / "a.png", 256)


def test_unknown_crop(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="use center or random"):
        decode(make_image(tmp_path / "a.png"), 16, "left")  # type: ignore[arg-type]


def test_an_error_travels_between_processes(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as error:
        decode(tmp_path / "a.png", 16)
    again = pickle.loads(pickle.dumps(error.value))
    assert (type(again), str(again)) == (ImageError, str(error.value))


def test_worker_processes_need_no_torch() -> None:
    code = "import sys, tts.data.decoder; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
