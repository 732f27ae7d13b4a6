"""The FlexVAR transformer: VAR's blocks on raw token maps, with a scale schedule chosen at inference.

Module and parameter names are the published state-dict keys. Axis letters: B rows (both guidance halves),
L tokens, D width, V codes, C code channels, S a side.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tts.backbones.var import Block, HeadNorm, KVCache

Schedule = tuple[int, ...]


@dataclass(frozen=True)
class FlexVarConfig:
    """Sizes of a FlexVAR transformer; width and heads of the published models are 64 and 1 times the depth.

    ``schedule`` is the default one, ``table`` the side of the position table, which bounds the last side of
    any schedule, and ``trained_side`` the largest side trained on (the published ``max_pn``).
    """

    schedule: Schedule
    depth: int
    width: int
    heads: int
    classes: int = 1000
    codebook_size: int = 8912
    channels: int = 32
    table: int = 32
    trained_side: int = 16


class FlexVarTransformer(nn.Module):
    """Predicts the token map of each scale from the token map of the scale before it."""

    def __init__(self, config: FlexVarConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.word_embed = nn.Linear(config.channels, width)
        self.class_emb = nn.Embedding(config.classes + 1, width)
        self.pos_start = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_1LC = nn.Parameter(torch.zeros(1, width, config.table, config.table))
        self.blocks = nn.ModuleList(Block(width, config.heads, False) for _ in range(config.depth))
        self.head_nm = HeadNorm(width)
        self.head = nn.Linear(width, config.codebook_size)

    def half_precision_(self, dtype: torch.dtype) -> FlexVarTransformer:
        """Weights in ``dtype``, except the head, which stays in float32."""
        for name, parameter in self.named_parameters():
            if not name.startswith("head."):
                parameter.data = parameter.data.to(dtype)
        self.head.float()
        return self

    def condition(self, labels: Tensor) -> Tensor:
        """Class embedding (B, D) of labels (B,); label ``classes`` is the unconditional one."""
        return self.class_emb(labels)

    def modulations(self, condition: Tensor) -> list[Tensor]:
        """The six adaLN vectors of each block; the condition never changes, so once a batch is enough."""
        return [cast(Block, block).modulation(condition, None) for block in self.blocks]

    def positions(self, side: int) -> Tensor:
        """Position vectors (1, S * S, D), float32: the table, area-downsampled to the side."""
        table = F.interpolate(self.pos_1LC.float(), size=(side, side), mode="area")  # 1 D S S
        return table.flatten(2).transpose(1, 2)

    def embed(self, inputs: Tensor | None, condition: Tensor, side: int) -> Tensor:
        """Tokens (B, L_k, D), float32, of one scale's input (B, L_k, C); at the first scale of the condition.

        There is no level embedding: a scale is known by its positions alone.
        """
        if inputs is None:
            return (condition[:, None] + self.pos_start).float() + self.positions(side)
        return self.word_embed(inputs.to(self.word_embed.weight.dtype)).float() + self.positions(side)

    def classify(self, x: Tensor, condition: Tensor) -> Tensor:
        """Logits (B, L, V), float32, of the last block's output (B, L, D)."""
        return self.head(self.head_nm(x, condition))

    def forward(self, labels: Tensor, inputs: Tensor, schedule: Schedule) -> Tensor:
        """Teacher-forced logits (B, sum L_k, V) for a schedule, without guidance.

        ``labels`` (B,) may hold ``classes`` for the unconditional class; ``inputs`` (B, sum L_k - 1, C) are
        the upsampled code maps that enter scales 2..K (``upsampled_inputs``).
        """
        lengths = [side * side for side in schedule]
        condition = self.condition(labels)
        parts = [None, *inputs.split(lengths[1:], dim=1)]
        embedded = (self.embed(part, condition, side) for part, side in zip(parts, schedule, strict=True))
        x = torch.cat(list(embedded), dim=1)  # B L D
        scale = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)).to(x.device)
        mask = scale[:, None] >= scale[None, :]  # a token sees its own and earlier scales
        for block, six in zip(self.blocks, self.modulations(condition), strict=True):
            x = block(x, six, mask=mask)
        return self.classify(x, condition)

    def new_caches(self, batch: int, tokens: int) -> list[KVCache]:
        """One empty cache a block for a schedule of so many tokens, in the weights' dtype."""
        weight = self.word_embed.weight
        return [KVCache(batch, self.config.heads, tokens, weight) for _ in self.blocks]


def upsample(maps: Tensor, side: int) -> Tensor:
    """Code maps (N, C, s, s), bicubic-upsampled (no antialias) to (N, C, S, S)."""
    if maps.shape[-1] == side:
        return maps
    return F.interpolate(maps, size=(side, side), mode="bicubic")


def upsampled_inputs(code_maps: list[Tensor]) -> Tensor:
    """Inputs (N, sum L_k - 1, C) of scales 2..K, from the code maps (N, C, S, S) of all scales."""
    pairs = itertools.pairwise(code_maps)
    return torch.cat([upsample(a, b.shape[-1]).flatten(2).transpose(1, 2) for a, b in pairs], dim=1)
