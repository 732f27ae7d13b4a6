"""The VAR transformer: next-scale prediction with adaLN-zero blocks and a key/value cache.

Module and parameter names are the published state-dict keys. Axis letters: B rows (both guidance halves),
L tokens, D width, A heads, V codes, C code channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD_DIM = 64
MAX_LOG_SCALE = math.log(100)


@dataclass(frozen=True)
class VarConfig:
    """Sizes of a VAR transformer; width and heads of the published models are 64 and 1 times the depth."""

    schedule: tuple[int, ...]
    depth: int
    width: int
    heads: int
    classes: int = 1000
    codebook_size: int = 4096
    channels: int = 32
    shared_adaln: bool = False

    @property
    def lengths(self) -> tuple[int, ...]:
        """Number of tokens of each scale."""
        return tuple(side * side for side in self.schedule)

    @property
    def tokens(self) -> int:
        """Number of tokens of an image."""
        return sum(self.lengths)


class KVCache:
    """Keys and values of one block for all tokens so far, preallocated: (B, A, L, 64) each."""

    def __init__(self, batch: int, heads: int, tokens: int, like: Tensor) -> None:
        self.keys = like.new_empty(batch, heads, tokens, HEAD_DIM)
        self.values = torch.empty_like(self.keys)

    def update(self, keys: Tensor, values: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Write (B, A, L_k, 64) at ``start``; returns the prefix up to and including it."""
        stop = start + keys.shape[2]
        self.keys[:, :, start:stop] = keys
        self.values[:, :, start:stop] = values
        return self.keys[:, :, :stop], self.values[:, :, :stop]


class Attention(nn.Module):
    """Multi-head attention with L2-normalised queries and keys and a learned scale a head."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale_mul_1H11 = nn.Parameter(torch.full((1, heads, 1, 1), math.log(4.0)))
        self.mat_qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, start: int, cache: KVCache | None, mask: Tensor | None) -> Tensor:
        """(B, L, D) to (B, L, D); attends to the cache's prefix, or within ``mask`` (L, L) without one."""
        bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
        qkv = F.linear(x, self.mat_qkv.weight, bias).unflatten(-1, (3, self.heads, -1))  # B L 3 A 64
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # B A L 64 each
        scale = self.scale_mul_1H11.float().clamp_max(MAX_LOG_SCALE).exp()
        q = (F.normalize(q.float(), dim=-1) * scale).to(v.dtype)  # float32: half loses the norm
        k = F.normalize(k.float(), dim=-1).to(v.dtype)
        if cache is not None:
            k, v = cache.update(k, v, start)
        h = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)  # B A L 64
        return self.proj(h.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Linear, GELU (tanh form), Linear."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) to (B, L, D)."""
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class SharedAdaLin(nn.Sequential):
    """One adaLN layer for the whole net (the 512x512 model)."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.SiLU(), nn.Linear(width, 6 * width))


class Block(nn.Module):
    """adaLN-zero block. The residual stream stays in float32; the products run in the weights' dtype."""

    def __init__(self, width: int, heads: int, shared_adaln: bool) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.ffn = FeedForward(width)
        if shared_adaln:
            self.ada_gss = nn.Parameter(torch.zeros(1, 1, 6, width))
        else:
            self.ada_lin = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def modulation(self, condition: Tensor, shared: Tensor | None) -> Tensor:
        """gamma1, gamma2, scale1, scale2, shift1, shift2 as (6, B, 1, D), float32."""
        if shared is not None:
            six = (self.ada_gss + shared)[:, 0]  # B 6 D
        else:
            six = self.ada_lin(condition).unflatten(-1, (6, -1))  # B 6 D
        return six.float().permute(1, 0, 2)[:, :, None]

    def forward(
        self, x: Tensor, six: Tensor, start: int = 0, cache: KVCache | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """(B, L, D) to (B, L, D), with ``six`` from ``modulation``."""
        gamma1, gamma2, scale1, scale2, shift1, shift2 = six
        dtype = self.ffn.fc1.weight.dtype
        h = (_layer_norm(x) * (1 + scale1) + shift1).to(dtype)
        x = x + gamma1 * self.attn(h, start, cache, mask)
        h = (_layer_norm(x) * (1 + scale2) + shift2).to(dtype)
        return x + gamma2 * self.ffn(h)


class HeadNorm(nn.Module):
    """Affine-free LayerNorm, scaled and shifted by the condition, before the classifier head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ada_lin = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, L, D) to (B, L, D), float32."""
        scale, shift = self.ada_lin(condition).float().unflatten(-1, (2, 1, -1)).unbind(1)  # B 1 D each
        return _layer_norm(x) * (1 + scale) + shift


def _layer_norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


class VarTransformer(nn.Module):
    """Predicts the token map of each scale from the latent of the scales before it."""

    def __init__(self, config: VarConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.word_embed = nn.Linear(config.channels, width)
        self.class_emb = nn.Embedding(config.classes + 1, width)
        self.pos_start = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_1LC = nn.Parameter(torch.zeros(1, config.tokens, width))
        self.lvl_embed = nn.Embedding(len(config.schedule), width)
        if config.shared_adaln:
            self.shared_ada_lin = SharedAdaLin(width)
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.shared_adaln) for _ in range(config.depth)
        )
        self.head_nm = HeadNorm(width)
        self.head = nn.Linear(width, config.codebook_size)

    def half_precision_(self, dtype: torch.dtype) -> VarTransformer:
        """Weights in ``dtype``, except the head, which stays in float32."""
        for name, parameter in self.named_parameters():
            if not name.startswith("head."):
                parameter.data = parameter.data.to(dtype)
        self.head.float()
        return self

    def condition(self, labels: Tensor) -> Tensor:
        """Class embedding (B, D) of labels (B,); label ``classes`` is the unconditional one."""
        return self.class_emb(labels)

    def modulations(self, condition: Tensor) -> list[Tensor]:
        """The six adaLN vectors of each block; the condition never changes, so once a batch is enough."""
        shared = None
        if self.config.shared_adaln:
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

    def classify(self, x: Tensor, condition: Tensor) -> Tensor:
        """Logits (B, L, V), float32, of the last block's output (B, L, D)."""
        return self.head(self.head_nm(x, condition))

    def forward(self, labels: Tensor, inputs: Tensor) -> Tensor:
        """Teacher-forced logits (B, sum L_k, V), without guidance.

        ``labels`` (B,) may hold ``classes`` for the unconditional class; ``inputs`` (B, sum L_k - 1, C) are
        the area-downsampled latents of scales 2..K.
        """
        condition = self.condition(labels)
        parts = [None, *inputs.split(self.config.lengths[1:], dim=1)]
        x = torch.cat([self.embed(part, condition, k) for k, part in enumerate(parts)], dim=1)  # B L D
        mask = self.block_causal_mask(x.device)
        for block, six in zip(self.blocks, self.modulations(condition), strict=True):
            x = block(x, six, mask=mask)
        return self.classify(x, condition)

    def block_causal_mask(self, device: torch.device) -> Tensor:
        """Boolean (L, L): a token sees all tokens of its own and of earlier scales."""
        lengths = torch.tensor(self.config.lengths)
        scale = torch.repeat_interleave(torch.arange(len(lengths)), lengths).to(device)
        return scale[:, None] >= scale[None, :]

    def new_caches(self, batch: int) -> list[KVCache]:
        """One empty cache a block, in the weights' dtype."""
        weight = self.word_embed.weight
        return [KVCache(batch, self.config.heads, self.config.tokens, weight) for _ in self.blocks]
