"""The scorer that needs no training."""

from __future__ import annotations

import pytest
import torch

from tts.config import SearchSettings
from tts.interfaces import Proposals
from tts.scorers.likelihood import LikelihoodScorer, build
from tts.search import search
from tts.selectors import GreedySelector
from tts.specs import ScorerRequest


def test_it_is_the_mean_log_probability_of_a_token():
    log_probs = torch.log(torch.tensor([[[0.5, 0.25], [1.0, 1.0]], [[0.125, 0.125], [0.5, 0.5]]]))
    tokens = torch.zeros(2, 2, 2, dtype=torch.int64)
    proposals = Proposals(1, torch.tensor([0, 1]), tokens, torch.zeros(2, 2, 1, 2, 2), log_probs)
    expected = torch.log(torch.tensor([[0.125, 1.0], [0.015625, 0.25]])) / 2
    torch.testing.assert_close(LikelihoodScorer().score(proposals), expected)


def test_it_is_built_by_name(fake_backbone):
    scorer = build(ScorerRequest(fake_backbone(), torch.device("cpu")))
    assert isinstance(scorer, LikelihoodScorer)
    assert scorer.name == "likelihood"


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 0.0), (20, 0.0), (0, 0.8)])
def test_it_prefers_the_most_probable_candidate(digits_backbone, top_k, top_p):
    """Scores of the winner recomputed from the backbone's own logits."""
    labels, seeds, seen = torch.arange(4), torch.arange(4), []
    settings = SearchSettings((1, 6, 1, 1), cfg=0.0, top_k=top_k, top_p=top_p, decode=False)
    result = search(
        digits_backbone, LikelihoodScorer(), GreedySelector(), settings, labels, seeds, [seen.append]
    )
    with torch.inference_mode():
        state = digits_backbone.begin(labels, 0.0)
        state.logits()
        state.commit(result.tokens[:, :1])
        logits = state.logits()
    if top_k:
        logits = logits.masked_fill(logits < logits.topk(top_k).values[..., -1:], -torch.inf)
    if top_p:
        order = logits.softmax(-1).sort(descending=True)
        kept = order.values.cumsum(-1) - order.values < top_p
        mask = torch.zeros_like(kept).scatter(-1, order.indices, kept)
        logits = logits.masked_fill(~mask, -torch.inf)
    log_probs = logits.log_softmax(-1)  # B L V
    candidates = seen[0].tokens().movedim(1, 2)  # B L M
    expected = log_probs.gather(-1, candidates).mean(dim=1)
    torch.testing.assert_close(seen[0].scores, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(result.winner_index[:, 1], seen[0].scores.argmax(1))
