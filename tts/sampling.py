"""From guided logits to candidate tokens: top-k, top-p and inverse-CDF draws.

The filter follows the published rule of VAR; it never changes its input and is applied once a scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from einops import rearrange
from torch import Tensor


def filter_logits(logits: Tensor, top_k: int, top_p: float) -> Tensor:
    """Logits (..., V) with every code outside top-k and top-p at minus infinity. 0 turns either off.

    Top-k keeps every logit that is not below the k-th largest (ties stay). Top-p then drops the codes whose
    ascending cumulative probability is at most ``1 - top_p``; the largest always stays.
    """
    if 0 < top_k < logits.shape[-1]:
        kth = logits.topk(top_k, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if top_p > 0:
        ascending, order = logits.sort(dim=-1)
        drop = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - top_p
        drop[..., -1] = False
        logits = logits.masked_fill(drop.scatter(-1, order, drop), -torch.inf)
    return logits


def below_total(uniforms: Tensor, total: Tensor) -> Tensor:
    """Uniforms (B, L, M) as parts of totals (B, L, 1), which rounding may not make equal to a total."""
    return torch.minimum(uniforms * total, torch.nextafter(total, torch.zeros_like(total)))


class Distribution(Protocol):
    """The filtered distribution of one scale's tokens."""

    def draw(self, uniforms: Tensor) -> Tensor:
        """Tokens (B, M, L), int64, that uniforms (B, M, L) in (0, 1) stand for."""
        ...

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probabilities (B, M, L) of drawn tokens (B, M, L)."""
        ...

    def of_rows(self, rows: Tensor) -> Distribution:
        """Those of the given rows (R,) of the batch, with repetition."""
        ...


@dataclass(frozen=True)
class TokenDistribution:
    """The filtered distribution of one scale's tokens: ``log_probs`` and ``cdf`` (B, L, V), float32."""

    log_probs: Tensor
    cdf: Tensor

    @staticmethod
    def from_logits(logits: Tensor, top_k: int, top_p: float) -> TokenDistribution:
        """Filter guided logits (B, L, V) once; every candidate of the scale is drawn from the result."""
        log_probs = filter_logits(logits.float(), top_k, top_p).log_softmax(dim=-1)
        return TokenDistribution(log_probs, log_probs.exp().cumsum(dim=-1))

    def draw(self, uniforms: Tensor) -> Tensor:
        """Tokens (B, M, L), int64, by inverting the CDF at uniforms (B, M, L).

        A code of zero probability is never drawn: the search finds the first code whose cumulative
        probability exceeds the target, and targets stay below the total.
        """
        target = below_total(rearrange(uniforms, "b m l -> b l m"), self.cdf[..., -1:])
        tokens = torch.searchsorted(self.cdf, target.contiguous(), right=True)  # B L M
        return rearrange(tokens, "b l m -> b m l").contiguous()

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probabilities (B, M, L) of tokens (B, M, L)."""
        gathered = self.log_probs.gather(-1, rearrange(tokens, "b m l -> b l m"))
        return rearrange(gathered, "b l m -> b m l")

    def of_rows(self, rows: Tensor) -> TokenDistribution:
        """Those of the given rows (R,) of the batch, with repetition."""
        return TokenDistribution(self.log_probs[rows], self.cdf[rows])
