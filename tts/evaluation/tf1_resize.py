"""The bilinear resize of TensorFlow 1, which the features of the FID Inception are defined with.

Axis letters: N images, C channels, H W pixels, S pixels a side afterwards.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def resize_tf1(images: Tensor, size: int) -> Tensor:
    """Images (N, C, H, W) of floats, resized to (N, C, S, S) without antialiasing.

    Pixel i of the result lies at i * H / S of the source, with no shift by half a pixel, between the pixels
    floor and floor + 1, where the last pixel stands for those beyond it. That is PyTorch's rule for aligned
    corners, i * (H' - 1) / (S' - 1), once the last pixel is repeated (H' = H + 1) and one more is asked for
    (S' = S + 1).
    """
    padded = F.pad(images, (0, 1, 0, 1), mode="replicate")  # N C H+1 W+1
    larger = F.interpolate(padded, (size + 1, size + 1), mode="bilinear", align_corners=True)
    return larger[:, :, :size, :size]  # N C S S
