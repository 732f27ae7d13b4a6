"""FlexVAR's tokenizer: a VQGAN encoder and decoder around one L2-normalised codebook, without a residual.

Module and parameter names are the published state-dict keys. Axis letters: N images, L tokens of a scale,
C code channels, Z latent channels, S a side, H W the encoder's grid.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tts import limits
from tts.backbones.vqvae import GROUPS, Downsample, ResidualBlock, Upsample
from tts.specs import Schedule


@dataclass(frozen=True)
class FlexVaeConfig:
    """Sizes of the tokenizer; the defaults are the published ones (f16, 8912 codes of 32 channels)."""

    codebook_size: limits.Codes = 8912
    channels: limits.Width = 32
    latent: limits.Width = 256
    width: limits.Width = 128
    multipliers: limits.Multipliers = (1, 1, 2, 2, 4)
    blocks: limits.Layers = 2

    @property
    def factor(self) -> int:
        """Pixels of an image for each position of the latent grid, along a side."""
        return 2 ** (len(self.multipliers) - 1)


class SpatialAttention(nn.Module):
    """Single-head attention over all positions of a feature map, with separate projections."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels, eps=1e-6)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x`` (N, C, H, W)."""
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2).transpose(1, 2)[:, None] for layer in (self.q, self.k, self.v))
        h = F.scaled_dot_product_attention(q, k, v)[:, 0]  # N HW C
        return x + self.proj_out(h.transpose(1, 2).unflatten(2, x.shape[2:]))


class Level(nn.Module):
    """Residual blocks of one resolution, attention after each at the lowest one, and a resampling."""

    def __init__(self, widths: list[int], attention: bool, resample: tuple[str, nn.Module] | None) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.res = nn.ModuleList(ResidualBlock(i, o) for i, o in pairs)
        self.attn = nn.ModuleList(SpatialAttention(o) for _, o in pairs if attention)
        self.resample = resample[0] if resample else None
        if resample:
            self.add_module(*resample)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) through the level, resampled where the level does that."""
        for i, block in enumerate(self.res):
            x = block(x)
            if self.attn:
                x = self.attn[i](x)
        return self.get_submodule(self.resample)(x) if self.resample else x


def middle(channels: int) -> nn.Sequential:
    """Residual block, attention, residual block at the lowest resolution."""
    ends = (ResidualBlock(channels, channels) for _ in range(2))
    return nn.Sequential(next(ends), SpatialAttention(channels), next(ends))


class Encoder(nn.Module):
    """Images (N, 3, ., .) in [-1, 1] to features (N, Z, H, W)."""

    def __init__(self, config: FlexVaeConfig) -> None:
        super().__init__()
        widths = [config.width * m for m in config.multipliers]
        self.conv_in = nn.Conv2d(3, config.width, 3, padding=1)
        self.conv_blocks = nn.ModuleList()
        previous = config.width
        for i, width in enumerate(widths):
            lowest = i == len(widths) - 1
            resample = None if lowest else ("downsample", Downsample(width))
            self.conv_blocks.append(Level([previous, *[width] * config.blocks], lowest, resample))
            previous = width
        self.mid = middle(previous)
        self.norm_out = nn.GroupNorm(GROUPS, previous, eps=1e-6)
        self.conv_out = nn.Conv2d(previous, config.latent, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Encode images."""
        x = self.conv_in(x)
        for level in self.conv_blocks:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    """Features (N, Z, S, S) to images (N, 3, ., .), nominally in [-1, 1]; levels run from the lowest up."""

    def __init__(self, config: FlexVaeConfig) -> None:
        super().__init__()
        widths = [config.width * m for m in reversed(config.multipliers)]
        self.conv_in = nn.Conv2d(config.latent, widths[0], 3, padding=1)
        self.mid = middle(widths[0])
        self.conv_blocks = nn.ModuleList()
        previous = widths[0]
        for i, width in enumerate(widths):
            resample = None if i == len(widths) - 1 else ("upsample", Upsample(width))
            self.conv_blocks.append(Level([previous, *[width] * (config.blocks + 1)], i == 0, resample))
            previous = width
        self.norm_out = nn.GroupNorm(GROUPS, previous, eps=1e-6)
        self.conv_out = nn.Conv2d(previous, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Decode features."""
        x = self.mid(self.conv_in(x))
        for level in self.conv_blocks:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Codebook(nn.Module):
    """Codes of unit length: they are L2-normalised wherever they are used."""

    def __init__(self, codebook_size: int, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codebook_size, channels)

    @property
    def codes(self) -> Tensor:
        """All codes (V, C), each of length 1."""
        return F.normalize(self.embedding.weight, dim=-1)

    def code_map(self, tokens: Tensor, side: int) -> Tensor:
        """Code map (N, C, S, S) of tokens (N, S * S)."""
        vectors = F.normalize(self.embedding(tokens), dim=-1)  # N L C
        return vectors.transpose(1, 2).unflatten(2, (side, side))

    def nearest(self, vectors: Tensor) -> Tensor:
        """Nearest code (n,), by Euclidean distance, of vectors (n, C) of any length."""
        codes, unit = self.codes, F.normalize(vectors, dim=-1)
        distance = codes.square().sum(1) - 2 * unit @ codes.T + unit.square().sum(1, keepdim=True)
        return distance.argmin(dim=1)


class FlexVae(nn.Module):
    """The tokenizer: encoder, codebook, decoder. Images are in [-1, 1]."""

    def __init__(self, config: FlexVaeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quantize = Codebook(config.codebook_size, config.channels)
        self.quant_conv = nn.Conv2d(config.latent, config.channels, 1)
        self.post_quant_conv = nn.Conv2d(config.channels, config.latent, 1)

    def vectors(self, features: Tensor, side: int) -> Tensor:
        """What is quantized at a side: encoder features (N, Z, H, W), area-downsampled: (N, L, C)."""
        if features.shape[-1] != side:
            features = F.interpolate(features, size=(side, side), mode="area")
        return self.quant_conv(features).flatten(2).transpose(1, 2)

    def encode(self, images: Tensor, schedule: Schedule) -> Tensor:
        """Token maps (N, sum L_k) of images (N, 3, ., .) in [-1, 1], each scale by itself."""
        features = self.encoder(images)
        maps = []
        for side in schedule:
            vectors = self.vectors(features, side)  # N L C
            maps.append(self.quantize.nearest(vectors.flatten(0, 1)).unflatten(0, vectors.shape[:2]))
        return torch.cat(maps, dim=1)

    def code_maps(self, tokens: Tensor, schedule: Schedule) -> list[Tensor]:
        """Code map (N, C, S, S) of each scale of token maps (N, sum L_k)."""
        parts = tokens.split([side * side for side in schedule], dim=1)
        return [self.quantize.code_map(part, side) for part, side in zip(parts, schedule, strict=True)]

    def decode(self, code_map: Tensor) -> Tensor:
        """Images (N, 3, ., .), float32, of the last scale's code map alone; the range may exceed [-1, 1]."""
        weight = self.post_quant_conv.weight
        images: Tensor = self.decoder(self.post_quant_conv(code_map.to(weight.dtype)))
        return images.float()
