"""The random state of a training."""

from __future__ import annotations

import torch

from tts.scorers.rng import own_random_state, random_state, set_random_state

CPU = torch.device("cpu")


def test_a_state_that_is_set_goes_on_where_it_was():
    with own_random_state(CPU):
        state = random_state(CPU)
        expected = torch.rand(5)
        torch.rand(7)
        set_random_state(state, CPU)
        assert torch.equal(torch.rand(5), expected)


def test_everybody_elses_state_is_given_back():
    before = torch.get_rng_state()
    with own_random_state(CPU):
        torch.manual_seed(123)
        torch.rand(5)
    assert torch.equal(torch.get_rng_state(), before)
