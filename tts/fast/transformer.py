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

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from tts.backbones.blocks import HEAD_DIM, MAX_LOG_SCALE, Attention, Block, ScaleTransformer
from tts.fast.compiling import compiled, product
from tts.fast.graphs import FEW, Graphs, Record
from tts.fast.linear import MakeLinear, PlainLinear, fast_linear

Six = tuple[Tensor, ...]
"""A block's gamma1, gamma2, 1 + scale1, 1 + scale2, shift1, shift2, (R, 1, D) each."""


STAGES = 3
"""Most memories with recordings that are kept: one a number of rows, of which strategies have several."""


@dataclass(frozen=True)
class FastCache:
    """Keys and values of one block for all tokens, preallocated: (R, L, A, 64) each."""

    keys: Tensor
    values: Tensor

    def rows(self, rows: Tensor, stop: int) -> tuple[Tensor, Tensor]:
        """Copies of the first ``stop`` tokens of the given rows (R,)."""
        return self.keys[rows, :stop], self.values[rows, :stop]


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


class Stage:
    """The memory of a batch: its adaLN vectors and the caches of all blocks. Recordings read it where it is.

    ``modulations`` (N, 6, R, 1, D) are those of N blocks, ``head`` (2, R, 1, D) the head's scale and shift.
    """

    def __init__(
        self, modulations: Tensor, head: Tensor, net: ScaleTransformer, tokens: int, graphs: Graphs
    ) -> None:
        self.modulations, self.head, self.graphs = modulations, head, graphs
        rows = head.shape[1]
        keys = net.word_embed.weight.new_empty(len(net.blocks), 2, rows, tokens, net.heads, HEAD_DIM)
        self.caches = [FastCache(*pair.unbind()) for pair in keys.unbind()]
        self.tokens = tokens
        self.taken = False

    def fits(self, modulations: Tensor, head: Tensor, tokens: int) -> bool:
        """Whether no batch has this memory, and one with such vectors can."""
        return (
            not self.taken
            and tokens == self.tokens
            and modulations.shape == self.modulations.shape
            and head.shape == self.head.shape
        )

    def give_back(self) -> None:
        """Let another batch have it."""
        self.taken = False


class FastTransformer:
    """The blocks and the head of a transformer; its embeddings are used as they are.

    Compiled blocks have plain layers, since compilers do not see into packed ones. With ``record`` the steps
    of few tokens are recorded (``tts.fast.graphs``), in memory that one batch after the other uses.
    """

    def __init__(
        self, transformer: ScaleTransformer, compile_blocks: bool = False, record: Record | None = None
    ) -> None:
        linear = PlainLinear if compile_blocks else fast_linear
        with torch.inference_mode():
            self.blocks = [FastBlock(cast(Block, block), linear) for block in transformer.blocks]
            self.head = fast_linear(transformer.head.weight, transformer.head.bias)
        self.run: Callable[..., Tensor] = compiled(FastBlock.forward) if compile_blocks else FastBlock.forward
        self.transformer = transformer
        self.record = record
        self.few = FEW
        self.stages: list[Stage] = []  # with recordings, the one used longest ago first

    def start(self, labels: Tensor, tokens: int) -> FastSession:
        """A batch of labels (R,) for images of so many tokens."""
        return FastSession(self, labels, tokens)

    def step(self, stage: Stage, start: int, x: Tensor) -> Tensor:
        """Logits (R, L, V), float32, of tokens (R, L, D), from position ``start`` on."""
        for block, six, cache in zip(self.blocks, stage.modulations, stage.caches, strict=True):
            x = self.run(block, x, six.unbind(), cache, start)
        scale, shift = stage.head
        return self.head(modulated(x, scale, shift, torch.float32))

    def place(self, modulations: Tensor, head: Tensor, tokens: int) -> Stage:
        """Memory for a batch with these vectors, with the recordings that belong to it."""
        if any(stage.graphs.failed for stage in self.stages):
            self.record = None
            self.stages.clear()
        stage = next((stage for stage in self.stages if stage.fits(modulations, head, tokens)), None)
        if stage is not None:
            stage.modulations.copy_(modulations)
            stage.head.copy_(head)
            self.stages.remove(stage)
        else:
            free = [old for old in self.stages if not old.taken]
            if len(self.stages) >= STAGES and free:
                self.stages.remove(free[0])  # the one used longest ago, before there is a new one
            keeps = self.record is not None and len(self.stages) < STAGES
            graphs = Graphs(self.record if keeps else None, self.few)
            stage = Stage(modulations, head, self.transformer, tokens, graphs)
            if not keeps:
                return stage
        self.stages.append(stage)
        stage.taken = True
        return stage


class FastSession:
    """A batch on its way through the blocks; ``condition`` (R, D) is its class embedding."""

    def __init__(self, fast: FastTransformer, labels: Tensor, tokens: int) -> None:
        net = fast.transformer
        distinct, row = (part.to(labels.device) for part in labels.cpu().unique(return_inverse=True))  # U, R
        condition = net.condition(distinct)  # U D
        self.fast = fast
        self.tokens = tokens
        self.stop = 0  # tokens that the caches have
        self.condition = condition[row]
        modulations = torch.stack(net.modulations(condition))  # N 6 U 1 D
        modulations[:, 2:4] += 1  # the scales
        head = net.head_nm.ada_lin(condition).float().unflatten(-1, (2, 1, -1)).transpose(0, 1)  # 2 U 1 D
        head = head[:, row]  # 2 R 1 D
        head[0] += 1
        self._enter(modulations[:, :, row], head)

    def _enter(self, modulations: Tensor, head: Tensor) -> None:
        self.stage = self.fast.place(modulations, head, self.tokens)
        self._leave = weakref.finalize(self, self.stage.give_back)

    def reindex(self, rows: Tensor) -> None:
        """Keep the given rows (R,) of the batch, with repetition."""
        old = self.stage
        self.condition = self.condition[rows]
        kept = [cache.rows(rows, self.stop) for cache in old.caches]
        self._leave()
        self._enter(old.modulations[:, :, rows], old.head[:, rows])
        for cache, (keys, values) in zip(self.caches, kept, strict=True):
            cache.keys[:, : self.stop], cache.values[:, : self.stop] = keys, values

    @property
    def caches(self) -> list[FastCache]:
        """Keys and values of each block."""
        return self.stage.caches

    def logits(self, x: Tensor, start: int) -> Tensor:
        """Logits (R, L_k, V), float32, of one scale's tokens (R, L_k, D), from position ``start`` on."""
        self.stop = start + x.shape[1]
        step = partial(self.fast.step, self.stage, start)
        return self.stage.graphs.run((start, x.shape), step, x, x.shape[0] * x.shape[1])
