"""TensorFlow 1's resize against loops that follow its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tts.evaluation.tf1_resize import resize_tf1


def neighbours(position: int, length: int, size: int) -> tuple[int, int, float]:
    """Both source pixels of a pixel, and the weight of the second; TensorFlow counts in float32."""
    source = np.float32(position) * (np.float32(length) / np.float32(size))
    low = math.floor(source)
    return low, min(low + 1, length - 1), float(source) - low


def slow_pixel(image: Tensor, size: int, i: int, j: int) -> Tensor:
    """Channels (C,) of pixel (i, j) of an image (C, H, W) that is resized to (C, S, S), in float64."""
    top, bottom, down = neighbours(i, image.shape[1], size)
    left, right, across = neighbours(j, image.shape[2], size)
    upper = image[:, top, left].lerp(image[:, top, right], across)
    lower = image[:, bottom, left].lerp(image[:, bottom, right], across)
    return upper.lerp(lower, down)


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(sum(shape))).float()


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (5, 5, 17),
        (17, 17, 5),
        (1, 1, 4),
        (4, 7, 9),
        (26, 26, 23),
        (64, 64, 299),
        (256, 256, 299),
        (512, 512, 299),
    ],
)
def test_pixels_follow_the_definition(height: int, width: int, size: int) -> None:
    image = noise(3, height, width)
    resized = resize_tf1(image[None], size)[0]
    assert resized.shape == (3, size, size)
    chosen = sorted({*range(0, size, max(1, size // 17)), size - 1})
    wanted = torch.stack([slow_pixel(image.double(), size, i, j) for i in chosen for j in chosen], dim=1)
    found = resized[:, chosen][:, :, chosen].flatten(1)
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-3)  # of 255


def test_the_first_pixel_stays_and_the_last_ones_repeat() -> None:
    resized = resize_tf1(torch.tensor([0.0, 8.0]).expand(1, 1, 2, 2), 8)
    assert resized[0, 0, 0].tolist() == [0, 2, 4, 6, 8, 8, 8, 8]


def test_an_image_of_the_right_size_stays_as_it_is() -> None:
    images = noise(2, 3, 29, 29)
    assert torch.equal(resize_tf1(images, 29), images)


def test_neither_the_batch_nor_the_layout_in_memory_matters() -> None:
    images = noise(5, 3, 20, 20)
    resized = resize_tf1(images, 31)
    apart = torch.cat([resize_tf1(image[None], 31) for image in images])
    torch.testing.assert_close(apart, resized, rtol=1e-6, atol=1e-4)
    last = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(resize_tf1(last, 31), resized, rtol=1e-6, atol=1e-4)


def test_the_callers_images_are_left_alone() -> None:
    images = noise(1, 3, 8, 8)
    before = images.clone()
    resize_tf1(images, 13).zero_()
    assert torch.equal(images, before)
