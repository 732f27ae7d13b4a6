"""A step: the plain loop bit by bit, and the same in parts, in several processes and in half precision."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from tts.data.pairs import PairSampler, split
from tts.engine.launch import Launch
from tts.resolve import DTYPES
from tts.scorers.losses import pairwise
from tts.scorers.network import ScorerNetwork, default_config
from tts.scorers.pair_data import split_pairs
from tts.scorers.pair_scores import PairScores
from tts.scorers.settings import TrainSettings
from tts.scorers.state import TrainState
from tts.scorers.step import Stepper
from tts.scorers.team import Team
from tts.scorers.train import learning_rate_factor, train_scorer

CPU = torch.device("cpu")
SETTINGS = TrainSettings(
    loss="pairwise", scales=(0, 1, 3), epochs=2, batch=24, epoch_pairs=100, held_out_pairs=40, keep="last"
)
FLOAT32 = 8 * 2**-24 * (576 * 12) ** 0.5
"""Relative, of loss and gradients of a step from equal weights: sums of up to 576 products, 12 in a row."""
BFLOAT16 = 8 * 2**-9 * 12**0.5
"""The same in bfloat16, where sums are float32 and what lies between them is rounded."""


@pytest.fixture
def stepper(digit_stores, digits_backbone):
    """A new network with equal weights, as one of ``world`` processes."""

    def make(settings=SETTINGS, rank=0, world=1, dtype=torch.float32, loss=pairwise):
        torch.manual_seed(settings.seed)
        network = ScorerNetwork(default_config(16, 4, 10, 4)).to(dtype)
        state = TrainState(network.train(), settings, CPU)
        data = split_pairs(*digit_stores, settings)[0]
        scores = PairScores(digits_backbone, settings.scales, CPU, DTYPES[settings.precision])
        team = Team(Launch(rank, world))
        team.wrap = lambda net: net  # gradients are averaged by the tests
        return Stepper(state, data, scores, settings, loss, team)

    with torch.random.fork_rng(devices=[]):
        yield make


def batches(stepper, count=1):
    return list(stepper.data.batches(0, 24 * count, 24))


def gradients(stepper):
    return torch.cat([p.grad.flatten() for p in stepper.state.net.parameters()])


def close(a, b, tolerance=FLOAT32):
    """By the norm: single gradients near zero are all rounding."""
    return float((a - b).norm() / b.norm()) < tolerance


def plain_loop(backbone, real, generated, settings):
    """The training as it was before it could be divided: no parts, no checkpoints, whole columns."""
    generator = torch.Generator().manual_seed(settings.seed)
    parts = [split(store.labels.long(), settings.held_out, generator)[0] for store in (real, generated)]
    sampler = PairSampler(real.labels[parts[0]], generated.labels[parts[1]], settings.seed)
    steps = -(-settings.epoch_pairs // settings.batch)
    losses = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        net = ScorerNetwork(default_config(16, 4, 10, 4))
        average = torch.optim.swa_utils.AveragedModel(
            net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(settings.ema)
        )
        optimizer = torch.optim.Adam(net.parameters(), lr=settings.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, steps, steps * settings.epochs)
        )
        scores = PairScores(backbone, settings.scales, CPU)
        for epoch in range(settings.epochs):
            for r, g in sampler.epoch(epoch, settings.epoch_pairs, settings.batch):
                rows = parts[0][r]
                tokens = real.tokens[rows], generated.tokens[parts[1][g]]
                both = scores(net, *tokens, real.labels[rows])
                loss = pairwise(both[0].flatten(), both[1].flatten())
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                average.update_parameters(net)
                losses.append(float(loss.detach()))
    return average.module, losses


@pytest.mark.parametrize("ema", [0.9, 1e-9])
def test_one_process_with_whole_batches_is_the_plain_loop_bit_by_bit(digit_stores, digits_backbone, ema):
    settings = replace(SETTINGS, ema=ema, learning_rate=2e-3)
    expected, losses = plain_loop(digits_backbone, *digit_stores, settings)
    seen = []
    result = train_scorer(
        digits_backbone, *digit_stores, settings, pairwise, CPU, lambda *step: seen.append(step[2])
    )
    assert seen == losses
    for key, value in expected.state_dict().items():
        assert torch.equal(result.network.state_dict()[key], value), key


@pytest.mark.parametrize("parts", [2, 5, 24])
def test_parts_make_the_gradients_of_the_whole_batch(stepper, parts):
    whole, divided = stepper(), stepper(replace(SETTINGS, accumulate=parts))
    for make in (whole, divided):
        torch.manual_seed(7)
        make.loss_value = make(batches(make)[0], 1e-3)
        make.drawn = torch.rand(2)
    assert divided.loss_value == pytest.approx(whole.loss_value, rel=FLOAT32)
    assert close(gradients(divided), gradients(whole))
    assert torch.equal(whole.drawn, divided.drawn)  # the next step drops the same


@pytest.mark.parametrize("count", [24, 7, 3, 2, 1])
@pytest.mark.parametrize(("world", "parts"), [(2, 1), (3, 1), (2, 2), (3, 4)])
def test_processes_make_the_gradients_of_the_whole_batch(stepper, count, world, parts):
    whole = stepper()
    batch = batches(whole)[0].cut(0, count)
    torch.manual_seed(7)
    loss = whole(batch, 1e-3)
    total, mean = 0.0, torch.zeros_like(gradients(whole))
    for rank in range(world):
        one = stepper(replace(SETTINGS, accumulate=parts), rank, world)
        torch.manual_seed(7)
        total += one(batch, 1e-3)
        mean += gradients(one) / world  # what DistributedDataParallel does
    assert total == pytest.approx(loss, rel=FLOAT32)
    assert close(mean, gradients(whole))


def test_a_borrowed_pair_is_not_shown_to_the_loss(stepper):
    seen = []

    def loss(real, generated):
        seen.append(len(real))
        return pairwise(real, generated)

    second = stepper(rank=1, world=3, loss=loss)
    assert second(batches(second)[0].cut(0, 1), 1e-3) == 0
    assert seen == []
    assert not gradients(second).any()


def test_whole_trainings_agree_in_float64(digit_stores, digits_backbone, monkeypatch):
    """What float32 rounding grows to is left out, so that the order of sums is all that differs."""
    views = digits_backbone.views
    monkeypatch.setattr(digits_backbone, "views", lambda tokens: [view.double() for view in views(tokens)])
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor.double())
    torch.set_default_dtype(torch.float64)
    try:
        losses = []
        for parts in (1, 2, 5):
            settings = replace(SETTINGS, accumulate=parts, learning_rate=1e-3)
            result = train_scorer(digits_backbone, *digit_stores, settings, pairwise, CPU)
            losses.append([x for row in result.history for x in (row["train_loss"], *row["loss"])])
    finally:
        torch.set_default_dtype(torch.float32)
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)
    assert losses[2] == pytest.approx(losses[0], rel=1e-12)


def test_bfloat16_takes_the_same_step_to_its_rounding(stepper):
    steps = []
    for precision in ("float32", "bfloat16"):
        one = stepper(replace(SETTINGS, precision=precision))
        torch.manual_seed(7)
        steps.append((one(batches(one)[0], 1e-3), gradients(one)))
    (loss, wanted), (rough, found) = steps
    assert 0 < abs(rough - loss) < BFLOAT16 * loss
    # activations that are rounded over the bend of a LeakyReLU have another slope; no gradient is off by 1
    assert 0 < float((found - wanted).norm()) < 0.3 * float(wanted.norm())


def test_bfloat16_learns_the_same_thing_roughly(digit_stores, digits_backbone):
    """Roundings grow from step to step; what has learned nothing is off by 0.5 at the last scale."""
    losses = []
    for precision in ("float32", "bfloat16"):
        settings = replace(SETTINGS, precision=precision, learning_rate=1e-3, epoch_pairs=240)
        result = train_scorer(digits_backbone, *digit_stores, settings, pairwise, CPU)
        losses.append(result.history[-1]["loss"])
        assert result.network.out_proj.weight.dtype == torch.float32
    assert losses[1] != losses[0]
    assert losses[1] == pytest.approx(losses[0], rel=0, abs=0.15)


def test_float16_scales_its_gradients_and_leaves_out_steps_that_overflow(stepper):
    """On the CPU, which is far too slow for more than this."""
    half = stepper(replace(SETTINGS, precision="float16", batch=3))
    batch, weights = batches(half)[0].cut(0, 3), half.state.net.out_proj.weight
    half.state.scaler.load_state_dict({**half.state.scaler.state_dict(), "scale": float(2**60)})
    before = weights.detach().clone()
    half(batch, 1e-3)
    assert torch.equal(weights, before)
    assert half.state.scaler.get_scale() == 2**59
    half.state.scaler.update(1024.0)
    loss = half(batch, 1e-3)
    assert not torch.equal(weights, before)
    assert half.state.scaler.get_scale() == 1024
    assert 0.3 < loss < 1.2


def test_float32_scales_nothing(stepper):
    one = stepper()
    assert not one.state.scaler.is_enabled()
    assert type(one.state.net.dropout) is nn.Dropout


def test_the_learning_rate_is_the_given_one(stepper):
    one = stepper()
    one(batches(one)[0], 0.0123)
    assert [group["lr"] for group in one.state.optimizer.param_groups] == [0.0123]
