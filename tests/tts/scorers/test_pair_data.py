"""Pairs read from disk: those of the sampler, whole or in parts, and apart from what is held out."""

from __future__ import annotations

import pytest
import torch

from tts.data.pairs import PairSampler, split
from tts.scorers.pair_data import Batch, split_pairs
from tts.scorers.settings import TrainSettings

SETTINGS = TrainSettings("pairwise", (0,), held_out=0.25, seed=3)


@pytest.fixture
def pairs(digit_stores):
    return split_pairs(*digit_stores, SETTINGS)


def test_training_and_held_out_pairs_are_those_of_the_split(pairs, digit_stores):
    generator = torch.Generator().manual_seed(3)
    parts = [split(store.labels.long(), 0.25, generator) for store in digit_stores]
    for number, (data, seed) in enumerate(zip(pairs, (3, 4), strict=True)):
        labels = (store.labels[part[number]] for store, part in zip(digit_stores, parts, strict=True))
        sampler = PairSampler(*labels, seed)
        assert data.total == sampler.total
        for batch, (r, g) in zip(data.batches(2, 20, 8), sampler.epoch(2, 20, 8), strict=True):
            assert torch.equal(batch.real, parts[0][number][r])
            assert torch.equal(batch.generated, parts[1][number][g])
    assert not set(pairs[0].parts[0].tolist()) & set(pairs[1].parts[0].tolist())


def test_a_batch_is_read_from_both_sides(pairs, digit_stores):
    batch = next(pairs[0].batches(0, 16, 16))
    real, generated, labels = pairs[0].read(batch)
    assert torch.equal(real, digit_stores[0].tokens[batch.real])
    assert torch.equal(generated, digit_stores[1].tokens[batch.generated])
    assert torch.equal(labels, digit_stores[0].labels[batch.real])
    assert torch.equal(labels, digit_stores[1].labels[batch.generated])


def test_an_epoch_goes_on_after_some_batches(pairs):
    whole = list(pairs[0].batches(1, 30, 8))
    rest = list(pairs[0].batches(1, 30, 8, skip=2))
    assert [len(batch) for batch in rest] == [8, 6]
    assert all(torch.equal(a.real, b.real) for a, b in zip(whole[2:], rest, strict=True))
    assert not list(pairs[0].batches(1, 30, 8, skip=4))


def test_a_batch_can_be_cut():
    batch = Batch(torch.arange(5), torch.arange(5) + 10)
    assert len(batch) == 5
    part = batch.cut(1, 3)
    assert (part.real.tolist(), part.generated.tolist()) == ([1, 2], [11, 12])


def test_training_reads_no_whole_columns(pairs, digit_stores, monkeypatch):
    monkeypatch.setattr(type(digit_stores[0]), "tokens", property(lambda self: pytest.fail("a whole column")))
    for batch in pairs[0].batches(0, 64, 16):
        pairs[0].read(batch)


def test_sides_without_held_out_items_are_refused_before_training(digit_stores, refused):
    with refused("held-out fraction is 1.0"):
        split_pairs(*digit_stores, TrainSettings("pairwise", (0,), held_out=1.0))
