"""What the transformers of VAR and FlexVAR share: adaLN-zero blocks, a key/value cache, the classifier head.

Module and parameter names are the published state-dict keys. Axis letters: B rows (both guidance halves),
L tokens, D width, A heads, V codes, C code channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tts import limits

HEAD_DIM = 64
MAX_LOG_SCALE = math.log(100)


@dataclass(frozen=True, kw_only=True)
class TransformerSizes:
    """Sizes of the shared parts; width and heads of the published models are 64 and 1 times the depth.

    ``schedule`` holds the side of each scale. Stored descriptions keep the order of the fields.
    """

    schedule: limits.Schedule
    depth: limits.Layers
    width: limits.Width
    heads: limits.Width
    classes: limits.Classes = 1000
    codebook_size: limits.Codes
    channels: limits.Width = 32


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

    def reindexed(self, rows: Tensor, stop: int) -> KVCache:
        """A cache of the given rows (R,), with the first ``stop`` tokens of each."""
        _, heads, tokens, _ = self.keys.shape
        other = KVCache(len(rows), heads, tokens, self.keys)
        other.keys[:, :, :stop] = self.keys[rows, :, :stop]
        other.values[:, :, :stop] = self.values[rows, :, :stop]
        return other


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


class ScaleTransformer(nn.Module):
    """Embeddings, blocks and head; how a scale enters the first block is the family's own."""

    def __init__(self, sizes: TransformerSizes, shared_adaln: bool) -> None:
        super().__init__()
        width = sizes.width
        self.word_embed = nn.Linear(sizes.channels, width)
        self.class_emb = nn.Embedding(sizes.classes + 1, width)
        self.pos_start = nn.Parameter(torch.zeros(1, 1, width))
        self.blocks = nn.ModuleList(Block(width, sizes.heads, shared_adaln) for _ in range(sizes.depth))
        self.head_nm = HeadNorm(width)
        self.head = nn.Linear(width, sizes.codebook_size)
        self.heads = sizes.heads

    def half_precision_(self: Self, dtype: torch.dtype) -> Self:
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
        return [cast(Block, block).modulation(condition, None) for block in self.blocks]

    def classify(self, x: Tensor, condition: Tensor) -> Tensor:
        """Logits (B, L, V), float32, of the last block's output (B, L, D)."""
        return self.head(self.head_nm(x, condition))

    def cached(
        self, x: Tensor, condition: Tensor, modulations: list[Tensor], caches: list[KVCache], start: int
    ) -> Tensor:
        """Logits (B, L_k, V) of one scale's tokens (B, L_k, D), from position ``start`` on."""
        for block, six, cache in zip(self.blocks, modulations, caches, strict=True):
            x = block(x, six, start, cache)
        return self.classify(x, condition)

    def teacher_forced(self, x: Tensor, condition: Tensor, lengths: Sequence[int]) -> Tensor:
        """Logits (B, sum L_k, V) of the tokens of all scales at once (B, sum L_k, D)."""
        mask = block_causal_mask(lengths, x.device)
        for block, six in zip(self.blocks, self.modulations(condition), strict=True):
            x = block(x, six, mask=mask)
        return self.classify(x, condition)

    def new_caches(self, batch: int, tokens: int) -> list[KVCache]:
        """One empty cache a block for images of so many tokens, in the weights' dtype."""
        return [KVCache(batch, self.heads, tokens, self.word_embed.weight) for _ in self.blocks]

    def start(self, labels: Tensor, tokens: int) -> Session:
        """A batch of labels (B,) for images of so many tokens."""
        return Session(self, labels, tokens)


class Session:
    """A batch on its way through the blocks; ``condition`` (B, D) is its class embedding."""

    def __init__(self, net: ScaleTransformer, labels: Tensor, tokens: int) -> None:
        self.net = net
        self.condition = net.condition(labels)
        self.modulations = net.modulations(self.condition)
        self.caches = net.new_caches(len(labels), tokens)
        self.stop = 0  # tokens that the caches have

    def logits(self, x: Tensor, start: int) -> Tensor:
        """Logits (B, L_k, V), float32, of one scale's tokens (B, L_k, D), from position ``start`` on."""
        self.stop = start + x.shape[1]
        return self.net.cached(x, self.condition, self.modulations, self.caches, start)

    def reindex(self, rows: Tensor) -> None:
        """Keep the given rows (R,) of the batch, with repetition."""
        self.condition = self.condition[rows]
        self.modulations = [six[:, rows] for six in self.modulations]
        self.caches = [cache.reindexed(rows, self.stop) for cache in self.caches]


def block_causal_mask(lengths: Sequence[int], device: torch.device) -> Tensor:
    """Boolean (L, L): a token sees all tokens of its own and of earlier scales."""
    scale = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)).to(device)
    return scale[:, None] >= scale[None, :]


Self = TypeVar("Self", bound=ScaleTransformer)
