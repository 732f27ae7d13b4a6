"""The selector: which k candidates are kept, and which of them is drawn.

Axis letters: B images, M candidates, L tokens, C channels, H W the latent grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor
from tts_select_density_estimate import map_density, position_density, token_density
from tts_select_density_options import ADAPTIVE, MAP, SCALES, TOKENS, TOP, Options, parse

from tts.errors import ScoreError, UsageError
from tts.interfaces import SelectionContext
from tts.selectors import gumbel_argmax
from tts.specs import SelectorRequest


@dataclass(frozen=True)
class DensitySelector:
    """Draws one of k candidates with odds exp(value / T).

    The value is the log density, or with a ``weight`` the score + weight * log density. At T = 1 and without
    a weight the odds are the densities.
    """

    options: Options
    temperature: float = 1.0
    name: str = "density"

    @property
    def needs_scores(self) -> bool:
        """Whether the scorer is asked: only where a weight adds the density to its scores."""
        return self.options.weight is not None

    def select(self, context: SelectionContext) -> Tensor:
        """Index (B,) of the drawn candidate. Raises ``ScoreError`` for maps that are not finite."""
        density = self.log_density(context)  # B M
        if not torch.isfinite(density).all():
            raise ScoreError(
                f"selector density got maps that are not finite at scale {context.scale + 1};"
                " check the weights, or run in --dtype float32"
            )
        values = density
        if self.options.weight is not None:
            values = context.scores + self.options.weight * density
        top = self.keeps_best(context.scale, density)
        logits = (values - values.amax(dim=1, keepdim=True)) / self.temperature
        return draw(logits, context.uniforms, top, self.options.k or max(1, values.shape[1] // 2))

    def log_density(self, context: SelectionContext) -> Tensor:
        """Log density (B, M) of the candidates in the chosen space."""
        if self.options.space == TOKENS:
            return token_density(context.tokens(), self.options.bandwidth)
        estimate = map_density if self.options.space == MAP else position_density
        return estimate(context.maps(), self.options.bandwidth)

    def keeps_best(self, scale: int, density: Tensor) -> Tensor:
        """Whether the k candidates of an image (B,) are the best ones, rather than any."""
        if self.options.mode == ADAPTIVE:
            mean = density.logsumexp(dim=1) - math.log(density.shape[1])
            return density.amax(dim=1) - mean >= math.log(self.options.alpha)
        best = self.options.mode == TOP or (self.options.mode == SCALES and scale < self.options.general)
        return torch.full(density.shape[:1], best, device=density.device)


def draw(values: Tensor, uniforms: Tensor, top: Tensor, k: int) -> Tensor:
    """Index (B,) drawn with odds exp(values (B, M)) among k candidates; ``uniforms`` (B, M) in (0, 1).

    Kept are those of the highest values where ``top`` (B,) is true, and of the highest uniforms elsewhere,
    which is any k with equal odds. There the kept uniforms lie evenly above the largest that was not kept,
    independently of which they belong to, so that, stretched to (0, 1), they serve for the draw as well.
    Of equal values the first are kept.
    """
    count = values.shape[1]
    top = rearrange(top, "b -> b 1")
    key = torch.where(top, values.to(uniforms.dtype), uniforms)
    kept = key.argsort(dim=1, descending=True, stable=True)[:, :k]  # B k
    own = uniforms.gather(1, kept)
    if k < count:
        floor = uniforms.sort(dim=1, descending=True).values[:, k : k + 1]
        own = torch.where(top, own, (own - floor) / (1 - floor))
    limits = torch.finfo(own.dtype)
    own = own.clamp(limits.tiny, 1 - limits.eps)
    choice = gumbel_argmax(values.gather(1, kept), own)
    return kept.gather(1, rearrange(choice, "b -> b 1"))[:, 0]


def build(request: SelectorRequest) -> DensitySelector:
    """Build the selector from the text after the colon and ``--temperature``."""
    if not request.temperature > 0:
        raise UsageError(f"temperature {request.temperature:g} must be above 0; for the T = 0 limit use k=1")
    return DensitySelector(parse(request.argument), request.temperature)
