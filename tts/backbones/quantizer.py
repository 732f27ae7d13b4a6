"""The multi-scale residual quantizer of VAR: the operator F of the LSRS paper (section 3.3).

Module and parameter names are the published state-dict keys.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

PHIS = 4


def phi_index(scale: int, scales: int) -> int:
    """Which of the four phi convolutions scale ``scale`` (zero-based) of ``scales`` uses.

    The nearest tick, in float64: at 10 scales two ties are decided by rounding, so exact arithmetic would
    give other answers.
    """
    ticks = np.linspace(1 / 12, 11 / 12, PHIS)
    return int(np.argmin(np.abs(ticks - scale / (scales - 1))))


class Phi(nn.Conv2d):
    """phi(h) = 0.5 h + 0.5 conv3x3(h)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """Same shape as ``h`` (B, C, H, W)."""
        return 0.5 * h + 0.5 * super().forward(h)


class SharedPhis(nn.Module):
    """Four phi convolutions, shared by all scales."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qresi_ls = nn.ModuleList(Phi(channels) for _ in range(PHIS))

    def forward(self, h: Tensor, scale: int, scales: int) -> Tensor:
        """Apply the phi of scale ``scale``."""
        return self.qresi_ls[phi_index(scale, scales)](h)


class ResidualQuantizer(nn.Module):
    """Codebook and fusion of token maps r_1..r_K into the latent f_hat (B, C, H, W)."""

    def __init__(self, schedule: tuple[int, ...], codebook_size: int, channels: int) -> None:
        super().__init__()
        self.schedule = schedule
        self.embedding = nn.Embedding(codebook_size, channels)
        self.quant_resi = SharedPhis(channels)

    @property
    def grid(self) -> int:
        """Side H = W of the latent."""
        return self.schedule[-1]

    def increment(self, tokens: Tensor, scale: int) -> Tensor:
        """What tokens (N, L_k) of one scale add to f_hat: phi(upsample(code)), (N, C, H, W)."""
        side = self.schedule[scale]
        code = self.embedding(tokens)  # N L C
        code = code.transpose(1, 2).unflatten(2, (side, side))  # N C side side
        if side != self.grid:
            code = F.interpolate(code, size=(self.grid, self.grid), mode="bicubic")
        return self.quant_resi(code, scale, len(self.schedule))

    def next_input(self, f_hat: Tensor, scale: int) -> Tensor:
        """f_hat (N, C, H, W) area-downsampled to the side of ``scale``: (N, L_k, C)."""
        side = self.schedule[scale]
        if side != self.grid:
            f_hat = F.interpolate(f_hat, size=(side, side), mode="area")
        return f_hat.flatten(2).transpose(1, 2)

    def split(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """Token maps (N, sum L_k) as one tensor (N, L_k) a scale."""
        return tokens.split([side * side for side in self.schedule], dim=1)

    def views(self, tokens: Tensor) -> list[Tensor]:
        """e_k = F(r_<=k), (N, C, H, W), at each scale, of token maps (N, sum L_k)."""
        f_hat = self.empty_latent(tokens.shape[0])
        out = []
        for scale, part in enumerate(self.split(tokens)):
            f_hat = f_hat + self.increment(part, scale)
            out.append(f_hat)
        return out

    def empty_latent(self, batch: int) -> Tensor:
        """Zeros (B, C, H, W): f_hat before the first scale."""
        weight = self.embedding.weight
        return weight.new_zeros(batch, weight.shape[1], self.grid, self.grid)

    def nearest(self, vectors: Tensor) -> Tensor:
        """Nearest code (N,), by Euclidean distance, of vectors (N, C)."""
        codes = self.embedding.weight
        distance = codes.square().sum(1) - 2 * vectors @ codes.T + vectors.square().sum(1, keepdim=True)
        return distance.argmin(dim=1)

    def encode(self, feature: Tensor) -> Tensor:
        """Token maps (N, sum L_k) of encoder features (N, C, H, W), scale by scale on the residual."""
        rest = feature
        out = []
        for scale in range(len(self.schedule)):
            vectors = self.next_input(rest, scale)  # N L C
            tokens = self.nearest(vectors.flatten(0, 1)).unflatten(0, vectors.shape[:2])  # N L
            rest = rest - self.increment(tokens, scale)
            out.append(tokens)
        return torch.cat(out, dim=1)
