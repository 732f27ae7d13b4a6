"""Selectors: limits that must agree, and frequencies over many reproducible draws."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tts.interfaces import SelectionContext
from tts.noise import selection_uniforms
from tts.noise_streams import Stream
from tts.resolve import build_selector
from tts.selectors import (
    GreedySelector,
    RandomSelector,
    SoftmaxSelector,
    TopKSelector,
    greedy,
    random,
    softmax,
    topk,
)
from tts.specs import SelectorRequest

MANY = 20_000
SCORES = torch.tensor([0.5, -1.0, 1.25, 0.0, 1.0])
SELECTORS = [GreedySelector(), TopKSelector(3, 0.7), SoftmaxSelector(0.7), RandomSelector()]


def context(scores, seeds=None):
    """Scores (B, M), or (M,) for many images of different seeds."""
    scores = scores.expand(MANY, -1) if scores.ndim == 1 else scores
    batch, count = scores.shape
    seeds = torch.arange(batch) if seeds is None else seeds
    return SelectionContext(
        scale=1,
        labels=torch.zeros(batch, dtype=torch.int64),
        scores=scores,
        uniforms=selection_uniforms(seeds, Stream.SAMPLE, 1, count),
        tokens=lambda: torch.zeros(batch, count, 4, dtype=torch.int64),
        maps=lambda: torch.zeros(batch, count, 2, 3, 3),
    )


def chi_square(choice, expected):
    """Distance of the frequencies of choices (B,) from expected shares (M,)."""
    counts = choice.bincount(minlength=len(expected)).double()
    wanted = expected.double() * len(choice)
    assert counts[wanted == 0].sum() == 0
    return float(((counts - wanted)[wanted > 0].square() / wanted[wanted > 0]).sum())


def random_scores(batch, count):
    return torch.randn(batch, count, generator=torch.Generator().manual_seed(0))


def test_greedy_takes_the_first_of_the_best():
    scores = torch.tensor([[1.0, 3.0, 3.0, 2.0], [5.0, 5.0, 5.0, 5.0], [-2.0, -3.0, -1.0, -1.0]])
    assert GreedySelector().select(context(scores)).tolist() == [1, 0, 2]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_softmax_frequencies_follow_the_scores(temperature):
    choice = SoftmaxSelector(temperature).select(context(SCORES))
    assert chi_square(choice, (SCORES / temperature).softmax(0)) < 24  # 4 degrees of freedom: p < 1e-4 above


@pytest.mark.parametrize(("k", "best"), [(2, [2, 4]), (3, [0, 2, 4]), (5, [0, 1, 2, 3, 4])])
def test_topk_is_softmax_among_the_best(k, best):
    choice = TopKSelector(k, 0.8).select(context(SCORES))
    assert choice.unique().tolist() == best
    kept = torch.full_like(SCORES, -torch.inf)
    kept[best] = SCORES[best] / 0.8
    assert chi_square(choice, kept.softmax(0)) < 24


def test_random_is_uniform():
    assert chi_square(RandomSelector().select(context(SCORES)), torch.full((5,), 0.2)) < 24


def test_random_needs_no_scores():
    assert not RandomSelector().needs_scores
    blind = context(torch.full((5,), torch.nan))
    assert torch.equal(RandomSelector().select(blind), RandomSelector().select(context(SCORES)))
    assert all(selector.needs_scores for selector in SELECTORS[:3])


def test_topk_with_one_is_greedy():
    scores = random_scores(500, 16)
    best = GreedySelector().select(context(scores))
    for temperature in (1e-3, 1.0, 100.0):
        assert torch.equal(TopKSelector(1, temperature).select(context(scores)), best)


def test_topk_with_more_than_all_is_softmax():
    scores = random_scores(500, 16)
    everything = SoftmaxSelector(0.7).select(context(scores))
    for k in (16, 100):
        assert torch.equal(TopKSelector(k, 0.7).select(context(scores)), everything)


@pytest.mark.parametrize("make", [SoftmaxSelector, lambda temperature: TopKSelector(4, temperature)])
def test_a_low_temperature_is_greedy_and_a_high_one_even(make):
    scores = random_scores(500, 16)
    best = GreedySelector().select(context(scores))
    agreement = [
        float((make(temperature).select(context(scores)) == best).double().mean())
        for temperature in (1e-6, 0.1, 1.0, 1e6)
    ]
    assert agreement[0] == 1
    assert agreement == sorted(agreement, reverse=True)
    assert chi_square(SoftmaxSelector(1e6).select(context(SCORES)), torch.full((5,), 0.2)) < 24


@pytest.mark.parametrize("selector", SELECTORS, ids=lambda selector: selector.name)
def test_a_constant_added_to_the_scores_changes_nothing(selector):
    scores = random_scores(200, 8).round(decimals=2)
    assert torch.equal(selector.select(context(scores)), selector.select(context(scores + 64)))


@pytest.mark.parametrize("selector", SELECTORS, ids=lambda selector: selector.name)
@pytest.mark.parametrize("size", [1, 7])
def test_the_batch_does_not_matter(selector, size):
    scores, seeds = random_scores(40, 8), torch.arange(40) * 97 + 2**40
    whole = selector.select(context(scores, seeds))
    assert whole.dtype == torch.int64
    parts = [selector.select(context(scores[i : i + size], seeds[i : i + size])) for i in range(0, 40, size)]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("selector", SELECTORS, ids=lambda selector: selector.name)
def test_more_candidates_change_the_choice_to_a_new_one_only(selector):
    scores = random_scores(300, 12)
    few, many = selector.select(context(scores[:, :5])), selector.select(context(scores))
    if selector.name != "topk":  # there a new score can push out the chosen one without being drawn
        assert ((many == few) | (many >= 5)).all()
    assert (many >= 5).any()


def test_equal_seeds_make_equal_choices():
    scores = random_scores(1, 8).expand(50, -1)
    for selector in SELECTORS:
        assert selector.select(context(scores, torch.full((50,), 12))).unique().numel() == 1


@pytest.mark.parametrize("factory", [softmax, topk])
@pytest.mark.parametrize("temperature", [0.0, -1.5, float("nan"), 1e-320, 1e-40])
def test_a_temperature_must_be_far_enough_above_zero(factory, temperature, refused):
    with refused(f"temperature {temperature:g} must be at least 1e-06", "--selector greedy"):
        factory(SelectorRequest(temperature=temperature))


@pytest.mark.parametrize("name", ["greedy", "topk", "softmax", "random"])
@pytest.mark.parametrize("argument", ["4", "k=1e999", ""])
def test_an_argument_is_refused_and_not_ignored(name, argument, refused):
    with refused(f"selector {name!r} takes no argument, got {argument!r}; leave it out"):
        build_selector(f"{name}:{argument}", 8, 1.0)


@pytest.mark.parametrize("k", [0, -3])
def test_k_must_be_positive(k, refused):
    with refused(f"top-k-select {k} must be at least 1"):
        topk(SelectorRequest(top_k=k))


def test_factories_take_what_concerns_them():
    request = SelectorRequest(top_k=3, temperature=0.25)
    assert topk(request) == TopKSelector(3, 0.25)
    assert softmax(request) == SoftmaxSelector(0.25)
    for useless in (request, replace(request, top_k=0, temperature=-1.0)):
        assert greedy(useless) == GreedySelector()
        assert random(useless) == RandomSelector()
