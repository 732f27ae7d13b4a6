"""Rounds of batches, on a clock that tests wind."""

from __future__ import annotations

import itertools

import pytest
import torch

from tts.bench.report import noise_of, paired, point_of
from tts.bench.timing import Arm, Stopwatch, Taken, attempt, time_arms
from tts.building import build_generator
from tts.sample_config import SampleConfig

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def generators():
    return {m: build_generator(SampleConfig(candidates=str(m), device="cpu")) for m in (1, 3)}


def ticking():
    ticks = itertools.count()
    return Stopwatch(CPU, lambda: float(next(ticks)))


def test_the_decoder_is_timed_within_the_run(generators):
    assert ticking().time(generators[3], 2) == Taken(1.0, 2.0)


def test_every_arm_is_timed_in_every_round_after_a_warm_up(generators):
    arms = [Arm(1, generators[1]), Arm(3, generators[3]), Arm(1, generators[1], again=True)]
    heard = []
    time_arms(arms, 2, 4, ticking(), lambda: heard.append(1))
    assert [len(arm.rounds) for arm in arms] == [4, 4, 4]
    assert len(heard) == 3 * 5
    assert noise_of(arms[2], arms[0]).without_decoder.median == 0


class Short(Stopwatch):
    """Too little memory for many candidates."""

    def time(self, generator, batch):
        if max(generator.settings.candidates) > 1:
            raise torch.OutOfMemoryError("full")
        return Taken(1.0, 2.0)


def test_an_arm_without_memory_costs_no_other_one(generators):
    arms = [Arm(1, generators[1]), Arm(3, generators[3]), Arm(1, generators[1], again=True)]
    time_arms(arms, 2, 3, Short(CPU))
    assert [arm.lost for arm in arms] == [False, True, False]
    assert [len(arm.rounds) for arm in arms] == [3, 0, 3]
    assert paired(arms[1], arms[0]) == ([], [])
    assert point_of(arms[1], arms[0], 2, 9, None, None).best is None
    assert point_of(arms[0], arms[0], 2, 0, None, None).best.seconds.median == 2


def test_other_errors_are_not_hidden():
    def fail():
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        attempt(fail)
