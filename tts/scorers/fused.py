"""The scoring network with all that does not depend on a candidate taken out of the work on candidates.

The scores are those of ``ScorerNetwork`` but for rounding:

- A block's first convolution and its shortcut's are one convolution.
- The first block's is linear in e_k = f_hat + increment, so the part of f_hat is computed once an image.
- On maps of 2x2 a 3x3 convolution multiplies padding more often than values: there it is a matrix.
- Class and scale reach the first linear layer as a bias of an image.

Axis letters: B images, M candidates, N rows, C channels, S pixels a side. Maps are flat: (N, C S S).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from tts.scorers.network import SLOPE, ResidualBlock, ScorerNetwork


@dataclass(frozen=True)
class FlatConv:
    """A convolution (O, C, k, k) without bias on flat maps of a side; ``matrix`` where that is less work."""

    kernel: Tensor
    stride: int
    side: int
    matrix: Tensor | None

    @staticmethod
    def of(kernel: Tensor, stride: int, side: int, dtype: torch.dtype) -> FlatConv:
        """The convolution; its matrix is the image of every unit vector."""
        if side**2 >= kernel.shape[-1] ** 2:  # a matrix has S S products an output, a kernel k k
            return FlatConv(kernel.to(dtype), stride, side, None)
        units = torch.eye(kernel.shape[1] * side**2, device=kernel.device)
        return FlatConv(kernel, stride, side, FlatConv(kernel, stride, side, None)(units).to(dtype))

    def __call__(self, flat: Tensor) -> Tensor:
        """(N, C S S) to (N, O S' S')."""
        if self.matrix is not None:
            return flat @ self.matrix
        maps = flat.unflatten(1, (-1, self.side, self.side))
        return F.conv2d(maps, self.kernel, stride=self.stride, padding=self.kernel.shape[-1] // 2).flatten(1)


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
        kernel = block.conv1.weight
        self.norms = [FlatNorm.of(norm, dtype) for norm in (block.ln1, block.ln2, block.ln3)]
        self.shortcut: FlatNorm | None = None
        if isinstance(block.shortcut, nn.Sequential):
            shortcut, norm = block.shortcut
            assert isinstance(shortcut, nn.Conv2d)
            assert isinstance(norm, nn.LayerNorm)
            kernel = torch.cat((kernel, F.pad(shortcut.weight, (1, 1, 1, 1))))  # its weight is the centre
            self.shortcut = FlatNorm.of(norm, dtype)
        self.first = FlatConv.of(kernel, stride, side, dtype)
        self.side = -(-side // stride)
        self.second = FlatConv.of(block.conv2.weight, 1, self.side, dtype)
        self.third = FlatConv.of(block.conv3.weight, 1, self.side, dtype)

    def __call__(self, flat: Tensor) -> Tensor:
        """(N, C S S) to (N, O S' S')."""
        return self.finish(self.first(flat), flat)

    def finish(self, first: Tensor, flat: Tensor) -> Tensor:
        """The block's output from that of its first convolution; its input serves a plain shortcut."""
        if self.shortcut is not None:
            first, flat = first.chunk(2, dim=1)
            flat = self.shortcut(flat)
        h = F.leaky_relu(self.norms[0](first), SLOPE)
        h = F.leaky_relu(self.norms[1](self.second(h)), SLOPE)
        return F.leaky_relu(self.norms[2](self.third(h)) + flat, SLOPE)


class FusedNetwork:
    """S(c, e_k, k) of a trained network, for candidates that share f_hat.

    Its blocks run in ``dtype``, the linear layers after them in float32: in half precision the scores of 128
    candidates would tie.
    """

    def __init__(self, network: ScorerNetwork, dtype: torch.dtype = torch.float32) -> None:
        self.network, self.dtype = network, dtype
        self.blocks = list(_blocks(network, dtype))
        self.maps = self.blocks[-1].side ** 2 * network.config.widths[-1]  # inputs of the first linear layer

    def __call__(self, latent: Tensor | None, increments: Tensor, labels: Tensor, row: int) -> Tensor:
        """Scores (B, M) of e_k = latent (B, C, S, S) + increments (B, M, C, S, S), for labels (B,).

        Without a latent the increments are the maps. ``row`` is that of the scale embedding.
        """
        batch = increments.shape[0]
        h = rearrange(increments, "b m c h w -> (b m) (c h w)").to(self.dtype)
        h = self.blocks[0](h) if latent is None else self._entered(latent.flatten(1).to(self.dtype), h)
        for block in self.blocks[1:]:
            h = block(h)
        return rearrange(self._judged(h.float(), labels, row), "(b m) -> b m", b=batch)

    def _entered(self, latent: Tensor, increments: Tensor) -> Tensor:
        """The first block's output (BM, n) for latents (B, n) and increments (BM, n)."""
        block = self.blocks[0]
        first = _added(block.first(latent), block.first(increments))
        return block.finish(first, increments if block.shortcut else _added(latent, increments))

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
    """Rows (BM, n) of candidates with what their images (B, n) have in common added."""
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
