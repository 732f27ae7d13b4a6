"""Draws have the odds that the densities say, whatever the batch."""

from __future__ import annotations

import math

import pytest
import torch
from tts_select_density_choice import DensitySelector, build, draw
from tts_select_density_options import Options, parse

import tts
from tts.errors import ScoreError, UsageError
from tts.noise import selection_uniforms
from tts.noise_streams import Stream
from tts.testing import check_selector

MANY = 20_000
COUNT = 6
CRITICAL = {2: 13.8, 3: 16.3, 5: 20.5}  # chi-square at a level of 0.001, by degrees of freedom


def uniforms(batch, count=COUNT):
    return selection_uniforms(torch.arange(batch), Stream.SAMPLE, 1, count)


def random_maps(batch, count=COUNT):
    return torch.randn(batch, count, 2, 3, 3, generator=torch.Generator().manual_seed(0))


def context(maps, scores=None, tokens=None, scale=1):
    batch, count = maps.shape[:2]
    scores = torch.full((batch, count), torch.nan) if scores is None else scores
    empty = torch.zeros(batch, dtype=torch.int64)
    return tts.SelectionContext(scale, empty, scores, uniforms(batch, count), lambda: tokens, lambda: maps)


def chosen(argument, given, **settings):
    return build(tts.SelectorRequest(argument=argument, **settings)).select(given)


def chi_square(choice, expected):
    """Distance of the frequencies of choices (B,) from expected shares (M,)."""
    counts, wanted = choice.bincount(minlength=len(expected)).double(), expected.double() * len(choice)
    assert counts[wanted == 0].sum() == 0
    return float(((counts - wanted)[wanted > 0].square() / wanted[wanted > 0]).sum())


@pytest.mark.parametrize(
    "argument", [None, "mode=random", "mode=scales", "space=tokens", "k=1", "weight=0.5"]
)
def test_the_contract_is_kept(argument):
    check_selector(build(tts.SelectorRequest(argument=argument)))


@pytest.mark.parametrize("k", [3, COUNT])
def test_the_densest_are_drawn_in_proportion_to_their_density(k):
    maps = random_maps(1) * torch.linspace(0.2, 2, COUNT).view(1, -1, 1, 1, 1)
    given = context(maps.expand(MANY, -1, -1, -1, -1))
    density = DensitySelector(Options()).log_density(context(maps))[0].exp()
    shares = torch.where(density >= density.sort(descending=True).values[k - 1], density, 0.0)
    assert chi_square(chosen(f"k={k},mode=top", given), shares / shares.sum()) < CRITICAL[k - 1]


def subset_shares(odds, k):
    """Chance of each candidate when any k are kept with equal odds and one is drawn by its odds."""
    subsets = torch.combinations(torch.arange(len(odds)), k)
    shares = torch.zeros(len(odds))
    for subset in subsets:
        shares[subset] += odds[subset] / odds[subset].sum() / len(subsets)
    return shares


@pytest.mark.parametrize("k", [1, 2, 3, COUNT])
def test_random_k_draws_among_any_k(k):
    odds = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    values = odds.log().expand(MANY, -1)
    top = torch.zeros(MANY, dtype=torch.bool)
    assert chi_square(draw(values, uniforms(MANY), top, k), subset_shares(odds, k)) < CRITICAL[5]


def test_one_of_one_densest_is_the_densest():
    maps = random_maps(50)
    density = DensitySelector(Options()).log_density(context(maps))
    assert torch.equal(chosen("k=1", context(maps)), density.argmax(dim=1))


def test_a_temperature_sharpens_the_odds():
    maps = random_maps(50)
    cold = chosen("k=6", context(maps), temperature=1e-30)
    assert torch.equal(cold, chosen("k=1", context(maps)))


def test_equal_candidates_are_drawn_evenly():
    maps = torch.ones(1, 1, 2, 3, 3).expand(MANY, COUNT, -1, -1, -1)
    assert chi_square(chosen("k=6", context(maps)), torch.full((COUNT,), 1 / COUNT)) < CRITICAL[5]


def test_half_are_kept_and_k_may_be_too_large():
    maps = random_maps(50)
    assert torch.equal(chosen(None, context(maps)), chosen("k=3", context(maps)))
    assert torch.equal(chosen("k=99", context(maps)), chosen("k=6", context(maps)))


