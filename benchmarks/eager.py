"""A baseline arm: VAR with LSRS, sampled in the structure of the published code, in eager PyTorch.

Written from the facts of the published models, with the weights of this project's modules. What it keeps of
the published structure: float32 weights that autocast casts at every call, adaLN of every row at every scale,
a key/value cache that grows by concatenation with its keys in float32, a sort of all codes and a multinomial
draw at every scale, M copies of f_hat for the scorer, whose maps and scores are alive at once, and a decoder
in the default memory format. What it does not keep: it filters a copy of the logits, and scores only where
there is more than one candidate.

Axis letters: B images, R rows of both guidance halves, M candidates, L tokens, D width, A heads, V codes.
"""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from tts.backbones.blocks import MAX_LOG_SCALE, Attention, Block
from tts.backbones.var import VarTransformer
from tts.backbones.vqvae import Vqvae
from tts.sampling import filter_logits
from tts.scorers.network import ScorerNetwork

HALF = ("linear", "conv2d", "matmul", "scaled_dot_product_attention")
WHOLE = ("layer_norm", "group_norm", "softmax", "cumsum", "normalize")


class CountedAutocast(TorchFunctionMode):
    """Autocast's casts, for the operations that occur here, on ``meta`` tensors, which have no autocast."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Cast what goes into an operation of either list."""
        dtype = {**dict.fromkeys(HALF, self.dtype), **dict.fromkeys(WHOLE, torch.float32)}.get(func.__name__)
        if dtype is None:
            return func(*args, **(kwargs or {}))
        args, kwargs = tree_map(lambda leaf: cast(leaf, dtype), (args, kwargs or {}))
        return func(*args, **kwargs)


def cast(leaf: Any, dtype: torch.dtype) -> Any:
    """A floating-point tensor in a dtype; anything else as it is."""
    return leaf.to(dtype) if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """Autocast to a dtype; none in float32."""
    if dtype == torch.float32:
        return nullcontext()
    return CountedAutocast(dtype) if device.type == "meta" else torch.autocast(device.type, dtype)


