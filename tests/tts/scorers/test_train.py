"""Training on small data: it learns, is reproducible, and keeps what is held out apart."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from tts.data.pairs import split
from tts.errors import RunError
from tts.scorers.held_out import mean
from tts.scorers.losses import pairwise, pointwise
from tts.scorers.network import ScorerNetwork
from tts.scorers.pair_scores import PairScores
from tts.scorers.settings import TrainSettings
from tts.scorers.train import PAIR_SHARE, learning_rate_factor, train_scorer

CPU = torch.device("cpu")
SETTINGS = TrainSettings(
    loss="pairwise",
    scales=(0, 1, 2, 3),
    epochs=3,
    batch=32,
    learning_rate=2e-3,
    epoch_pairs=256,
    held_out=0.25,
    held_out_pairs=200,
)
SHORT = replace(SETTINGS, epochs=2, batch=16, epoch_pairs=40, held_out_pairs=50)


@pytest.fixture
def train(digits_backbone, digit_stores):
    def run(settings=SHORT, loss=pairwise, on_step=lambda *_: None):
        return train_scorer(digits_backbone, *digit_stores, settings, loss, CPU, on_step)

    return run


@pytest.fixture(scope="module")
def trained(digits_backbone, digit_stores):
    return train_scorer(digits_backbone, *digit_stores, SETTINGS, pairwise, CPU)


def weights(result):
    return torch.cat([value.flatten() for value in result.network.state_dict().values()])


def test_real_and_random_maps_are_told_apart(trained):
    last = trained.history[-1]
    assert min(last["accuracy"]) > 0.7  # chance is 0.5
    assert max(last["loss"]) < math.log(2) - 0.05
    assert last["train_loss"] < trained.history[0]["train_loss"] < math.log(2) + 0.1
    assert trained.real_scores[:, 1:].mean() > trained.generated_scores[:, 1:].mean() + 1


def test_figures_of_every_epoch_and_scale(trained):
    assert [row["epoch"] for row in trained.history] == [1, 2, 3]
    for row in trained.history:
        assert row.keys() == {"epoch", "train_loss", "loss", "accuracy"}
        assert len(row["loss"]) == len(row["accuracy"]) == 4
    assert trained.real_scores.shape == trained.generated_scores.shape == (200, 4)
    expected = (trained.real_scores > trained.generated_scores).float().mean(dim=0)
    assert list(trained.history[-1]["accuracy"]) == pytest.approx(expected.tolist())
    for scale in range(4):
        loss = pairwise(trained.real_scores[:, scale], trained.generated_scores[:, scale])
        assert trained.history[-1]["loss"][scale] == pytest.approx(float(loss))


def test_the_network_is_ready_for_use(trained):
    assert not trained.network.training
    assert not any(parameter.requires_grad for parameter in trained.network.parameters())
    assert trained.network.config.grid == 4
    assert trained.network.config.scales == 4


def test_pointwise_learns_too(train):
    result = train(replace(SETTINGS, loss="pointwise"), pointwise)
    assert min(result.history[-1]["accuracy"]) > 0.7
    assert result.real_scores[:, 3].mean() > 0 > result.generated_scores[:, 3].mean()


def test_equal_seeds_make_equal_networks(train):
    torch.manual_seed(1)
    first = train()
    torch.manual_seed(2)
    second = train()
    assert torch.equal(weights(first), weights(second))
    assert first.history == second.history
    assert torch.equal(first.real_scores, second.real_scores)
    other = train(replace(SHORT, seed=1))
    assert not torch.equal(weights(first), weights(other))


def test_training_leaves_the_global_generator_alone(train):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train()
    assert torch.equal(torch.rand(3), expected)


def test_some_scales_only(train, monkeypatch):
    seen = []
    original = ScorerNetwork.forward

    def spy(self, maps, labels, scales):
        seen.append(scales)
        return original(self, maps, labels, scales)

    monkeypatch.setattr(ScorerNetwork, "forward", spy)
    result = train(replace(SHORT, scales=(3, 1)))
    assert {scale for scales in seen for scale in scales.tolist()} == {1, 3}
    assert result.real_scores.shape == (50, 2)
    assert len(result.history[-1]["accuracy"]) == 2


@pytest.fixture
def pairs_seen(monkeypatch):
    """Rows (tuples of tokens) of either side that went through the network, in training and held out."""
    seen = {True: ([], []), False: ([], [])}
    original = PairScores.__call__

    def spy(self, network, real, generated, labels):
        for rows, side in zip(seen[network.training], (real, generated), strict=True):
            rows.extend(zip(map(tuple, side.tolist()), labels.tolist(), strict=True))
        return original(self, network, real, generated, labels)

    monkeypatch.setattr(PairScores, "__call__", spy)
    return seen


def test_held_out_items_are_never_trained_on(train, pairs_seen, digit_stores):
    train(replace(SHORT, epochs=3, epoch_pairs=300))
    for side in (0, 1):
        trained_on, held_out = set(pairs_seen[True][side]), set(pairs_seen[False][side])
        assert len(trained_on) > 100
        assert len(held_out) > 20
        assert not trained_on & held_out
        store = digit_stores[side]
        everything = set(zip(map(tuple, store.tokens.tolist()), store.labels.tolist(), strict=True))
        assert trained_on | held_out <= everything  # so both items of a pair are of its class


def test_held_out_pairs_are_the_same_every_epoch(train, pairs_seen):
    train(replace(SHORT, epochs=2))
    real = pairs_seen[False][0]
    assert len(real) == 100
    assert real[:50] == real[50:]


def test_each_epoch_draws_other_pairs(train, pairs_seen):
    train(replace(SHORT, epochs=2))
    real = pairs_seen[True][0]
    assert len(real) == 80
    assert real[:40] != real[40:]


def test_learning_rates():
    factors = [learning_rate_factor(step, 10, 40) for step in range(41)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factors[10] == 1
    assert factors[25] == pytest.approx(0.5)
    assert factors[40] == pytest.approx(0)
    assert factors[10:] == sorted(factors[10:], reverse=True)
    one_epoch = [learning_rate_factor(step, 10, 10) for step in range(11)]
    assert one_epoch[:10] == factors[:10]
    assert math.isfinite(one_epoch[10])


def test_the_optimiser_follows_the_schedule(train, monkeypatch):
    rates = []
    original = torch.optim.Adam.step

    def spy(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return original(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    train()  # 40 pairs in batches of 16: three steps an epoch
    expected = [SHORT.learning_rate * learning_rate_factor(step, 3, 6) for step in range(6)]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(("pairs", "steps"), [(40, 3), (16, 1), (1, 1), (48, 3)])
def test_the_length_of_an_epoch(train, pairs, steps):
    seen = []
    train(replace(SHORT, epoch_pairs=pairs), on_step=lambda *step: seen.append(step))
    assert [step[:2] for step in seen] == [(i, 2 * steps) for i in range(1, 2 * steps + 1)]
    assert all(math.isfinite(loss) for *_, loss in seen)


def test_an_epoch_is_a_share_of_all_pairs_unless_told(train, digit_stores):
    seen = []
    train(replace(SHORT, epochs=1, epoch_pairs=None), on_step=lambda *step: seen.append(step))
    kept = [split(store.labels.long(), SHORT.held_out)[0] for store in digit_stores]
    total = sum(
        int(
            (digit_stores[0].labels[kept[0]] == label).sum()
            * (digit_stores[1].labels[kept[1]] == label).sum()
        )
        for label in range(10)
    )
    pairs = max(SHORT.batch, round(PAIR_SHARE * total))
    assert seen[-1][1] == math.ceil(pairs / SHORT.batch)


def test_the_moving_average(train):
    plain = train()
    none, short, long = (train(replace(SHORT, ema=decay)) for decay in (1e-9, 0.5, 0.999))
    torch.testing.assert_close(weights(none), weights(plain), rtol=1e-5, atol=1e-6)
    for averaged in (none, short, long):
        assert [row["train_loss"] for row in averaged.history] == [row["train_loss"] for row in plain.history]
        assert not averaged.network.training
    distances = [float((weights(result) - weights(plain)).norm()) for result in (none, short, long)]
    assert distances == sorted(distances)
    assert distances[2] > 2 * distances[1] > 0
    assert long.history[-1]["loss"] != plain.history[-1]["loss"]


@pytest.mark.parametrize("field", ["epochs", "batch"])
def test_numbers_below_one_are_refused(train, field, refused):
    with refused(f"{field} 0 must be at least 1"):
        train(replace(SHORT, **{field: 0}))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_share_held_out_is_needed(train, share, refused):
    with refused(f"held-out fraction is {share}"):
        train(replace(SHORT, held_out=share))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_run(train, value, refused):
    steps = []

    def breaks(real, generated):
        steps.append(1)
        return pairwise(real, generated) * (value if len(steps) == 3 else 1)

    with refused(f"the loss is {value} at step 3; lower --lr", kind=RunError, code=1):
        train(loss=breaks)


def test_the_best_epoch_is_the_one_with_the_lowest_mean_loss(trained):
    losses = [mean(row["loss"]) for row in trained.history]
    assert trained.epoch == losses.index(min(losses)) + 1
