"""The FlexVAR transformer: VAR's blocks on raw token maps, with a scale schedule chosen at inference.

Module and parameter names are the published state-dict keys. Axis letters: B rows (both guidance halves),
L tokens, D width, V codes, C code channels, S a side.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tts import limits
from tts.backbones.blocks import ScaleTransformer, TransformerSizes
from tts.specs import Schedule


@dataclass(frozen=True, kw_only=True)
class FlexVarConfig(TransformerSizes):
    """A FlexVAR transformer.

    ``schedule`` is the default one, ``table`` the side of the position table, which bounds the last side of
    any schedule, and ``trained_side`` the largest side trained on (the published ``max_pn``).
    """

    codebook_size: limits.Codes = 8912
    table: limits.Side = 32
    trained_side: limits.Side = 16


class FlexVarTransformer(ScaleTransformer):
    """Predicts the token map of each scale from the token map of the scale before it."""

    def __init__(self, config: FlexVarConfig) -> None:
        super().__init__(config, shared_adaln=False)
        self.config = config
        self.pos_1LC = nn.Parameter(torch.zeros(1, config.width, config.table, config.table))

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
        return self.teacher_forced(x, condition, lengths)


def upsample(maps: Tensor, side: int) -> Tensor:
    """Code maps (N, C, s, s), bicubic-upsampled (no antialias) to (N, C, S, S)."""
    if maps.shape[-1] == side:
        return maps
    return F.interpolate(maps, size=(side, side), mode="bicubic")


def upsampled_inputs(code_maps: list[Tensor]) -> Tensor:
    """Inputs (N, sum L_k - 1, C) of scales 2..K, from the code maps (N, C, S, S) of all scales."""
    pairs = itertools.pairwise(code_maps)
    return torch.cat([upsample(a, b.shape[-1]).flatten(2).transpose(1, 2) for a, b in pairs], dim=1)