@pytest.mark.parametrize("space", ["map", "position", "tokens"])
@pytest.mark.parametrize("mode", ["top", "random", "scales", "adaptive"])
def test_a_choice_does_not_depend_on_the_batch(mode, space):
    maps = random_maps(8)
    tokens = torch.randint(0, 4, (8, COUNT, 4), generator=torch.Generator().manual_seed(0))
    selector = build(tts.SelectorRequest(argument=f"k=2,mode={mode},space={space}"))
    together = selector.select(context(maps, tokens=tokens))
    assert together.dtype == torch.int64
    for i in range(8):
        one = tts.SelectionContext(
            1,
            torch.zeros(1, dtype=torch.int64),
            torch.full((1, COUNT), torch.nan),
            uniforms(8)[i : i + 1],
            lambda i=i: tokens[i : i + 1],
            lambda i=i: maps[i : i + 1],
        )
        assert selector.select(one).tolist() == [int(together[i])]


@pytest.mark.parametrize("mode", ["top", "random"])
def test_a_candidate_alone_is_chosen(mode):
    assert chosen(f"mode={mode}", context(random_maps(3, 1))).tolist() == [0, 0, 0]


def test_the_scales_mode_keeps_the_densest_at_general_scales_only():
    maps = random_maps(200)
    for scale, mode in ((0, "top"), (2, "top"), (3, "random")):
        given = context(maps, scale=scale)
        assert torch.equal(chosen("k=2,mode=scales,general=3", given), chosen(f"k=2,mode={mode}", given))


def test_the_adaptive_mode_looks_at_the_peak():
    selector = build(tts.SelectorRequest(argument="mode=adaptive,alpha=2"))
    flat, peaked = torch.full((4,), 0.25), torch.tensor([1.0, 0.1, 0.1, 0.1])
    assert selector.keeps_best(0, torch.stack([flat, peaked]).log()).tolist() == [False, True]


def test_scores_are_asked_for_only_with_a_weight():
    assert not build(tts.SelectorRequest()).needs_scores
    assert build(tts.SelectorRequest(argument="weight=0.5")).needs_scores


def test_a_weight_breaks_ties_of_scores_and_adds_to_them():
    maps = random_maps(50)
    density = DensitySelector(Options()).log_density(context(maps))
    equal = torch.full((50, COUNT), 7.0)
    assert torch.equal(chosen("k=1,weight=0.01", context(maps, equal)), density.argmax(dim=1))
    scores = torch.randn(50, COUNT, generator=torch.Generator().manual_seed(1))
    expected = (scores + 2 * density).argmax(dim=1)
    assert torch.equal(chosen("k=1,weight=2", context(maps, scores)), expected)
    assert torch.equal(chosen("k=1,weight=0", context(maps, scores)), scores.argmax(dim=1))


def test_nothing_reads_the_global_generator():
    state = torch.random.get_rng_state()
    chosen("mode=random,k=2", context(random_maps(4)))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_maps_that_are_not_finite_end_the_run():
    maps = random_maps(2)
    maps[1, 3, 0, 0, 0] = math.nan
    with pytest.raises(ScoreError, match="not finite at scale 2"):
        chosen("k=2", context(maps))


def test_all_options_are_read():
    assert parse(None) == Options()
    text = "k=3, mode=scales, general=4, space=position, bandwidth=silverman, weight=-1.5"
    assert parse(text) == Options(3, "scales", "position", "silverman", 4, 2.3, -1.5)
    assert parse("mode=adaptive,alpha=1.5,bandwidth=0.25") == Options(
        mode="adaptive", alpha=1.5, bandwidth=0.25
    )


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("4", "cannot read '4' .options: k, mode,"),
        ("k", "cannot read 'k'"),
        ("k=", "cannot read 'k='"),
        ("k=2,", "cannot read ''"),
        ("size=3", "cannot read 'size=3'"),
        ("k=0", "k '0' of selector density must be a whole number of at least 1"),
        ("k=2.5", "must be a whole number"),
        ("k=2,k=3", "has k twice"),
        ("mode=best", "mode 'best' of selector density is unknown; write mode=top or mode=random"),
        ("space=image", "space 'image'"),
        ("bandwidth=wide", "bandwidth 'wide' of selector density must be median or silverman, or at least 0"),
        ("bandwidth=-1", "or at least 0"),
        ("bandwidth=nan", "or at least 0"),
        ("weight=inf", "weight 'inf' of selector density must be a finite number"),
        ("weight=much", "weight 'much'"),
        ("mode=adaptive,alpha=0.5", "alpha '0.5' of selector density must be at least 1"),
        ("general=3", "general of selector density does not go with mode=top"),
        ("mode=scales,alpha=3", "alpha of selector density does not go with mode=scales"),
        ("space=tokens,bandwidth=silverman", "does not go with space=tokens"),
    ],
)
def test_what_cannot_be_read_is_one_line(argument, message):
    with pytest.raises(UsageError, match=message) as caught:
        build(tts.SelectorRequest(argument=argument))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_temperature_must_be_positive():
    with pytest.raises(UsageError, match="temperature 0 must be above 0"):
        build(tts.SelectorRequest(temperature=0.0))
