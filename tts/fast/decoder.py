"""The image decoders of both families with channels last and without work on repeated pixels.

Same weights, and the same images but for rounding. Axis letters: N images, I O channels, H W a map.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tts.backbones.vqvae import ResidualBlock, Upsample

Net = TypeVar("Net", bound=nn.Module)


class PhaseUpsample(nn.Module):
    """Nearest-neighbour doubling and a 3x3 convolution, as a 2x2 convolution for each pixel of a square.

    Doubled pixels are equal, so of nine products with four values five are spared.
    """

    TAPS = (
        ((1.0, 0.0, 0.0), (0.0, 1.0, 1.0)),  # of the first pixel of two: on the value before, on its own
        ((1.0, 1.0, 0.0), (0.0, 0.0, 1.0)),  # of the second: on its own, and on the next
    )

    def __init__(self, upsample: Upsample) -> None:
        super().__init__()
        weight, bias = upsample.conv.weight, upsample.conv.bias
        assert bias is not None
        self.channels = weight.shape[0]
        taps = torch.tensor(self.TAPS, device=weight.device)  # phase value tap
        kernel = torch.einsum("pak,qbl,oikl->pqoiab", taps, taps, weight.float()).flatten(0, 2)  # 4O I 2 2
        self.weight = nn.Parameter(kernel.to(weight.dtype), requires_grad=False)
        self.bias = nn.Parameter(bias.detach().repeat(4), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, H, W) to (N, O, 2H, 2W)."""
        height, width = x.shape[2:]
        phases = F.conv2d(x, self.weight, self.bias, padding=1).unflatten(1, (2, 2, -1))  # N 2 2 O H+1 W+1
        out = torch.empty(
            (len(x), self.channels, 2 * height, 2 * width),
            dtype=x.dtype,
            device=x.device,
            memory_format=torch.channels_last,
        )
        for row in range(2):
            for column in range(2):
                part = phases[:, row, column, :, row : row + height, column : column + width]
                out[:, :, row::2, column::2] = part
        return out


class LeanResidual(nn.Module):
    """A residual block whose activations and sum reuse memory."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.norm1, self.conv1 = block.norm1, block.conv1
        self.norm2, self.conv2 = block.norm2, block.conv2
        self.nin_shortcut = block.nin_shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, H, W) to (N, O, H, W)."""
        h = self.conv1(F.silu(self.norm1(x), inplace=True))
        h = self.conv2(F.silu(self.norm2(h), inplace=True))
        return h.add_(self.nin_shortcut(x))


def fast_decoder(decoder: Net) -> Net:
    """A copy of a decoder in the fast form."""
    fast = copy.deepcopy(decoder).requires_grad_(False)
    for parent in list(fast.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Upsample):
                setattr(parent, name, PhaseUpsample(child))
            elif isinstance(child, ResidualBlock):
                setattr(parent, name, LeanResidual(child))
    for parameter in fast.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return fast


def with_decoder(tokenizer: Net, decoder: nn.Module) -> Net:
    """A tokenizer that decodes with another decoder and shares everything else."""
    other = copy.copy(tokenizer)
    other._modules = {**tokenizer._modules, "decoder": decoder}
    return other
