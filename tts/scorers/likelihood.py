"""A scorer that needs no training: how probable the model itself finds a candidate."""

from __future__ import annotations

from torch import Tensor

from tts.interfaces import Proposals
from tts.specs import ScorerRequest


class LikelihoodScorer:
    """Mean log-probability of a candidate's tokens under the filtered logits: a fair control."""

    name = "likelihood"

    def score(self, proposals: Proposals) -> Tensor:
        """Scores (B, M), in nats a token."""
        return proposals.log_probs.mean(dim=-1)


def build(_: ScorerRequest) -> LikelihoodScorer:
    """The likelihood scorer; it has no settings."""
    return LikelihoodScorer()
