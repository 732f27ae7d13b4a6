"""The VAR transformer: next-scale prediction from the running latent.

Module and parameter names are the published state-dict keys. Axis letters: B rows (both guidance halves),
L tokens, D width, V codes, C code channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from tts import limits
from tts.backbones.blocks import Block, ScaleTransformer, SharedAdaLin, TransformerSizes


@dataclass(frozen=True, kw_only=True)
class VarConfig(TransformerSizes):
    """A VAR transformer; ``shared_adaln`` is one adaLN layer for the whole net (512x512)."""

    codebook_size: limits.Codes = 4096
    shared_adaln: bool = False

    @property
    def lengths(self) -> tuple[int, ...]:
        """Number of tokens of each scale."""
        return tuple(side * side for side in self.schedule)

    @property
    def tokens(self) -> int:
        """Number of tokens of an image."""
        return sum(self.lengths)


class VarTransformer(ScaleTransformer):
    """Predicts the token map of each scale from the latent of the scales before it."""

    def __init__(self, config: VarConfig) -> None:
        super().__init__(config, config.shared_adaln)
        self.config = config
        self.pos_1LC = nn.Parameter(torch.zeros(1, config.tokens, config.width))
        self.lvl_embed = nn.Embedding(len(config.schedule), config.width)
        if config.shared_adaln:
            self.shared_ada_lin = SharedAdaLin(config.width)

    def modulations(self, condition: Tensor) -> list[Tensor]:
        """The six adaLN vectors of each block; the condition never changes, so once a batch is enough."""
        if not self.config.shared_adaln:
            return super().modulations(condition)
        shared = self.shared_ada_lin(condition).unflatten(-1, (1, 6, -1))  # B 1 6 D
        return [cast(Block, block).modulation(condition, shared) for block in self.blocks]

    def embed(self, inputs: Tensor | None, condition: Tensor, scale: int) -> Tensor:
        """Tokens (B, L_k, D), float32, of one scale's input (B, L_k, C); at scale 0 of the condition."""
        start, stop = self.span(scale)
        position = self.pos_1LC[:, start:stop] + self.lvl_embed.weight[scale]
        if inputs is None:
            return (condition[:, None] + self.pos_start + position).float()
        return (self.word_embed(inputs.to(self.word_embed.weight.dtype)) + position).float()

    def span(self, scale: int) -> tuple[int, int]:
        """First and last-plus-one token position of a scale."""
        start = sum(self.config.lengths[:scale])
        return start, start + self.config.lengths[scale]

    def forward(self, labels: Tensor, inputs: Tensor) -> Tensor:
        """Teacher-forced logits (B, sum L_k, V), without guidance.

        ``labels`` (B,) may hold ``classes`` for the unconditional class; ``inputs`` (B, sum L_k - 1, C) are
        the area-downsampled latents of scales 2..K.
        """
        condition = self.condition(labels)
        parts = [None, *inputs.split(self.config.lengths[1:], dim=1)]
        x = torch.cat([self.embed(part, condition, k) for k, part in enumerate(parts)], dim=1)  # B L D
        return self.teacher_forced(x, condition, self.config.lengths)
