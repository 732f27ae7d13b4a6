"""The features of the FID: the Inception network of 2015-12-05 on images of any size.

Axis letters: N images, S pixels a side, C channels, H W positions. The protocol is the ADM evaluation's
(Dhariwal and Nichol 2021): ``pool_3`` (2048) for FID, precision and recall, the first seven channels of
``mixed_6/conv`` (2023) for sFID, logits without bias (1008) for the Inception Score.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from tts.evaluation.features import Features, check_images
from tts.evaluation.inception_network import FEATURES, SIZE, InceptionNetwork, pooled
from tts.evaluation.inception_weights import find_weights, load_network
from tts.evaluation.tf1_resize import resize_tf1
from tts.io import sha256_file
from tts.specs import FeatureRequest

SPATIAL_CHANNELS = 7

CPU_BATCH, CPU_STEM_BATCH = 16, 2
"""Images at once on a CPU. The maps of the first layers are so large that few images at once run faster; from
16 images on, PyTorch gives convolutions of kernel 1 to oneDNN on a single thread too."""


class InceptionFeatures:
    """Features of images of any size: 2048 pooled, 2023 spatial, and 1008 logits without bias."""

    name = "inception"
    title = "FID"
    dimensions = FEATURES
    image_size: int | None = None
    knows_labels = False

    def __init__(self, network: InceptionNetwork, file: Path, device: torch.device) -> None:
        self.file, self.device, self.on_cpu = file, device, device.type == "cpu"
        self.layout = torch.channels_last if self.on_cpu else torch.contiguous_format
        self.network = network.to(device).to(memory_format=self.layout)  # type: ignore[call-overload]

    @torch.inference_mode()
    def extract(self, images: Tensor) -> Features:
        """Features of uint8 images (N, 3, S, S), which do not depend on the batch beyond rounding."""
        check_images(images)
        parts = len(images) // CPU_BATCH if self.on_cpu else 1
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return Features.cat([self._extract(part) for part in images.tensor_split(max(1, parts))])

    def _extract(self, images: Tensor) -> Features:
        """The same, all at once but for the first layers."""
        few = CPU_STEM_BATCH if self.on_cpu else len(images)
        mixed_6d = self.network.mixed_6d(torch.cat([self._stem(part) for part in images.split(few)]))
        pool = pooled(self.network.mixed_7c(self.network.mixed_6e(mixed_6d)))  # N 2048
        spatial = rearrange(mixed_6d[:, :SPATIAL_CHANNELS], "n c h w -> n (h w c)")  # N 2023
        return Features(pool.cpu(), spatial.cpu(), self.network.logits(pool).cpu())

    def _stem(self, images: Tensor) -> Tensor:
        """Maps (N, 192, 35, 35) of uint8 images (N, 3, S, S)."""
        return self.network.second_pool(self.network.first_pool(self.prepare(images)))

    def prepare(self, images: Tensor) -> Tensor:
        """What the network takes, (N, 3, 299, 299) in [-1, 1], of uint8 images (N, 3, S, S)."""
        resized = resize_tf1(images.to(self.device).float(), SIZE)
        return ((resized - 128) / 128).contiguous(memory_format=self.layout)

    @cached_property
    def sha256(self) -> str:
        """Hash of the file of weights."""
        return sha256_file(self.file)

    def describe(self) -> dict[str, Any]:
        """Name and hash of the weights."""
        return {"name": self.name, "sha256": self.sha256}


def build(request: FeatureRequest) -> InceptionFeatures:
    """Factory of the FID's features; the argument is a file of weights, else the fetched one serves."""
    file = find_weights(request.argument)
    return InceptionFeatures(load_network(file), file, request.device)
