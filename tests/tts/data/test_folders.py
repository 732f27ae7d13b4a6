from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tts.data.folders import Crop, ImageError, list_images, load_image
from tts.errors import UsageError


def make_image(path: Path, width: int = 40, height: int = 30, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def make_ramp(path: Path, width: int, height: int) -> Path:
    """An image whose red grows with x and whose green grows with y, one level a pixel."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    Image.fromarray(np.stack([x, y, 0 * x], axis=-1).astype(np.uint8)).save(path)
    return path


def test_listing_is_sorted_by_class_and_name(tmp_path: Path) -> None:
    for name in ("n02/b.JPEG", "n02/a.png", "n10/c.webp", "n02/.hidden.png"):
        make_image(tmp_path / name)
    (tmp_path / "n02" / "notes.txt").write_text("not an image")
    (tmp_path / "n05").mkdir()
    (tmp_path / ".cache").mkdir()
    folder = list_images(tmp_path, classes=3)
    assert folder.names == ("n02", "n05", "n10")
    assert [path.name for path in folder.paths] == ["a.png", "b.JPEG", "c.webp"]
    assert folder.labels == (0, 0, 2)


def test_listing_refuses_another_number_of_classes(tmp_path: Path) -> None:
    make_image(tmp_path / "a" / "1.png")
    with pytest.raises(UsageError, match="has 1 class folders, the backbone has 10 classes; give one"):
        list_images(tmp_path, classes=10)


def test_listing_refuses_no_folder_and_no_images(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        list_images(tmp_path / "missing", classes=1)
    (tmp_path / "a").mkdir()
    with pytest.raises(UsageError, match="has no images"):
        list_images(tmp_path, classes=1)


@pytest.mark.parametrize("crop", ["center", "random"])
@pytest.mark.parametrize("shape", [(40, 30), (30, 40), (7, 100), (16, 16), (18, 18)])
def test_image_has_the_asked_shape(crop: Crop, shape: tuple[int, int], tmp_path: Path) -> None:
    image = load_image(make_image(tmp_path / "a.png", *shape), 16, crop, seed=1, item=2)
    assert image.shape == (3, 16, 16)
    assert image.dtype == torch.float32
    assert float(image.min()) >= 0.0
    assert float(image.max()) <= 1.0


def test_centre_crop_follows_the_recipe(tmp_path: Path) -> None:
    path = make_ramp(tmp_path / "a.png", 27, 18)  # 18 = round(1.125 * 16): no resize
    image = load_image(path, 16) * 255
    assert image[0, 0].tolist() == list(range(6, 22))  # round(11 / 2) = 6
    assert image[1, :, 0].tolist() == list(range(1, 17))


def test_resize_is_lanczos_on_the_shorter_side(tmp_path: Path) -> None:
    path = make_image(tmp_path / "a.png", 61, 40)
    with Image.open(path) as image:
        resized = image.resize((27, 18), Image.Resampling.LANCZOS)  # 18 * 61 / 40 = 27.45
    expected = np.asarray(resized)[1:17, 6:22]
    assert np.array_equal((load_image(path, 16) * 255).round().permute(1, 2, 0).numpy(), expected)


def test_random_crop_depends_on_seed_and_item_only(tmp_path: Path) -> None:
    path = make_ramp(tmp_path / "a.png", 100, 18)
    corners = set()
    for item in range(40):
        image = load_image(path, 16, "random", seed=3, item=item)
        assert torch.equal(image, load_image(path, 16, "random", seed=3, item=item))
        corners.add((int(image[0, 0, 0] * 255), int(image[1, 0, 0] * 255)))
    assert len(corners) > 25
    assert {top for _, top in corners} == {0, 1, 2}
    other = [load_image(path, 16, "random", seed=4, item=item)[0, 0, 0] for item in range(10)]
    assert other != [load_image(path, 16, "random", seed=3, item=item)[0, 0, 0] for item in range(10)]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_other_modes_become_rgb(mode: str, tmp_path: Path) -> None:
    suffix = ".jpg" if mode == "CMYK" else ".png"
    assert load_image(make_image(tmp_path / f"a{suffix}", mode=mode), 16).shape == (3, 16, 16)


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_broken_image_is_an_error_of_its_own(content: bytes | None, tmp_path: Path) -> None:
    path = make_image(tmp_path / "broken.png", 200, 200)
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    with pytest.raises(ImageError, match=r"cannot read image .*broken\.png") as error:
        load_image(path, 16)
    assert "\n" not in str(error.value)


def test_missing_image_and_unknown_crop(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        load_image(tmp_path / "a.png", 16)
    with pytest.raises(UsageError, match="use center or random"):
        load_image(make_image(tmp_path / "a.png"), 16, "left")  # type: ignore[arg-type]
