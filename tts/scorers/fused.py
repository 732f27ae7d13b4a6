"""The scoring network with all that does not depend on a candidate taken out of the work on candidates.

The scores are those of ``ScorerNetwork`` but for rounding:

- The first block's first convolution and its shortcut's are linear in e_k = f_hat + increment, so the part of
  f_hat is computed once an image.
- On maps of 2x2 a 3x3 convolution multiplies padding more often than values: there it is a matrix. On maps of
  4x4 it is Winograd's F(2, 3) along each row, with two products where there are three.
- Class and scale reach the first linear layer as a bias of an image.

Axis letters: B images, M candidates, N rows, C channels, S pixels a side. Maps are flat: (N, C S S).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from tts.fast.compiling import compiled
from tts.scorers.network import SLOPE, ResidualBlock, ScorerNetwork


class FlatConv:
    """A convolution (O, C, k, k) without bias on flat maps of a side."""

    def __init__(self, kernel: Tensor, stride: int, side: int) -> None:
        self.kernel, self.stride, self.side = kernel, stride, side

    def __call__(self, flat: Tensor) -> Tensor:
        """(N, C S S) to (N, O S' S')."""
        maps = flat.unflatten(1, (-1, self.side, self.side))
        return F.conv2d(maps, self.kernel, stride=self.stride, padding=self.kernel.shape[-1] // 2).flatten(1)


class MatrixConv:
    """The same as one matrix, the images of all unit vectors."""

    def __init__(self, kernel: Tensor, stride: int, side: int) -> None:
        units = torch.eye(kernel.shape[1] * side**2, device=kernel.device)
        self.matrix = FlatConv(kernel.float(), stride, side)(units).to(kernel.dtype)

    def __call__(self, flat: Tensor) -> Tensor:
        """(N, C S S) to (N, O S' S')."""
        return flat @ self.matrix


class RowsConv:
    """A 3x3 convolution of stride one on maps of 4x4, by F(2, 3) along rows: eight products for four values.

    Winograd 1980; Lavin and Gray 2015 (1509.09308), section 4.1. The factors are 1 and 1/2, so that half
    precision loses little.
    """

    INPUT = (
        ((0, -1, 0, 0), (1, 1, 0, 0), (-1, 1, 0, 0), (1, 0, -1, 0)),  # of 0 a b c, the left tile
        ((0, 1, 0, -1), (0, 0, 1, 1), (0, 0, -1, 1), (0, 0, 1, 0)),  # of b c d 0, the right one
    )
    KERNEL = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))
    OUTPUT = ((1, 1, 1, 0), (0, 1, -1, -1))

    def __init__(self, kernel: Tensor) -> None:
        split, taps, join = (
            torch.tensor(part, device=kernel.device) for part in (self.INPUT, self.KERNEL, self.OUTPUT)
        )
        self.split = split.flatten(0, 1).to(kernel.dtype)  # 8 4
        self.join = torch.block_diag(join, join).T.contiguous().to(kernel.dtype)  # 8 4
        columns = torch.einsum("sx,ocyx->socy", taps, kernel.float())
        self.kernel = columns.repeat(2, 1, 1, 1).flatten(0, 1).to(kernel.dtype)  # 8O C 3

    def __call__(self, flat: Tensor) -> Tensor:
        """(N, 16 C) to (N, 16 O)."""
        columns = self.split @ flat.unflatten(1, (-1, 4)).transpose(1, 2)  # N 8 4C
        products = F.conv1d(
            columns.flatten(1).unflatten(1, (-1, 4)), self.kernel, padding=1, groups=8
        )  # N 8O 4
        return (products.flatten(1).unflatten(1, (8, -1)).transpose(1, 2) @ self.join).flatten(1)


def flat_conv(kernel: Tensor, stride: int, side: int, dtype: torch.dtype) -> FlatConv | MatrixConv | RowsConv:
    """A convolution (O, C, k, k) in the form of the fewest products."""
    kernel = kernel.to(dtype)
    if side**2 < kernel.shape[-1] ** 2:  # a matrix has S S products an output, a kernel k k
        return MatrixConv(kernel, stride, side)
    if side == 4 and stride == 1 and kernel.shape[-1] == 3:
        return RowsConv(kernel)
    return FlatConv(kernel, stride, side)


@dataclass(frozen=True)
class FlatNorm:
    """A LayerNorm over all of a flat map."""

    weight: Tensor
    bias: Tensor
    eps: float

    @staticmethod
    def of(norm: nn.LayerNorm, dtype: torch.dtype) -> FlatNorm:
        """The norm over channels, height and width."""
        return FlatNorm(norm.weight.flatten().to(dtype), norm.bias.flatten().to(dtype), norm.eps)

    def __call__(self, flat: Tensor) -> Tensor:
        """Same shape as ``flat`` (N, n)."""
        return F.layer_norm(flat, self.weight.shape, self.weight, self.bias, self.eps)


class FusedBlock:
    """A residual block on flat maps."""

    def __init__(self, block: ResidualBlock, side: int, dtype: torch.dtype) -> None:
        stride = block.conv1.stride[0]
        self.side = -(-side // stride)
        self.norms = [FlatNorm.of(norm, dtype) for norm in (block.ln1, block.ln2, block.ln3)]
        self.first = flat_conv(block.conv1.weight, stride, side, dtype)
        self.second = flat_conv(block.conv2.weight, 1, self.side, dtype)
        self.third = flat_conv(block.conv3.weight, 1, self.side, dtype)
        self.shortcut, self.norm = None, None
        if isinstance(block.shortcut, nn.Sequential):
            shortcut, norm = block.shortcut
            assert isinstance(shortcut, nn.Conv2d)
            assert isinstance(norm, nn.LayerNorm)
            self.shortcut = flat_conv(shortcut.weight, stride, side, dtype)
            self.norm = FlatNorm.of(norm, dtype)

    def __call__(self, flat: Tensor) -> Tensor:
        """(N, C S S) to (N, O S' S')."""
        return self.finish(self.first(flat), self.shortcut(flat) if self.shortcut else flat)

    def finish(self, first: Tensor, aside: Tensor) -> Tensor:
        """The block's output from those of its first convolution and of its shortcut's."""
        h = F.leaky_relu(self.norms[0](first), SLOPE, inplace=True)
        h = F.leaky_relu(self.norms[1](self.second(h)), SLOPE, inplace=True)
        h = self.norms[2](self.third(h)).add_(self.norm(aside) if self.norm else aside)
        return F.leaky_relu(h, SLOPE, inplace=True)


class FusedNetwork:
    """S(c, e_k, k) of a trained network, for candidates that share f_hat.

    Its blocks run in ``dtype``, the linear layers after them in float32: in half precision the scores of 128
    candidates would tie.
    """

    def __init__(
        self, network: ScorerNetwork, dtype: torch.dtype = torch.float32, compile_blocks: bool = False
    ) -> None:
        self.network, self.dtype = network, dtype
        self.blocks = list(_blocks(network, dtype))
        self.maps = self.blocks[-1].side ** 2 * network.config.widths[-1]  # inputs of the first linear layer
        body = FusedNetwork._body
        self.body: Callable[..., Tensor] = compiled(body) if compile_blocks else body

    def __call__(self, latent: Tensor | None, increments: Tensor, labels: Tensor, row: int) -> Tensor:
        """Scores (B, M) of e_k = latent (B, C, S, S) + increments (B, M, C, S, S), for labels (B,).

        Without a latent the increments are the maps. ``row`` is that of the scale embedding.
        """
        batch = increments.shape[0]
        h = self.body(self, latent, increments.flatten(0, 1).flatten(1))
        return rearrange(self._judged(h, labels, row), "(b m) -> b m", b=batch)

    def _body(self, latent: Tensor | None, increments: Tensor) -> Tensor:
        """The last block's output (BM, n), float32, for latents (B, C, S, S) and increments (BM, n)."""
        h = increments.to(self.dtype)
        h = self.blocks[0](h) if latent is None else self._entered(latent.flatten(1).to(self.dtype), h)
        for block in self.blocks[1:]:
            h = block(h)
        return h.float()

    def _entered(self, latent: Tensor, increments: Tensor) -> Tensor:
        """The first block's output (BM, n) for latents (B, n) and increments (BM, n)."""
        block = self.blocks[0]
        first = _added(block.first(latent), block.first(increments))
        if block.shortcut is None:
            return block.finish(first, _added(latent, increments))
        return block.finish(first, _added(block.shortcut(latent), block.shortcut(increments)))

    def _judged(self, h: Tensor, labels: Tensor, row: int) -> Tensor:
        """Scores (BM,) of the last block's output (BM, n)."""
        network = self.network
        first, *layers = network.fuser
        assert isinstance(first, nn.Linear)
        label = network.class_label_proj(network.class_label_embedding(labels))  # B E
        scale = network.stage_label_proj(network.stage_label_embedding.weight[row])  # E
        context = torch.cat((label, scale.expand_as(label)), dim=1)  # B 2E
        weight = first.weight
        x = _added(F.linear(context, weight[:, self.maps :], first.bias), h @ weight[:, : self.maps].T)
        for layer in layers:
            x = layer(x)
        return network.out_proj(x)[:, 0]


def _added(shared: Tensor, rows: Tensor) -> Tensor:
    """Rows (BM, n) of candidates plus what their images (B, n) have in common."""
    return (rows.unflatten(0, (shared.shape[0], -1)) + shared[:, None]).flatten(0, 1)


def _blocks(network: ScorerNetwork, dtype: torch.dtype) -> Iterator[FusedBlock]:
    """All residual blocks, made for the side of the maps that enter them."""
    side = network.config.grid
    for name in network.stages:
        for block in network.get_submodule(name).children():
            assert isinstance(block, ResidualBlock)
            fused = FusedBlock(block, side, dtype)
            yield fused
            side = fused.side
