"""A training's state: what is restored goes on as what was saved would have."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tts.scorers.losses import pairwise
from tts.scorers.network import ScorerNetwork, default_config
from tts.scorers.settings import TrainSettings
from tts.scorers.state import Snapshot, TrainState

CPU = torch.device("cpu")
SETTINGS = TrainSettings("pairwise", (0, 1), ema=0.9)


class Figures:
    """What is kept of held-out figures."""

    real = torch.rand(5, 2)
    generated = torch.rand(5, 2)


def fresh(settings=SETTINGS):
    return TrainState(ScorerNetwork(default_config(4, 4, 3, 2)), settings, CPU)


def steps(state, count):
    state.net.train()
    for _ in range(count):
        maps = torch.randn(6, 4, 4, 4)
        scores = state.net(maps, torch.arange(6) % 3, torch.arange(6) % 2)
        state.optimizer.zero_grad(set_to_none=True)
        state.scaler.scale(pairwise(scores[:3], scores[3:])).backward()
        state.scaler.step(state.optimizer)
        state.scaler.update()
        if state.average is not None:
            state.average.update_parameters(state.net)


def copied(snapshot):
    return Snapshot({key: value.clone() for key, value in snapshot.tensors.items()}, snapshot.record)


@pytest.fixture(autouse=True)
def own_generator():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("changes", [{}, {"ema": 0.0}, {"precision": "float16"}])
def test_a_restored_training_goes_on_bit_by_bit(changes):
    settings = replace(SETTINGS, **changes)
    first = fresh(settings)
    steps(first, 3)
    first.keep(1, Figures)
    first.position.epoch, first.position.history = 1, [{"loss": [0.5]}]
    saved = copied(first.snapshot())
    steps(first, 2)
    second = fresh(settings)
    second.restore(saved)
    torch.set_rng_state(second.random["cpu"])
    steps(second, 2)
    found, expected = second.snapshot(), first.snapshot()
    assert found.record == expected.record
    assert found.tensors.keys() == expected.tensors.keys()
    for key, value in expected.tensors.items():
        assert torch.equal(found.tensors[key], value), key
    assert torch.equal(second.kept.real, Figures.real)
    assert second.kept.epoch == 1


def test_what_is_kept_is_the_moving_average_at_that_time():
    state = fresh()
    steps(state, 2)
    state.keep(4, Figures)
    expected = {key: value.clone() for key, value in state.average.module.state_dict().items()}
    steps(state, 2)
    assert all(torch.equal(state.kept.state[key], value) for key, value in expected.items())
    assert state.network is state.average.module
    assert fresh(replace(SETTINGS, ema=0.0)).average is None


@pytest.mark.parametrize("key", ["net.out_proj.bias", "average.n_averaged", "adam.3.exp_avg", "adam.0.step"])
def test_a_snapshot_that_lacks_a_tensor_is_refused(key):
    state = fresh()
    steps(state, 1)
    saved = copied(state.snapshot())
    del saved.tensors[key]
    with pytest.raises((LookupError, RuntimeError)):
        fresh().restore(saved)


@pytest.mark.parametrize("key", ["net.out_proj.bias", "adam.3.exp_avg", "adam.0.step"])
def test_a_snapshot_with_a_tensor_of_another_shape_is_refused(key):
    state = fresh()
    steps(state, 1)
    saved = copied(state.snapshot())
    saved.tensors[key] = torch.zeros(2, 3)
    with pytest.raises((ValueError, RuntimeError)):
        fresh().restore(saved)


def test_a_snapshot_of_another_record_is_refused():
    state = fresh()
    steps(state, 1)
    saved = state.snapshot()
    for damage in ({"position": {"weather": 1}}, {"kept": 3}):
        with pytest.raises((LookupError, TypeError)):
            fresh().restore(Snapshot(saved.tensors, {**saved.record, **damage}))
