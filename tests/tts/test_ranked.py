"""The fast filter and draw against the ones that sort all codes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tts import ranked as module
from tts.ranked import RankedDistribution, ranked
from tts.sampling import TokenDistribution, filter_logits

FILTERS = [(0, 0.0), (0, 0.96), (1, 0.0), (10, 0.5), (900, 0.0), (900, 0.96), (5000, 0.9)]


def probabilities(distribution, codes):
    """The probability (B, L, V) of every code."""
    steps = F.pad(distribution.cdf, (1, 0)).diff(dim=-1)
    batch, length = distribution.cdf.shape[:2]
    return torch.zeros(batch, length, codes).scatter(-1, distribution.codes, steps)


@pytest.mark.parametrize(("top_k", "percent"), [(0, 96), (1, 0), (10, 50), (900, 0), (900, 95), (900, 96)])
def test_filter_matches_the_published_probabilities(golden, error, top_k, percent):
    g = golden("sampling_filter")
    expected = g[f"probs.k{top_k}.p{percent:02d}"]
    distribution = RankedDistribution.from_logits(g["logits"], top_k, percent / 100)
    ours = probabilities(distribution, expected.shape[-1])
    assert torch.equal((ours > 0).sum(-1), (expected > 0).sum(-1))
    assert error(ours.sort(-1).values, expected.sort(-1).values) < 1e-5


@pytest.mark.parametrize(("top_k", "top_p"), FILTERS)
@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_the_distribution_is_that_of_the_full_sort(rounding, top_k, top_p, scale):
    logits = scale * torch.randn(3, 7, 4096, generator=torch.Generator().manual_seed(0))
    expected = filter_logits(logits, top_k, top_p).softmax(dim=-1)
    found = probabilities(RankedDistribution.from_logits(logits, top_k, top_p), 4096)
    # a sum of 4096 exponentials of numbers up to 14, whose own rounding is 14 of theirs
    torch.testing.assert_close(found, expected, rtol=0, atol=rounding(4096))


@pytest.mark.parametrize("tied", [2, module.TIES, module.TIES + 1, 200])
def test_codes_as_probable_as_the_kth_are_kept(tied):
    logits = torch.linspace(-1, -2, 300).repeat(1, 2, 1)
    logits[..., 100 : 100 + tied] = 0.5  # the most probable, many of them equal
    logits[:, 1] = logits[:, 1].flip(-1)
    found = RankedDistribution.from_logits(logits, 1, 0.0)
    expected = filter_logits(logits, 1, 0.0).softmax(dim=-1)
    torch.testing.assert_close(probabilities(found, 300), expected, rtol=0, atol=1e-6)


def test_no_more_columns_than_needed_are_looked_at():
    logits = torch.randn(2, 3, 4096, generator=torch.Generator().manual_seed(1))
    assert ranked(logits, 900)[0].shape == (2, 3, 900 + module.TIES)
    assert ranked(logits, 0)[0].shape == ranked(logits, 5000)[0].shape == (2, 3, 4096)


def test_filter_never_changes_its_input(golden):
    logits = golden("sampling_filter")["logits"]
    before = logits.clone()
    RankedDistribution.from_logits(logits, 900, 0.96)
    assert torch.equal(logits, before)


def test_draws_follow_the_filtered_distribution_row_by_row():
    """Chi-square of each row, at the significance of 1e-4 for all rows together."""
    logits = 1.5 * torch.randn(2, 6, 40, generator=torch.Generator().manual_seed(2))
    distribution = RankedDistribution.from_logits(logits, 30, 0.9)
    exact = filter_logits(logits, 30, 0.9).softmax(dim=-1)
    uniforms = torch.rand(2, 20_000, 6, generator=torch.Generator().manual_seed(3))
    tokens = distribution.draw(uniforms)
    for image in range(2):
        for row in range(6):
            counts = tokens[image, :, row].bincount(minlength=40).double()
            wanted = exact[image, row].double() * 20_000
            assert counts[wanted == 0].sum() == 0
            kept = wanted > 0
            freedom = float(kept.sum()) - 1
            chi2 = float(((counts - wanted)[kept].square() / wanted[kept]).sum())
            assert chi2 < freedom + 4.5 * (2 * freedom) ** 0.5 + 20


def test_extreme_uniforms_never_draw_a_code_of_zero_probability():
    logits = torch.tensor([-torch.inf, 0.0, -torch.inf, 1.0, -torch.inf]).expand(1, 1, 5)
    distribution = RankedDistribution.from_logits(logits, 0, 0.0)
    extremes = torch.tensor([2.0**-24, 1 - 2.0**-24]).view(1, 2, 1)
    assert distribution.draw(extremes).flatten().tolist() == [3, 1]


def test_log_prob_is_that_of_the_full_sort():
    logits = 2 * torch.randn(2, 5, 300, generator=torch.Generator().manual_seed(4))
    fast = RankedDistribution.from_logits(logits, 50, 0.9)
    exact = TokenDistribution.from_logits(logits, 50, 0.9)
    tokens = fast.draw(torch.rand(2, 64, 5, generator=torch.Generator().manual_seed(5)))
    assert exact.log_prob(tokens).isfinite().all()
    torch.testing.assert_close(fast.log_prob(tokens), exact.log_prob(tokens), rtol=1e-5, atol=1e-5)
