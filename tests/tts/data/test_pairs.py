from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tts.data.pairs import PairSampler, split
from tts.errors import UsageError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def whole_epoch(sampler: PairSampler, epoch: int, pairs: int, batch: int) -> tuple[Tensor, Tensor]:
    batches = list(sampler.epoch(epoch, pairs, batch))
    return torch.cat([real for real, _ in batches]), torch.cat([made for _, made in batches])


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.99])
def test_split_covers_every_class_on_both_sides(fraction: float) -> None:
    labels = torch.tensor([5] * 40 + [1] * 2 + [3] + [0] * 9)[torch.randperm(52, generator=generator())]
    train, held_out = split(labels.to(torch.int32), fraction, generator())
    assert torch.equal(torch.cat([train, held_out]).sort().values, torch.arange(52))
    assert torch.equal(train, train.sort().values)
    assert set(labels[train].tolist()) == {0, 1, 3, 5}
    assert set(labels[held_out].tolist()) == {0, 1, 5}


def test_split_takes_the_fraction_of_each_class() -> None:
    labels = torch.arange(1000) % 4
    train, held_out = split(labels, 0.1, generator())
    assert (
        labels[held_out].bincount().tolist() == [25] * 4 or labels[held_out].bincount().tolist() == [25] * 4
    )
    assert len(train) == 900


def test_split_is_deterministic_and_random() -> None:
    labels = torch.arange(300) % 3
    first, again, other = (split(labels, 0.2, generator(seed))[1] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_split_refuses_other_fractions(fraction: float) -> None:
    with pytest.raises(UsageError, match="must lie between 0 and 1"):
        split(torch.zeros(4, dtype=torch.int64), fraction, generator())


def test_split_of_nothing() -> None:
    train, held_out = split(torch.zeros(0, dtype=torch.int64), 0.1, generator())
    assert len(train) == len(held_out) == 0


def test_pairs_are_of_one_class_and_skip_lonely_classes() -> None:
    real = torch.tensor([0, 1, 1, 4, 7, 1, 4], dtype=torch.int32)
    made = torch.tensor([4, 4, 1, 2, 1, 9])
    sampler = PairSampler(real, made, seed=3)
    assert sampler.total == 3 * 2 + 2 * 2
    real_index, made_index = whole_epoch(sampler, 0, 500, 64)
    assert torch.equal(real[real_index].to(torch.int64), made[made_index])
    assert real[real_index].unique().tolist() == [1, 4]


def test_pairs_are_uniform_over_all_pairs() -> None:
    real, made = torch.tensor([2, 0, 0, 2, 2]), torch.tensor([0, 2, 0, 2, 0, 2, 2])
    sampler = PairSampler(real, made, seed=0)
    real_index, made_index = whole_epoch(sampler, 0, 36_000, 1000)
    counts = (real_index * len(made) + made_index).bincount()
    possible = (real[:, None] == made[None, :]).flatten().nonzero()[:, 0]
    assert sampler.total == len(possible) == 18
    assert torch.equal(counts.nonzero()[:, 0], possible)
    assert float((counts[possible] / 2000 - 1).abs().max()) < 0.1  # four standard deviations are 0.09


def test_epochs_depend_on_seed_and_epoch_not_on_the_batch() -> None:
    labels = torch.arange(100) % 5
    sampler = PairSampler(labels, labels, seed=1)
    first = torch.stack(whole_epoch(sampler, 2, 101, 10))
    assert first.shape == (2, 101)
    torch.manual_seed(5)
    assert torch.equal(first, torch.stack(whole_epoch(sampler, 2, 101, 33)))
    assert torch.equal(first, torch.stack(whole_epoch(PairSampler(labels, labels, seed=1), 2, 101, 101)))
    assert not torch.equal(first, torch.stack(whole_epoch(sampler, 3, 101, 10)))
    assert not torch.equal(first, torch.stack(whole_epoch(PairSampler(labels, labels, seed=2), 2, 101, 10)))


@pytest.mark.parametrize("skip", [0, 1, 3, 4, 9])
def test_an_epoch_goes_on_after_the_batches_that_were_seen(skip: int) -> None:
    labels = torch.arange(100) % 5
    whole = list(PairSampler(labels, labels, 1).epoch(2, 38, 10))
    rest = list(PairSampler(labels, labels, 1).epoch(2, 38, 10, skip))
    assert len(rest) == max(0, 4 - skip)
    for seen, expected in zip(rest, whole[skip:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(seen, expected, strict=True))


def test_batches_have_the_asked_size() -> None:
    labels = torch.zeros(10, dtype=torch.int64)
    sizes = [len(real) for real, _ in PairSampler(labels, labels, 0).epoch(0, 25, 10)]
    assert sizes == [10, 10, 5]


def test_pairs_are_drawn_lazily() -> None:
    labels = torch.zeros(200_000, dtype=torch.int64)  # 40 thousand million pairs
    sampler = PairSampler(labels, labels, 0)
    assert sampler.total == 200_000**2
    real, made = next(sampler.epoch(0, 10**15, 1000))
    assert len(real.unique()) > 950
    assert len(made.unique()) > 950


@pytest.mark.parametrize("made", [[2, 3], []])
def test_no_common_class(made: list[int]) -> None:
    with pytest.raises(UsageError, match="no class in common"):
        PairSampler(torch.tensor([0, 1]), torch.tensor(made, dtype=torch.int64), 0)
