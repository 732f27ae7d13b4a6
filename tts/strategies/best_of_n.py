"""Whole-image rejection sampling: the best of N images of the plain model, as an image scorer sees them.

The older way that the LSRS paper compares with (sections 2.2 and 4.1, VAR-d30-re): every image is made to
the end before it is judged, so N images cost N times the passes and decodings of one.

Axis letters: B images, L tokens, K scales, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from einops import rearrange
from torch import Tensor

from tts.checks import check_shape
from tts.config import SearchSettings
from tts.errors import ScoreError, UsageError
from tts.interfaces import Backbone, BackboneInfo, ImageScorer
from tts.owners import titled
from tts.search import SearchResult, search
from tts.specs import StrategyRequest
from tts.strategies.strategy import Judges, Strategy, no_own_counts


@dataclass(frozen=True)
class Best:
    """The best images so far: tokens (B, sum L_k), images (B, 3, H, W), score and number (B,)."""

    tokens: Tensor
    images: Tensor
    score: Tensor
    number: Tensor

    def or_better(self, other: Best) -> Best:
        """Row by row this or, where its score is higher, the other."""
        better = other.score > self.score
        on_cpu = better.cpu()
        return Best(
            torch.where(rearrange(on_cpu, "b -> b 1"), other.tokens, self.tokens),
            torch.where(rearrange(better, "b -> b 1 1 1"), other.images, self.images),
            torch.where(better, other.score, self.score),
            torch.where(on_cpu, other.number, self.number),
        )


def effective_images(info: BackboneInfo, settings: SearchSettings, given: int = 0) -> int:
    """N, or one where no token after the ``given`` scales is drawn at random and all would be equal."""
    random = settings.top_k != 1 and any(info.stochastic[given:])
    return settings.whole_images if random else 1


@torch.inference_mode()
def best_of_n(
    backbone: Backbone,
    judges: Judges,
    settings: SearchSettings,
    labels: Tensor,
    seeds: Tensor,
    prefix: Sequence[Tensor],
    counts: Sequence[Sequence[int]] | None = None,
) -> SearchResult:
    """Draw N whole images for each label (B,) and seed (B,), one after another, and keep the best.

    Image number n uses at every scale the noise of candidate n: number 0 is the image of the plain model,
    and a larger N adds images and changes none. Of equal scores the first image wins. The winner's score
    and number stand at the last scale of ``winner_scores`` and ``winner_index``; of one image, which needs
    no judge, there is no score. Scored are the images in [0, 1] as they are decoded, before their conversion
    to 8 bits. Raises ``ScoreError`` for scores that are not finite.
    """
    no_own_counts(counts, "best-of-n")
    plain = replace(settings, candidates=(1,) * backbone.info.scales, decode=True)
    count = effective_images(backbone.info, settings, len(prefix))
    best: Best | None = None
    for number in range(count):
        result = search(backbone, None, judges.selector, plain, labels, seeds, (), prefix, number)
        if count == 1:
            return result if settings.decode else replace(result, images=None)
        drawn = judged(result, judges.image_scorer, labels, number)
        best = best.or_better(drawn) if best else drawn
    assert best is not None
    return finished(best, backbone.info.scales, settings.decode)


def judged(result: SearchResult, scorer: ImageScorer | None, labels: Tensor, number: int) -> Best:
    """The images of one pass with their scores, checked."""
    if scorer is None:
        raise UsageError("strategy best-of-n needs an image scorer; pass --image-scorer or --candidates 1")
    assert result.images is not None
    scores = scorer.score(result.images, labels)
    check_shape(scores, tuple(labels.shape), f"scores of {titled(scorer)}")
    if not torch.isfinite(scores).all():
        raise ScoreError(
            f"image scorer {titled(scorer)} gave a score that is not finite for image {number + 1}"
            " of an item; check its weights, or run in --dtype float32"
        )
    numbers = torch.full(labels.shape, number, dtype=torch.int64)
    return Best(result.tokens, result.images, scores.float(), numbers)


def finished(best: Best, scales: int, decode: bool) -> SearchResult:
    """The winners, with score and number at the last of the ``scales``."""
    batch = len(best.tokens)
    scores = torch.full((batch, scales), torch.nan)
    numbers = torch.zeros((batch, scales), dtype=torch.int64)
    scores[:, -1], numbers[:, -1] = best.score.cpu(), best.number
    return SearchResult(best.tokens, best.images if decode else None, scores, numbers, {})


def build(_: StrategyRequest) -> Strategy:
    """Factory of rejection among whole images."""
    return best_of_n
