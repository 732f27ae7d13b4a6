"""Counts of operations whose cost is known, and of the published models."""

from __future__ import annotations

from functools import cache

import pytest
import torch
import torch.nn.functional as F

from tts.bench.counting import Count, Counter, WholeAttention, count, touched
from tts.bench.untrained import META, UntrainedScorer, untrained_var
from tts.config import SearchSettings
from tts.search import search
from tts.selectors import GreedySelector


def zeros(*shape, dtype=torch.float32):
    return torch.zeros(shape, dtype=dtype, device=META)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_a_linear_layer_is_one_kernel(mode):
    x, weight, bias = zeros(3, 5), zeros(7, 5), zeros(7)
    with mode():
        found = count(lambda: F.linear(x, weight, bias))
    assert (found.kernels, found.flops) == (1, 2 * 3 * 5 * 7)
    assert found.bytes == 4 * (15 + 35 + 7 + 21)


def test_views_and_empty_memory_cost_nothing():
    x = zeros(4, 6)
    work = lambda: (x.T.unflatten(0, (2, 3))[..., None].expand(-1, -1, -1, 9), torch.empty_like(x))  # noqa: E731
    assert count(work) == Count(0, 0, 0, 4 * 24 * 2)


def test_what_an_expanded_axis_repeats_is_read_once():
    x = zeros(4, 1).expand(4, 1000)
    assert touched(x) == 16
    assert count(lambda: x + 1).bytes == 16 + 4 * 4000


def test_writing_in_place_is_a_kernel():
    x, y = zeros(8), zeros(8)
    found = count(lambda: x.add_(y))
    assert (found.kernels, found.bytes) == (1, 3 * 32)


def test_attention_is_one_kernel_without_a_matrix_of_weights():
    q, k = zeros(2, 3, 5, 64), zeros(2, 3, 700, 64)
    found = count(lambda: F.scaled_dot_product_attention(q, k, k))
    assert (found.kernels, found.flops) == (1, 4 * 2 * 3 * 5 * 700 * 64)
    assert found.bytes == 4 * 64 * 6 * (5 + 700 + 700 + 5)


def test_the_peak_is_what_lives_at_once():
    def work():
        for _ in range(5):
            zeros(1000)

    assert count(work).peak == 4000
    held = []
    assert count(lambda: held.extend(zeros(1000) for _ in range(5))).peak == 20_000


def test_questions_have_the_answers_of_work_that_goes_well():
    x = zeros(3)
    with Counter() as counter, WholeAttention(counter):
        assert bool(x.isfinite().all())
        assert not bool(x.isnan().any())
        assert x.cpu().device.type == "cpu"


@cache
def sampled(depth, candidates, sampler="exact", batch=24, decode=False):
    """The count of one guided batch."""
    backbone = untrained_var(depth, torch.float16)
    if sampler == "fast":
        backbone = backbone.fast()
    scorer = UntrainedScorer(sampler == "fast", torch.float16)
    labels = torch.zeros(batch, dtype=torch.int64, device=META)
    settings = SearchSettings(
        (1, *[candidates] * 9), cfg=1.5, top_k=900, top_p=0.96, sampler=sampler, decode=decode
    )
    return count(lambda: search(backbone, scorer, GreedySelector(), settings, labels, labels))


def test_operations_of_a_published_batch_are_the_useful_ones():
    """Blocks 14.1 T, head 0.28 T and decoder 9.4 T for 24 guided images of VAR-d16."""
    assert sampled(16, 1, decode=True).flops == pytest.approx(23.9e12, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["exact", "fast"])
def test_candidates_add_what_their_scores_cost(sampler):
    """59.9 MFLOP a candidate and scale as the network is written, and nothing that stays alive."""
    more = sampled(2, 40, sampler) - sampled(2, 1, sampler)
    assert more.flops <= 1.02 * 59.9e6 * 24 * 40 * 9
    many = sampled(2, 80, sampler) - sampled(2, 40, sampler)  # in two parts
    assert many.flops == pytest.approx(more.flops, rel=0.01)
    assert many.peak < 0.01 * sampled(2, 40, sampler).peak
