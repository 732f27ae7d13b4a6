"""Scores of pairs: from the tokens of both sides to the network's scores at all chosen scales.

Axis letters: b pairs, L tokens, S scales, C H W latent maps. Rows of the network are laid out
(scale, side, pair), the pair running fastest.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from einops import rearrange
from torch import Tensor

from tts.interfaces import Backbone


class PairScores:
    """Scores of both sides of a batch of pairs; ``dtype`` is that of the network's forward pass."""

    def __init__(
        self,
        backbone: Backbone,
        scales: tuple[int, ...],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.backbone, self.scales, self.device, self.dtype = backbone, scales, device, dtype

    def __call__(
        self, network: torch.nn.Module, real: Tensor, generated: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scores (b, S), float32, of real and generated tokens (b, L) of classes (b,)."""
        tokens = torch.cat((real, generated)).to(self.device, torch.int64)  # 2b L
        labels = labels.to(self.device, torch.int64).repeat(2)  # 2b
        views = self.backbone.views(tokens)
        maps = torch.cat([views[k] for k in self.scales])  # S*2b C H W
        scales = torch.tensor(self.scales, device=self.device).repeat_interleave(len(labels))
        with self._precision():
            scores = network(maps, labels.repeat(len(self.scales)), scales)  # S*2b
        both = rearrange(scores.float(), "(s side b) -> side b s", s=len(self.scales), side=2)
        return both[0], both[1]

    def _precision(self) -> AbstractContextManager[object]:
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)
