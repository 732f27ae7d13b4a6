"""Sets of images on disk that no model made, and an extractor whose arithmetic is exact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tts.engine.folder import RunFolder
from tts.engine.plan import Request
from tts.engine.shards import Rows, write_shard
from tts.evaluation.features import Features
from tts.io import save_png, write_json
from tts.outputs import image_path
from tts.pipeline import Item
from tts.run_images import PNG, png_digests
from tts.sample_job import LAYOUT

SIDE = 6


class SumFeatures:
    """Sums of pixels, which are whole numbers, so that no result depends on the batch; notes its batches."""

    name = "sums"
    title = "FS"
    dimensions = 3
    knows_labels = True

    def __init__(self, image_size: int | None = None) -> None:
        self.image_size = image_size
        self.batches: list[int] = []

    def extract(self, images: Tensor) -> Features:
        """Sums over channels, rows and columns of images (N, 3, S, S)."""
        assert images.dtype == torch.uint8
        assert images.is_contiguous()
        self.batches.append(len(images))
        values = images.float()
        return Features(values.sum((2, 3)), values.sum((1, 3)), values.sum((1, 2)))

    def describe(self) -> dict[str, Any]:
        """A made-up identity."""
        return {"name": self.name}


@pytest.fixture
def sums() -> SumFeatures:
    """An exact extractor."""
    return SumFeatures()


@pytest.fixture(scope="session")
def sum_features() -> type[SumFeatures]:
    """Its class."""
    return SumFeatures


@pytest.fixture(scope="session")
def pictures() -> Callable[..., NDArray[np.uint8]]:
    """Makes so many different images (N, S, S, 3)."""

    def make(count: int, side: int = SIDE, seed: int = 0) -> NDArray[np.uint8]:
        return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), np.uint8)

    return make


@pytest.fixture(scope="session")
def write_run() -> Callable[..., Path]:
    """Writes the folder of a finished run of ``tts sample`` from images (N, S, S, 3) and labels (N,)."""

    def write(
        folder: Path,
        pixels: NDArray[np.uint8],
        labels: NDArray[Any],
        png: bool = False,
        uint8: str = "truncate",
        family: str = "var",
        speed: float | None = None,
    ) -> Path:
        items = [Item(int(label), number) for number, label in enumerate(labels)]
        plan = Request.of("sample", {"candidates": "1"}, {"uint8_rule": uint8}, {}, items, 7).plan
        (folder / "shards").mkdir(parents=True)
        run = RunFolder(folder, folder, LAYOUT, plan, items)
        for shard in run.shards:
            rows = slice(shard.first, shard.first + shard.count)
            tensors = {
                "labels": torch.tensor([item.label for item in items[rows]]),
                "seeds": torch.tensor([item.seed for item in items[rows]]),
            }
            if png:
                for item, image in zip(items[rows], pixels[rows], strict=True):
                    image_path(folder, item).parent.mkdir(parents=True, exist_ok=True)
                    save_png(image_path(folder, item), image)
                tensors[PNG] = png_digests(folder, items[rows])
            else:
                tensors["pixels"] = torch.from_numpy(pixels[rows])
            write_shard(run.shard_path(shard.number), Rows(tensors, shard.count), shard)
        plan.save(folder)
        timing = {"generate_seconds": 1.0, "images": len(items), "images_per_second": speed}
        write_json(folder / "run.json", {"plan": plan.id, "backbone": {"family": family}, "timing": timing})
        return folder

    return write
