"""VAR's multi-scale VQ-VAE: a VQGAN encoder and decoder around the residual quantizer.

Module and parameter names are the published state-dict keys.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from tts import limits
from tts.backbones.quantizer import ResidualQuantizer

GROUPS = 32


@dataclass(frozen=True)
class VqvaeConfig:
    """Sizes of the tokenizer; the defaults are the published ones (f16, 32 channels, 4096 codes)."""

    schedule: limits.Schedule
    codebook_size: limits.Codes = 4096
    channels: limits.Width = 32
    width: limits.Width = 160
    multipliers: limits.Multipliers = (1, 1, 2, 2, 4)
    blocks: limits.Layers = 2

    @property
    def image_size(self) -> int:
        """Side of the images: every level but the last halves it."""
        return self.schedule[-1] * 2 ** (len(self.multipliers) - 1)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(GROUPS, channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """GroupNorm, SiLU, conv, GroupNorm, SiLU, conv, plus a 1x1 shortcut where the width changes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = _norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = _norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return self.nin_shortcut(x) + h


class SpatialAttention(nn.Module):
    """Single-head attention over all positions of a feature map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x`` (N, C, H, W)."""
        qkv = self.qkv(self.norm(x)).flatten(2).transpose(1, 2)  # N HW 3C
        q, k, v = qkv.chunk(3, dim=-1)
        h = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]  # N HW C
        return x + self.proj_out(h.transpose(1, 2).unflatten(2, x.shape[2:]))


class Downsample(nn.Module):
    """Pad right and bottom by one, then a convolution of stride two."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H/2, W/2)."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Nearest-neighbour doubling, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, 2H, 2W)."""
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class Level(nn.Module):
    """Residual blocks of one resolution, attention after each at the lowest one, and a resampling."""

    def __init__(self, widths: list[int], attention: bool, resample: tuple[str, nn.Module] | None) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.block = nn.ModuleList(ResidualBlock(i, o) for i, o in pairs)
        self.attn = nn.ModuleList(SpatialAttention(o) for _, o in pairs if attention)
        self.resample = resample[0] if resample else None
        if resample:
            self.add_module(*resample)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) through the level, resampled where the level does that."""
        for i, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[i](x)
        return self.get_submodule(self.resample)(x) if self.resample else x


class Middle(nn.Module):
    """Residual block, attention, residual block at the lowest resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(channels, channels)
        self.attn_1 = SpatialAttention(channels)
        self.block_2 = ResidualBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as ``x``."""
        return self.block_2(self.attn_1(self.block_1(x)))


class Encoder(nn.Module):
    """Images (N, 3, S, S) in [-1, 1] to features (N, C, H, W)."""

    def __init__(self, config: VqvaeConfig) -> None:
        super().__init__()
        widths = [config.width * m for m in config.multipliers]
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(3, config.width, 3, padding=1)
        self.down = nn.ModuleList()
        previous = config.width
        for i, width in enumerate(widths):
            resample = ("downsample", Downsample(width)) if i != last else None
            self.down.append(Level([previous, *[width] * config.blocks], i == last, resample))
            previous = width
        self.mid = Middle(previous)
        self.norm_out = _norm(previous)
        self.conv_out = nn.Conv2d(previous, config.channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Encode images."""
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    """Features (N, C, H, W) to images (N, 3, S, S), nominally in [-1, 1]."""

    def __init__(self, config: VqvaeConfig) -> None:
        super().__init__()
        widths = [config.width * m for m in config.multipliers]
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(config.channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1])
        levels = []
        previous = widths[-1]
        for i in reversed(range(len(widths))):
            resample = ("upsample", Upsample(widths[i])) if i != 0 else None
            levels.append(Level([previous, *[widths[i]] * (config.blocks + 1)], i == last, resample))
            previous = widths[i]
        self.up = nn.ModuleList(reversed(levels))  # up.0 is the highest resolution
        self.norm_out = _norm(previous)
        self.conv_out = nn.Conv2d(previous, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Decode features."""
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Vqvae(nn.Module):
    """The tokenizer: encoder, residual quantizer, decoder. Images are in [-1, 1]."""

    def __init__(self, config: VqvaeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quantize = ResidualQuantizer(config.schedule, config.codebook_size, config.channels)
        self.quant_conv = nn.Conv2d(config.channels, config.channels, 3, padding=1)
        self.post_quant_conv = nn.Conv2d(config.channels, config.channels, 3, padding=1)

    def features(self, images: Tensor) -> Tensor:
        """Encoder features (N, C, H, W) of images (N, 3, S, S) in [-1, 1]."""
        return self.quant_conv(self.encoder(images))

    def encode(self, images: Tensor) -> Tensor:
        """Token maps (N, sum L_k) of images (N, 3, S, S) in [-1, 1]."""
        return self.quantize.encode(self.features(images))

    def decode(self, f_hat: Tensor) -> Tensor:
        """Images (N, 3, S, S), clamped to [-1, 1], of the latent f_hat (N, C, H, W)."""
        weight = self.post_quant_conv.weight
        images: Tensor = self.decoder(self.post_quant_conv(f_hat.to(weight.dtype)))
        return images.float().clamp(-1, 1)
