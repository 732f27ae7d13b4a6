"""The losses against PyTorch's own, and where they are minimal."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tts.scorers.losses import pairwise, pointwise

LOSSES = [pairwise, pointwise]


def scores(count=64, scale=3.0):
    generator = torch.Generator().manual_seed(0)
    return tuple(scale * torch.randn(count, generator=generator, dtype=torch.float64) for _ in range(2))


def test_pairwise_is_equation_4():
    real, generated = scores()
    torch.testing.assert_close(pairwise(real, generated), -F.logsigmoid(real - generated).mean())


def test_pointwise_is_equation_5():
    real, generated = scores()
    labels = torch.cat((torch.ones(64), torch.zeros(64))).double()
    both = torch.cat((real, generated))
    torch.testing.assert_close(pointwise(real, generated), F.binary_cross_entropy_with_logits(both, labels))
    torch.testing.assert_close(pointwise(real, generated), F.binary_cross_entropy(both.sigmoid(), labels))


@pytest.mark.parametrize("loss", LOSSES)
def test_no_knowledge_costs_log_2(loss):
    assert float(loss(torch.zeros(5), torch.zeros(5))) == pytest.approx(0.693147, abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_raise_real_and_lower_generated_scores(loss):
    real, generated = (side.requires_grad_() for side in scores())
    loss(real, generated).backward()
    assert (real.grad < 0).all()
    assert (generated.grad > 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_extreme_scores_stay_finite(loss):
    far = torch.tensor([1e4], requires_grad=True)
    assert float(loss(far, -far).detach()) == 0
    wrong = loss(-far, far)
    wrong.backward()
    assert float(wrong.detach()) == pytest.approx(2e4 if loss is pairwise else 1e4)
    assert torch.isfinite(far.grad).all()


def test_a_constant_does_not_matter_to_pairs_only():
    real, generated = scores()
    torch.testing.assert_close(pairwise(real + 5, generated + 5), pairwise(real, generated))
    assert float(pointwise(real + 5, generated + 5)) > float(pointwise(real, generated)) + 1


@pytest.mark.parametrize("loss", LOSSES)
def test_the_log_density_ratio_is_the_minimum(loss):
    """Three maps, real with odds 6:3:1 and generated with odds 2:3:5, in all possible pairs."""
    real = torch.tensor([0] * 6 + [1] * 3 + [2]).repeat_interleave(10)
    generated = torch.tensor([0] * 2 + [1] * 3 + [2] * 5).repeat(10)
    ratio = (torch.tensor([6.0, 3.0, 1.0]) / torch.tensor([2.0, 3.0, 5.0])).double().log().requires_grad_()
    least = loss(ratio[real], ratio[generated])
    least.backward()
    torch.testing.assert_close(ratio.grad, torch.zeros(3, dtype=torch.float64), atol=1e-7, rtol=0)
    for change in torch.eye(3, dtype=torch.float64) * 0.1:
        other = (ratio + change).detach()
        assert float(loss(other[real], other[generated])) > float(least.detach())
