"""A judge of whole images as a judge of candidates: it sees each candidate decoded as it stands."""

from __future__ import annotations

from typing import Any

from einops import rearrange, repeat
from torch import Tensor

from tts.checks import check_shape
from tts.errors import UsageError
from tts.interfaces import ImageScorer, Proposals
from tts.owners import titled
from tts.resolve import build_image_scorer
from tts.specs import ScorerRequest


class PreviewScorer:
    """Scores of an image scorer on previews. Every candidate costs a decoding, and a call of the judge."""

    name = "preview"

    def __init__(self, judge: ImageScorer) -> None:
        self.judge = judge

    def score(self, proposals: Proposals) -> Tensor:
        """Scores (B, M) of candidates."""
        images = proposals.previews()
        batch, count = images.shape[:2]
        labels = repeat(proposals.labels, "b -> (b m)", m=count)
        scores = self.judge.score(rearrange(images, "b m c h w -> (b m) c h w"), labels)
        check_shape(scores, (batch * count,), f"scores of {titled(self.judge)}")
        return rearrange(scores, "(b m) -> b m", b=batch)

    def describe(self) -> dict[str, Any]:
        """Who judges, for a run's record."""
        describe = getattr(self.judge, "describe", dict)
        return {"judge": self.judge.name, **describe()}


def build(request: ScorerRequest) -> PreviewScorer:
    """Factory: ``--scorer preview:digits``, or any other image scorer with its argument."""
    if not request.argument:
        raise UsageError(
            "scorer 'preview' needs an image scorer; write --scorer preview:NAME (see 'tts list')"
        )
    return PreviewScorer(build_image_scorer(request.argument, request.backbone.info, request.device))