@dataclass
class GrowingCache:
    """Keys and values (R, A, L, 64) of one block, all of them copied for each scale."""

    keys: Tensor | None = None
    values: Tensor | None = None

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add a scale; all keys and values so far."""
        self.keys = keys if self.keys is None else torch.cat((self.keys, keys), dim=2)
        self.values = values if self.values is None else torch.cat((self.values, values), dim=2)
        return self.keys, self.values


@dataclass
class EagerSampler:
    """Transformer, tokenizer and scorer with float32 weights; ``dtype`` is what autocast computes in."""

    transformer: VarTransformer
    tokenizer: Vqvae
    scorer: ScorerNetwork
    dtype: torch.dtype
    generator: torch.Generator | None = None
    caches: list[GrowingCache] = field(default_factory=list)

    @torch.inference_mode()
    def sample(self, labels: Tensor, candidates: int, cfg: float, top_k: int, top_p: float) -> Tensor:
        """Images (B, 3, S, S) in [0, 1] for labels (B,), selecting from the second scale on."""
        with autocast(labels.device, self.dtype):
            return self._sample(labels, candidates, cfg, top_k, top_p)

    def _sample(self, labels: Tensor, candidates: int, cfg: float, top_k: int, top_p: float) -> Tensor:
        net, quantize, batch = self.transformer, self.tokenizer.quantize, len(labels)
        self.caches = [GrowingCache() for _ in net.blocks]
        condition = net.class_emb(torch.cat((labels, torch.full_like(labels, net.config.classes))))  # R D
        scales = len(net.config.schedule)
        f_hat = quantize.empty_latent(batch)  # B C H W
        inputs: Tensor | None = None
        for scale in range(scales):
            x = net.embed(inputs, condition, scale)  # R L D
            for block, cache in zip(net.blocks, self.caches, strict=True):
                x = self._block(block, x, condition, cache)
            conditional, unconditional = self._head(x, condition).chunk(2)  # B L V
            t = cfg * scale / (scales - 1)
            count = candidates if scale else 1
            drawn = self._draw((1 + t) * conditional - t * unconditional, count, top_k, top_p)  # B M L
            f_hat = self._chosen(f_hat, drawn, labels, scale)
            if scale + 1 < scales:
                inputs = quantize.next_input(f_hat, scale + 1).repeat(2, 1, 1)  # R L C
        return (self.tokenizer.decode(f_hat).float() + 1) / 2

    def _block(self, block: nn.Module, x: Tensor, condition: Tensor, cache: GrowingCache) -> Tensor:
        assert isinstance(block, Block)
        six = block.ada_lin(condition).unflatten(-1, (1, 6, -1)).unbind(2)  # R 1 D each
        gamma1, gamma2, scale1, scale2, shift1, shift2 = six
        width = x.shape[-1:]
        h = F.layer_norm(x, width, eps=1e-6) * (1 + scale1) + shift1
        x = x + gamma1 * self._attention(block.attn, h, cache)
        h = F.layer_norm(x, width, eps=1e-6) * (1 + scale2) + shift2
        return x + gamma2 * block.ffn(h)

    def _attention(self, attn: Attention, x: Tensor, cache: GrowingCache) -> Tensor:
        bias = torch.cat((attn.q_bias, torch.zeros_like(attn.q_bias), attn.v_bias))
        qkv = F.linear(x, attn.mat_qkv.weight, bias).unflatten(-1, (3, attn.heads, -1))  # R L 3 A 64
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # R A L 64 each
        scale = attn.scale_mul_1H11.clamp_max(MAX_LOG_SCALE).exp()
        q = F.normalize(q.float(), dim=-1) * scale
        k, v = cache.append(F.normalize(k.float(), dim=-1), v)
        h = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, scale=1.0)  # R A L 64
        return attn.proj(h.transpose(1, 2).flatten(2))

    def _head(self, x: Tensor, condition: Tensor) -> Tensor:
        """Logits (R, L, V) in float32."""
        hidden = self.transformer.head_nm(x.float(), condition).float()
        head = self.transformer.head
        if x.is_meta:  # one product: of its float32 weights nothing is cast
            return torch.addmm(head.bias, hidden.flatten(0, 1), head.weight.T).unflatten(0, x.shape[:2])
        with torch.autocast(x.device.type, enabled=False):
            return head(hidden)

    def _draw(self, logits: Tensor, count: int, top_k: int, top_p: float) -> Tensor:
        """Tokens (B, M, L) by a full sort and a multinomial draw over all codes."""
        batch, length, codes = logits.shape
        probabilities = filter_logits(logits.float(), top_k, top_p).softmax(dim=-1).view(-1, codes)
        drawn = torch.multinomial(probabilities, count, replacement=True, generator=self.generator)  # BL M
        return drawn.view(batch, length, count).transpose(1, 2)

    def _chosen(self, f_hat: Tensor, drawn: Tensor, labels: Tensor, scale: int) -> Tensor:
        """f_hat (B, C, H, W) with the candidate of the highest score added."""
        batch, count, _ = drawn.shape
        increments = self.tokenizer.quantize.increment(drawn.flatten(0, 1), scale)  # BM C H W
        maps = f_hat.repeat_interleave(count, dim=0) + increments
        if count == 1:
            return maps
        rows = labels.repeat_interleave(count)
        scores = self.scorer(maps, rows, torch.full_like(rows, scale)).float().view(batch, count)
        best = scores.argmax(dim=1) + count * torch.arange(batch, device=labels.device)
        return maps[best]


def compiled(sampler: EagerSampler) -> EagerSampler:
    """The same with weights in its dtype and compiled blocks and decoder: what a user makes in an hour."""
    transformer = copy.deepcopy(sampler.transformer).half_precision_(sampler.dtype)
    tokenizer = copy.deepcopy(sampler.tokenizer)
    tokenizer.decoder.to(sampler.dtype)
    tokenizer.post_quant_conv.to(sampler.dtype)
    torch._dynamo.config.cache_size_limit = 256  # a graph a scale
    other = EagerSampler(transformer, tokenizer, sampler.scorer, sampler.dtype, sampler.generator)
    other._block = torch.compile(other._block, dynamic=False)  # type: ignore[method-assign]
    tokenizer.decoder.compile(dynamic=False)
    return other
