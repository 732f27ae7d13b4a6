"""The paper's scoring network (appendix A), with its shapes taken from a configuration.

Module and parameter names are the published state-dict keys, so that the authors' checkpoints load.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor, nn

from tts import limits

SLOPE = 0.2


@dataclass(frozen=True)
class ScorerConfig:
    """Shapes of the network; the defaults are the published ones for VAR at 256x256 (4.0 M parameters).

    ``sides`` makes a scorer conditioned on the side of a map instead of its place in the schedule: row i of
    the scale embedding then stands for side ``sides[i]``, and the scorer serves every schedule of such sides.
    """

    channels: limits.Width = 32
    grid: limits.Side = 16
    classes: limits.Classes = 1000
    scales: limits.Scales = 10
    widths: limits.Widths = (64, 128, 256)
    strides: limits.Widths = (2, 2, 2)
    embedding: limits.Width = 128
    hidden: limits.Widths = (512, 256, 128)
    dropout: limits.Share = 0.05
    sides: Annotated[tuple[limits.Side, ...], Meta(max_length=limits.SCALES)] = ()

    def serves(self, schedule: tuple[int, ...]) -> bool:
        """Whether the scorer is conditioned on sides and knows all of a schedule's."""
        return bool(self.sides) and set(schedule) <= set(self.sides)

    def rows(self, schedule: tuple[int, ...]) -> tuple[int, ...]:
        """Row of the scale embedding for each scale of a schedule."""
        return (
            tuple(self.sides.index(side) for side in schedule) if self.sides else tuple(range(len(schedule)))
        )


def default_config(channels: int, grid: int, classes: int, scales: int) -> ScorerConfig:
    """The published network for grids of 8 and more, with as many stages as bring the grid to 2x2.

    Smaller grids get a small network: two stages, of which the first halves the grid.
    """
    base = ScorerConfig(channels=channels, grid=grid, classes=classes, scales=scales)
    if grid < 8:
        return replace(base, widths=(32, 48), strides=(2, 1), embedding=64, hidden=(256, 128), dropout=0.1)
    stages = max(1, (grid // 2).bit_length() - 1)
    widths = tuple(min(64 << i, 256) for i in range(stages))
    return replace(base, widths=widths, strides=(2,) * stages)


class ResidualBlock(nn.Module):
    """conv3x3, conv3x3, conv1x1, each normalised over channels, height and width; plus a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, side: int) -> None:
        super().__init__()
        shape = (outputs, side, side)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.ln1 = nn.LayerNorm(shape)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.ln2 = nn.LayerNorm(shape)
        self.conv3 = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.ln3 = nn.LayerNorm(shape)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.LayerNorm(shape)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, S, S) to (N, outputs, S / stride, S / stride)."""
        h = F.leaky_relu(self.ln1(self.conv1(x)), SLOPE)
        h = F.leaky_relu(self.ln2(self.conv2(h)), SLOPE)
        return F.leaky_relu(self.ln3(self.conv3(h)) + self.shortcut(x), SLOPE)


class ScorerNetwork(nn.Module):
    """S(c, e, k): a scalar for a map (N, C, H, W), a class label and a zero-based scale index."""

    def __init__(self, config: ScorerConfig) -> None:
        super().__init__()
        self.config = config
        side, inputs = config.grid, config.channels
        self.stages: list[str] = []
        for i, (width, stride) in enumerate(zip(config.widths, config.strides, strict=True), start=1):
            side = -(-side // stride)
            blocks = (ResidualBlock(inputs, width, stride, side), ResidualBlock(width, width, 1, side))
            self.add_module(f"conv_stage_{i}", nn.Sequential(*blocks))
            self.stages.append(f"conv_stage_{i}")
            inputs = width
        self.dropout = nn.Dropout(config.dropout)
        size = config.embedding
        self.class_label_embedding = nn.Embedding(config.classes, size)
        self.class_label_proj = nn.Linear(size, size)
        self.stage_label_embedding = nn.Embedding(config.scales, size)
        self.stage_label_proj = nn.Linear(size, size)
        layers: list[nn.Module] = []
        previous = inputs * side * side + 2 * size
        for width in config.hidden:
            layers += [nn.Linear(previous, width), nn.LeakyReLU(SLOPE)]
            previous = width
        self.fuser = nn.Sequential(*layers[:-1])  # no activation before the last layer
        self.out_proj = nn.Linear(previous, 1)

    def forward(self, maps: Tensor, labels: Tensor, scales: Tensor) -> Tensor:
        """Scores (N,) of maps (N, C, H, W), labels (N,) and zero-based scale indices (N,)."""
        h = maps
        for name in self.stages:
            h = self.dropout(self.get_submodule(name)(h))
        label = self.class_label_proj(self.class_label_embedding(labels))  # N E
        scale = self.stage_label_proj(self.stage_label_embedding(scales))  # N E
        out: Tensor = self.out_proj(self.fuser(torch.cat((h.flatten(1), label, scale), dim=1)))
        return out[:, 0]
