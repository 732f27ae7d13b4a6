"""Candidate tokens without a full sort: the fast form of ``tts.sampling``.

The filters keep the codes with the highest logits, so in descending order the kept ones come first. One
``topk`` of little more than k columns finds them; softmax, cumulative sum and search then work on so many
columns instead of all V codes. The distribution is that of ``tts.sampling`` but for rounding, and so is the
rule for ties at rank k. Which code a uniform draws is not: there codes stand in the order of their numbers.

Axis letters: B images, M candidates, L tokens of a scale, V codes, W columns that are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from tts.config import FAST, SearchSettings
from tts.sampling import Distribution, TokenDistribution, below_total

TIES = 28
"""Columns beyond k, for codes that are as probable as the k-th."""


@dataclass(frozen=True)
class RankedDistribution:
    """The filtered distribution of one scale's tokens, by the most probable codes.

    ``codes`` (B, L, W) come in descending order of probability, ``cdf`` (B, L, W) is their cumulative
    probability, float32, which rises no more after the kept ones. ``logits`` (B, L, V) are the unfiltered
    ones, ``log_total`` (B, L, 1) is the logarithm of the sum of the kept ones' exponentials.
    """

    codes: Tensor
    cdf: Tensor
    logits: Tensor
    log_total: Tensor

    @staticmethod
    def from_logits(logits: Tensor, top_k: int, top_p: float) -> RankedDistribution:
        """Filter guided logits (B, L, V) once; every candidate of the scale is drawn from the result."""
        logits = logits.float()
        values, codes = ranked(logits, top_k)  # B L W
        if 0 < top_k < values.shape[-1]:
            values = values.masked_fill(values < values[..., top_k - 1 : top_k], -torch.inf)
        if top_p > 0:
            ascending = values.softmax(dim=-1).flip(-1).cumsum(dim=-1)  # summed as the published rule does
            dropped = ascending.flip(-1) <= 1 - top_p
            dropped[..., 0] = False
            values = values.masked_fill(dropped, -torch.inf)
        log_total = values.logsumexp(dim=-1, keepdim=True)
        return RankedDistribution(codes, (values - log_total).exp().cumsum(dim=-1), logits, log_total)

    def draw(self, uniforms: Tensor) -> Tensor:
        """Tokens (B, M, L), int64, by inverting the cumulative probability at uniforms (B, M, L)."""
        target = below_total(rearrange(uniforms, "b m l -> b l m"), self.cdf[..., -1:])
        rank = torch.searchsorted(self.cdf, target.contiguous(), right=True)  # B L M
        return rearrange(self.codes.gather(-1, rank), "b l m -> b m l").contiguous()

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probabilities (B, M, L) of drawn tokens (B, M, L), which the filters kept."""
        gathered = self.logits.gather(-1, rearrange(tokens, "b m l -> b l m"))
        return rearrange(gathered - self.log_total, "b l m -> b m l")

    def of_rows(self, rows: Tensor) -> RankedDistribution:
        """Those of the given rows (R,) of the batch, with repetition."""
        return RankedDistribution(self.codes[rows], self.cdf[rows], self.logits[rows], self.log_total[rows])


def ranked(logits: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """The highest logits (B, L, W) in descending order with their codes, and with all that equal the k-th."""
    codes = logits.shape[-1]
    width = top_k + TIES if top_k > 0 else codes
    while width < codes:
        values, order = logits.topk(width, dim=-1)
        if bool((values[..., -1] < values[..., top_k - 1]).all()):
            return values, order
        width *= 2
    values, order = logits.sort(dim=-1, descending=True)
    return values, order


def filtered(logits: Tensor, top_k: int, settings: SearchSettings) -> Distribution:
    """The distribution that tokens are drawn from, of guided logits (B, L, V)."""
    ranked = settings.sampler == FAST and (top_k > 0 or settings.top_p > 0)  # else nothing need be sorted
    kind = RankedDistribution if ranked else TokenDistribution
    return kind.from_logits(logits, top_k, settings.top_p)
