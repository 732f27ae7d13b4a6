"""What candidates of VAR add to f_hat, for scorers, in less work than ``tts.backbones.quantizer``.

phi's own half and its input's are one convolution. Where a token map has fewer positions than channels, phi's
products with the codes are looked up, and upsampling and convolution are one matrix over positions. The
chosen candidate is added by the exact form, so that rounding never reaches the latent.

Axis letters: N candidates, L tokens, V codes, C code channels, T taps of a kernel, H W the latent grid.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tts.backbones.quantizer import Phi, ResidualQuantizer, phi_index

TAPS = 9


class FastFusion:
    """phi(upsample(code)) in ``dtype``, with all that no token changes computed once."""

    def __init__(self, quantize: ResidualQuantizer, dtype: torch.dtype) -> None:
        self.schedule, self.grid = quantize.schedule, quantize.grid
        scales = len(self.schedule)
        self.phi = [phi_index(scale, scales) for scale in range(scales)]
        codes = quantize.embedding.weight.detach()
        channels = codes.shape[1]
        self.codes = codes.to(dtype)
        self.kernels: list[Tensor] = []  # C C 3 3
        self.biases: list[Tensor] = []  # C
        self.products: list[Tensor] = []  # V TC
        for phi in quantize.quant_resi.qresi_ls:
            centre = F.pad(torch.eye(channels, device=codes.device)[..., None, None], (1, 1, 1, 1))
            assert isinstance(phi, Phi)
            assert phi.bias is not None
            kernel = 0.5 * (phi.weight.detach() + centre)
            self.kernels.append(kernel.to(dtype))
            self.biases.append((0.5 * phi.bias.detach()).to(dtype))
            self.products.append((codes @ kernel.permute(1, 2, 3, 0).flatten(1)).to(dtype))
        small = {side for side in self.schedule if side * side < channels and side < self.grid}
        self.spread = {side: spread(side, self.grid, codes.device).to(dtype) for side in small}

    def increment(self, tokens: Tensor, scale: int) -> Tensor:
        """What tokens (N, L_k) of one scale add to f_hat: (N, C, H, W)."""
        side, phi = self.schedule[scale], self.phi[scale]
        if side in self.spread:
            return self._spread(tokens, side, phi)
        code = F.embedding(tokens, self.codes).transpose(1, 2).unflatten(2, (side, side))  # N C side side
        if side != self.grid:
            code = F.interpolate(code, size=(self.grid, self.grid), mode="bicubic")
        return F.conv2d(code, self.kernels[phi], self.biases[phi], padding=1)

    def _spread(self, tokens: Tensor, side: int, phi: int) -> Tensor:
        looked_up = F.embedding(tokens, self.products[phi]).unflatten(2, (TAPS, -1))  # N L T C
        rows = looked_up.permute(0, 3, 1, 2).flatten(0, 1).flatten(1)  # NC LT
        maps = (rows @ self.spread[side]).unflatten(0, (len(tokens), -1)).unflatten(2, (self.grid, self.grid))
        return maps + self.biases[phi][:, None, None]  # N C H W


def spread(side: int, grid: int, device: torch.device) -> Tensor:
    """Where a value of a position (side x side) comes to by upsampling and by each tap: (L T, H W)."""
    units = torch.eye(side * side, device=device).view(-1, 1, side, side)
    maps = F.interpolate(units, size=(grid, grid), mode="bicubic")[:, 0]  # L H W
    padded = F.pad(maps, (1, 1, 1, 1))
    shifted = [padded[:, y : y + grid, x : x + grid] for y in range(3) for x in range(3)]
    return torch.stack(shifted, dim=1).flatten(2).flatten(0, 1)  # LT HW
