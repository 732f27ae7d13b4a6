"""The filter against the published probabilities, and the draws against the filtered distribution."""

from __future__ import annotations

import pytest
import torch

from tts.sampling import TokenDistribution, filter_logits


@pytest.mark.parametrize(("top_k", "percent"), [(0, 96), (1, 0), (10, 50), (900, 0), (900, 95), (900, 96)])
def test_filter_matches_the_published_probabilities(golden, error, top_k, percent):
    g = golden("sampling_filter")
    expected = g[f"probs.k{top_k}.p{percent:02d}"]
    ours = filter_logits(g["logits"], top_k, percent / 100).softmax(dim=-1)
    assert torch.equal((ours > 0).sum(-1), (expected > 0).sum(-1))
    assert error(ours.sort(-1).values, expected.sort(-1).values) < 1e-5
    tied = torch.zeros(ours.shape[:2], dtype=torch.bool)
    tied[0, 0] = True  # which of equal logits stay at the edge is the sort's choice
    assert error(ours[~tied], expected[~tied]) < 1e-5


def test_filter_never_changes_its_input(golden):
    logits = golden("sampling_filter")["logits"]
    before = logits.clone()
    filter_logits(logits, 900, 0.96)
    assert torch.equal(logits, before)


def test_top_k_keeps_ties_and_top_p_keeps_the_largest():
    logits = torch.tensor([[2.0, 1.0, 1.0, 0.0]])
    assert torch.isfinite(filter_logits(logits, 2, 0.0)).tolist() == [[True, True, True, False]]
    assert torch.isfinite(filter_logits(logits, 0, 1e-9)).tolist() == [[True, False, False, False]]
    assert torch.isfinite(filter_logits(logits, 9, 0.0)).all()


def test_draws_follow_the_filtered_distribution():
    torch.manual_seed(0)
    distribution = TokenDistribution.from_logits(torch.randn(1, 1, 12), 8, 0.9)
    uniforms = (torch.arange(100_000) + 0.5) / 100_000
    tokens = distribution.draw(uniforms[None, :, None])
    share = torch.bincount(tokens.flatten(), minlength=12) / tokens.numel()
    assert torch.allclose(share, distribution.log_probs.exp().flatten(), atol=1e-4)


def test_extreme_uniforms_never_draw_a_code_of_zero_probability():
    logits = torch.tensor([-torch.inf, 0.0, -torch.inf, 1.0, -torch.inf]).expand(1, 1, 5)
    distribution = TokenDistribution.from_logits(logits, 0, 0.0)
    extremes = torch.tensor([2.0**-24, 1 - 2.0**-24]).view(1, 2, 1)
    assert distribution.draw(extremes).flatten().tolist() == [1, 3]


def test_log_prob_is_that_of_the_filtered_distribution():
    distribution = TokenDistribution.from_logits(torch.tensor([[[0.0, 0.0, -9.0]]]), 2, 0.0)
    log_probs = distribution.log_prob(torch.tensor([[[0], [1]]]))
    assert torch.allclose(log_probs, torch.log(torch.tensor(0.5)))
