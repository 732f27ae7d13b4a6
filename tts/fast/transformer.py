"""The blocks of VAR and FlexVAR in fewer and shorter operations than ``tts.backbones.blocks``.

Same weights, and the same results but for rounding:

- adaLN is computed once a batch for the distinct labels, of which guidance makes half of the rows one.
- A product and a sum are one operation, which writes the precision that the next one reads.
- Keys are scaled into the cache where they are written; it holds tokens in the order in which they come, so
  that nothing is moved.
- On a CPU linear layers are packed (``tts.fast.linear``).

Axis letters: R rows (both guidance halves), U distinct labels, L tokens, D width, A heads, V codes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from tts.backbones.blocks import HEAD_DIM, MAX_LOG_SCALE, Attention, Block, ScaleTransformer
from tts.fast.compiling import compiled, product
from tts.fast.linear import MakeLinear, PlainLinear, fast_linear

Six = tuple[Tensor, ...]
"""A block's gamma1, gamma2, 1 + scale1, 1 + scale2, shift1, shift2, (R, 1, D) each."""


@dataclass(frozen=True)
class FastCache:
    """Keys and values of one block for all tokens, preallocated: (R, L, A, 64) each."""

    keys: Tensor
    values: Tensor


class FastAttention:
    """Attention with the norms of queries and keys in float32 and everything else in the weights' dtype."""

    def __init__(self, attn: Attention, linear: MakeLinear) -> None:
        self.heads = attn.heads
        bias = torch.cat((attn.q_bias, torch.zeros_like(attn.q_bias), attn.v_bias))
        self.qkv = linear(attn.mat_qkv.weight, bias)
        self.proj = linear(attn.proj.weight, attn.proj.bias)
        scale = attn.scale_mul_1H11.float().clamp_max(MAX_LOG_SCALE).exp().view(1, -1, 1)
        self.length = torch.cat((scale, torch.ones_like(scale)))  # 2 A 1: of queries and keys

    def __call__(self, h: Tensor, cache: FastCache, start: int) -> Tensor:
        """(R, L, D) to (R, L, D); writes to the cache from ``start`` on and attends to all up to there."""
        stop = start + h.shape[1]
        qkv = self.qkv(h).unflatten(-1, (3, self.heads, HEAD_DIM))  # R L 3 A 64
        norm = torch.linalg.vector_norm(qkv[:, :, :2], dim=-1, keepdim=True, dtype=torch.float32)
        factor = self.length / norm.clamp_min_(1e-12)  # R L 2 A 1
        q = product(qkv[:, :, 0], factor[:, :, 0], torch.empty_like(qkv[:, :, 0]))  # R L A 64
        product(qkv[:, :, 1], factor[:, :, 1], cache.keys[:, start:stop])
        cache.values[:, start:stop] = qkv[:, :, 2]
        k, v = cache.keys[:, :stop].transpose(1, 2), cache.values[:, :stop].transpose(1, 2)
        out = F.scaled_dot_product_attention(q.transpose(1, 2), k, v, scale=1.0)  # R A L 64
        return self.proj(out.transpose(1, 2).flatten(2))


class FastBlock:
    """An adaLN-zero block. The residual stream stays in float32."""

    def __init__(self, block: Block, linear: MakeLinear = fast_linear) -> None:
        self.attn = FastAttention(block.attn, linear)
        self.fc1 = linear(block.ffn.fc1.weight, block.ffn.fc1.bias, gelu=True)
        self.fc2 = linear(block.ffn.fc2.weight, block.ffn.fc2.bias)
        self.dtype = block.ffn.fc1.weight.dtype

    def forward(self, x: Tensor, six: Six, cache: FastCache, start: int) -> Tensor:
        """(R, L, D) to (R, L, D), float32."""
        gamma1, gamma2, scale1, scale2, shift1, shift2 = six
        x = torch.addcmul(x, gamma1, self.attn(modulated(x, scale1, shift1, self.dtype), cache, start))
        return torch.addcmul(x, gamma2, self.fc2(self.fc1(modulated(x, scale2, shift2, self.dtype))))


def modulated(x: Tensor, scale: Tensor, shift: Tensor, dtype: torch.dtype) -> Tensor:
    """LayerNorm of (R, L, D), times ``scale`` plus ``shift`` (R, 1, D), in float32, written in ``dtype``."""
    h = F.layer_norm(x, x.shape[-1:], eps=1e-6)
    if torch.compiler.is_compiling():
        return torch.addcmul(shift, h, scale).to(dtype)
    return torch.addcmul(shift, h, scale, out=torch.empty_like(h, dtype=dtype))


class FastTransformer:
    """The blocks and the head of a transformer; its embeddings are used as they are.

    Compiled blocks have plain layers, since compilers do not see into packed ones.
    """

    def __init__(self, transformer: ScaleTransformer, compile_blocks: bool = False) -> None:
        linear = PlainLinear if compile_blocks else fast_linear
        with torch.inference_mode():
            self.blocks = [FastBlock(cast(Block, block), linear) for block in transformer.blocks]
            self.head = fast_linear(transformer.head.weight, transformer.head.bias)
        self.run: Callable[..., Tensor] = compiled(FastBlock.forward) if compile_blocks else FastBlock.forward
        self.transformer = transformer

    def start(self, labels: Tensor, tokens: int) -> FastSession:
        """A batch of labels (R,) for images of so many tokens."""
        return FastSession(self, labels, tokens)


class FastSession:
    """A batch on its way through the blocks; ``condition`` (R, D) is its class embedding."""

    def __init__(self, fast: FastTransformer, labels: Tensor, tokens: int) -> None:
        net = fast.transformer
        distinct, row = (part.to(labels.device) for part in labels.cpu().unique(return_inverse=True))  # U, R
        condition = net.condition(distinct)  # U D
        self.fast = fast
        self.condition = condition[row]
        self.modulations = [expanded(six, row) for six in net.modulations(condition)]
        scale, shift = net.head_nm.ada_lin(condition).float()[row].unflatten(-1, (2, 1, -1)).unbind(1)
        self.head_scale, self.head_shift = 1 + scale, shift  # R 1 D each
        keys = net.word_embed.weight.new_empty(len(net.blocks), 2, len(row), tokens, net.heads, HEAD_DIM)
        self.caches = [FastCache(*pair.unbind()) for pair in keys.unbind()]

    def logits(self, x: Tensor, start: int) -> Tensor:
        """Logits (R, L_k, V), float32, of one scale's tokens (R, L_k, D), from position ``start`` on."""
        for block, six, cache in zip(self.fast.blocks, self.modulations, self.caches, strict=True):
            x = self.fast.run(block, x, six, cache, start)
        return self.fast.head(modulated(x, self.head_scale, self.head_shift, torch.float32))


def expanded(six: Tensor, row: Tensor) -> Six:
    """A block's vectors (6, U, 1, D) for all rows (R,), with one added to the scales."""
    six = six.clone()
    six[2:4] += 1
    return six[:, row].unbind()
