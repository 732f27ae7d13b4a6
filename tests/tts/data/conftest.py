"""Image folders to collect from."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path):
    """Ten class folders with noise images, two a class."""
    pixels = np.random.default_rng(0)
    for label in range(10):
        for i in range(2):
            path = tmp_path / "images" / f"class{label}" / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.integers(0, 256, (40, 30, 3), np.uint8)).save(path)
    return tmp_path / "images"
