"""Work items and batches: an item's result depends on the item alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tts.config import SearchSettings
from tts.noise import random_tokens
from tts.noise_streams import Stream
from tts.pipeline import Generator, Item, Prefix, cross_items, default_batch, distinct_items
from tts.scorers.likelihood import LikelihoodScorer
from tts.selectors import GreedySelector, RandomSelector

CPU = torch.device("cpu")
SETTINGS = SearchSettings(candidates=(1, 4, 4), cfg=0.5, top_k=0, top_p=0.0, trace=True)
ITEMS = cross_items(range(3), (0, 7, 2**40))


@pytest.fixture
def generator(fake_backbone, fake_scorer):
    return Generator(fake_backbone(), fake_scorer(), GreedySelector(), SETTINGS, CPU)


def joined(batches, field):
    return torch.cat([getattr(batch.result, field) for batch in batches])


def test_crossed_items_go_label_by_label():
    assert cross_items((4, 1), (7, 0)) == [Item(4, 7), Item(4, 0), Item(1, 7), Item(1, 0)]
    assert cross_items((), (1,)) == []


def test_distinct_items_share_no_seed():
    items = distinct_items(range(10), 50, 10)
    assert len(items) == 500
    assert len({item.seed for item in items}) == 500
    assert all(item.seed % 10 == item.label for item in items)
    assert [item.label for item in items] == sorted(item.label for item in items)


def test_distinct_items_stay_with_more_per_class_and_with_fewer_labels():
    few, many = set(distinct_items(range(10), 3, 10)), set(distinct_items(range(10), 8, 10))
    assert few < many
    assert set(distinct_items((2, 5), 3, 10)) == {item for item in few if item.label in (2, 5)}


def test_batches_come_in_order_and_cover_all(generator):
    batches = list(generator.batches(ITEMS, 4))
    assert [len(batch.items) for batch in batches] == [4, 4, 1]
    assert [item for batch in batches for item in batch.items] == ITEMS
    assert [batch.result.tokens.shape[0] for batch in batches] == [4, 4, 1]


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_the_batch_size_changes_nothing(generator, size):
    whole, parts = list(generator.batches(ITEMS, 9)), list(generator.batches(ITEMS, size))
    for field in ("tokens", "images", "winner_index"):
        assert torch.equal(joined(parts, field), joined(whole, field))
    scores = [joined(batches, "winner_scores") for batches in (parts, whole)]
    torch.testing.assert_close(*scores, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("size", [1, 3])
def test_the_batch_size_changes_no_digits(digits_backbone, size):
    settings = SearchSettings(candidates=(1, 4, 4, 4), cfg=1.5, top_k=0, top_p=0.0)
    generator = Generator(digits_backbone, LikelihoodScorer(), GreedySelector(), settings, CPU)
    items = cross_items((0, 8), (0, 1, 2, 3))
    whole, parts = list(generator.batches(items, 8)), list(generator.batches(items, size))
    assert torch.equal(joined(parts, "tokens"), joined(whole, "tokens"))
    torch.testing.assert_close(joined(parts, "images"), joined(whole, "images"), rtol=1e-4, atol=1e-4)


def test_order_and_company_of_items_do_not_matter(generator):
    (whole,) = generator.batches(ITEMS, 9)
    (backwards,) = generator.batches(ITEMS[::-1], 9)
    assert torch.equal(backwards.result.tokens.flip(0), whole.result.tokens)


def test_a_generator_needs_a_scorer_where_there_is_a_choice(fake_backbone, refused):
    with refused("selector greedy needs a scorer", "--scorer", "--candidates 1"):
        Generator(fake_backbone(), None, GreedySelector(), SETTINGS, CPU)


@pytest.mark.parametrize(
    ("selector", "changes", "stochastic"),
    [
        (GreedySelector(), {"candidates": (1, 1, 1)}, (True, True, True)),
        (GreedySelector(), {"top_k": 1}, (True, True, True)),
        (GreedySelector(), {}, (True, False, False)),
        (RandomSelector(), {}, (True, True, True)),
    ],
)
def test_a_generator_needs_no_scorer_without_a_choice(fake_backbone, selector, changes, stochastic):
    backbone = fake_backbone(stochastic=stochastic)
    generator = Generator(backbone, None, selector, replace(SETTINGS, **changes), CPU)
    assert joined(generator.batches(ITEMS, 4), "tokens").shape == (9, 14)


def test_observers_see_every_batch(generator):
    seen = []
    list(replace(generator, observers=[seen.append]).batches(ITEMS, 4))
    assert [(event.scale, len(event.labels)) for event in seen] == [
        (1, 4),
        (2, 4),
        (1, 4),
        (2, 4),
        (1, 1),
        (2, 1),
    ]


@pytest.mark.parametrize("scale", [0, 1, 2])
@pytest.mark.parametrize("size", [2, 9])
def test_a_randomized_scale_changes_that_map_only(generator, scale, size):
    lengths = generator.backbone.info.lengths
    plain = joined(generator.batches(ITEMS, size), "tokens").split(lengths, dim=1)
    batches = list(replace(generator, randomize_scale=scale).batches(ITEMS, size))
    changed = joined(batches, "tokens").split(lengths, dim=1)
    seeds = torch.tensor([item.seed for item in ITEMS])
    for k in range(3):
        noise = random_tokens(seeds, Stream.SAMPLE, k, lengths[k], 7)
        assert torch.equal(changed[k], noise if k == scale else plain[k])
    images = generator.backbone.decode(torch.cat(changed, dim=1))
    assert torch.equal(joined(batches, "images"), images)


def test_a_randomized_scale_of_the_digits_decodes(digits_backbone):
    settings = SearchSettings(candidates=(1, 1, 1, 1), cfg=1.5, top_k=0, top_p=0.0)
    generator = Generator(digits_backbone, None, GreedySelector(), settings, CPU)
    items = cross_items((3,), range(4))
    (plain,) = generator.batches(items, 4)
    (changed,) = replace(generator, randomize_scale=3).batches(items, 4)
    assert changed.result.images.shape == plain.result.images.shape
    assert torch.equal(changed.result.images, digits_backbone.decode(changed.result.tokens))
    (again,) = generator.batches(items, 4)
    torch.testing.assert_close(again.result.images, digits_backbone.decode(plain.result.tokens))


@pytest.mark.parametrize("kept", [0, 1, 2])
@pytest.mark.parametrize("size", [2, 9])
def test_a_prefix_belongs_to_its_rows(generator, kept, size):
    given = torch.randint(7, (9, 14), generator=torch.Generator().manual_seed(1))
    tokens = joined(generator.batches(ITEMS, size, Prefix(given, kept)), "tokens")
    start = (0, 1, 5)[kept]
    assert torch.equal(tokens[:, :start], given[:, :start])
    assert not torch.equal(tokens[:, start:], given[:, start:])
    alone = [
        next(generator.batches([item], 1, Prefix(given[i : i + 1], kept))) for i, item in enumerate(ITEMS)
    ]
    assert torch.equal(joined(alone, "tokens"), tokens)


def test_a_prefix_of_no_scales_changes_nothing(generator):
    given = torch.zeros(9, 14, dtype=torch.int64)
    tokens = joined(generator.batches(ITEMS, 4, Prefix(given, 0)), "tokens")
    assert torch.equal(tokens, joined(generator.batches(ITEMS, 4), "tokens"))


def test_a_batch_suits_the_model():
    assert default_batch(30) > default_batch(680) >= 1
