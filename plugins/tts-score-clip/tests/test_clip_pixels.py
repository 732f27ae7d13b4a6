"""Images are prepared as the processors of published models prepare them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tts_score_clip_pixels import CLIP_MEAN, CLIP_STD, Preprocessing, preprocessing

PLAIN = {"mean": (0.0,) * 3, "std": (1.0,) * 3}


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("before", "after"), [(16, 24), (64, 24), (24, 24)])
def test_resizing_is_pils_but_for_rounding(before, after, mode):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(80, 176, (before, before, 3), generator=generator, dtype=torch.uint8)
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    theirs = np.array(Image.fromarray(pixels.numpy()).resize((after, after), filters[mode]))
    images = pixels.permute(2, 0, 1)[None] / 255
    ours = Preprocessing(after, after, mode=mode, **PLAIN)(images)[0].permute(1, 2, 0) * 255
    torch.testing.assert_close(ours, torch.from_numpy(theirs).float(), atol=1.5, rtol=0)


def test_colours_are_normalised_and_the_input_is_kept():
    images = torch.full((1, 3, 8, 8), 0.5)
    prepared = Preprocessing(8, 8)(images)
    expected = (0.5 - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD)
    torch.testing.assert_close(prepared[0, :, 0, 0], expected)
    assert bool((images == 0.5).all())


def test_the_middle_is_cropped():
    images = torch.zeros(1, 3, 16, 16)
    images[:, :, 4:12, 4:12] = 1.0
    prepared = Preprocessing(8, 16, **PLAIN)(images)
    assert prepared.shape == (1, 3, 8, 8)
    assert bool((prepared == 1).all())


CLIP = {
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "image_mean": list(CLIP_MEAN),
    "image_std": list(CLIP_STD),
    "resample": 3,
    "size": {"shortest_edge": 256},
}


@pytest.mark.parametrize(
    ("config", "image_size", "expected"),
    [
        (CLIP, 224, Preprocessing(224, 256)),
        ({**CLIP, "crop_size": 224, "size": 224}, 224, Preprocessing(224, 224)),
        ({**CLIP, "do_center_crop": False}, 224, Preprocessing(256, 256)),
        (
            {"size": {"height": 384, "width": 384}, "resample": 2},
            384,
            Preprocessing(384, 384, mode="bilinear"),
        ),
        ({"size": 8, "do_normalize": False}, 8, Preprocessing(8, 8, **PLAIN)),
        ({}, 336, Preprocessing(336, 336)),
        (None, 224, Preprocessing(224, 224)),
    ],
)
def test_configurations_of_processors_are_read(config, image_size, expected):
    assert preprocessing(config, image_size) == expected


def test_a_model_without_a_size_is_refused():
    with pytest.raises(ValueError, match="names an image size"):
        preprocessing({}, None)
