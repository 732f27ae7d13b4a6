"""Which settings are tried."""

from __future__ import annotations

import collections
from dataclasses import replace

import pytest
import torch

from tts.evaluation.tune.design import TEMPERATURES, first_arms, neighbours
from tts.evaluation.tune.space import Arm, Space


def check(arm: Arm, space: Space) -> None:
    """An arm is made of the space's values, and says no more than makes a difference."""
    assert arm.cfg in space.cfgs
    assert arm.candidates in space.candidates
    assert arm.start_scale in space.starts
    assert arm.selector in ("greedy", "softmax", "topk")
    assert (arm.temperature is None) == (arm.selector == "greedy")
    assert arm.temperature in (None, *TEMPERATURES)
    assert (arm.top_k_select is None) == (arm.selector != "topk")
    assert arm.top_k_select is None or arm.top_k_select < arm.candidates


def test_first_arms_are_valid_distinct_and_cover_every_value(space: Space) -> None:
    arms = first_arms(space, space.cfgs[-1], 81, seed=0)
    assert len(set(arms)) == len(arms) == 81
    for arm in arms:
        check(arm, space)
    assert {arm.candidates for arm in arms} == set(space.candidates)
    assert {arm.start_scale for arm in arms} == set(space.starts)
    assert {arm.cfg for arm in arms} == set(space.cfgs)
    assert min(collections.Counter(arm.selector for arm in arms).values()) >= 15
    spread = collections.Counter(arm.candidates for arm in arms[4:])
    assert max(spread.values()) - min(spread.values()) <= 6
    starts = collections.Counter(arm.start_scale for arm in arms)
    assert starts[2] > starts[1] + starts[3] - 10


def test_guidance_goes_one_step_above_what_suits_the_plain_model(space: Space) -> None:
    for index, cfg in enumerate(space.cfgs):
        arms = first_arms(space, cfg, 200, seed=0)
        assert {arm.cfg for arm in arms} == set(space.cfgs[: index + 2])


def test_known_rules_come_first_with_the_best_guidance_and_less(space: Space) -> None:
    assert first_arms(space, 3.0, 4, seed=5) == (
        Arm(3.0, 16, 2, "greedy"),
        Arm(3.0, 16, 2, "softmax", temperature=1.0),
        Arm(1.0, 16, 2, "greedy"),
        Arm(1.0, 16, 2, "softmax", temperature=1.0),
    )
    assert {arm.cfg for arm in first_arms(space, 0.0, 2, seed=5)} == {0.0}


def test_a_seed_fixes_the_arms_and_a_longer_list_only_adds(space: Space) -> None:
    assert (
        first_arms(space, 1.5, 27, 3) == first_arms(space, 1.5, 27, 3) == first_arms(space, 1.5, 81, 3)[:27]
    )
    assert first_arms(space, 1.5, 27, 3) != first_arms(space, 1.5, 27, 4)


def test_the_global_generator_is_left_alone(space: Space) -> None:
    before = torch.random.get_rng_state()
    first_arms(space, 1.5, 81, 1)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_small_space_is_exhausted_without_repetition() -> None:
    small = Space((1.0,), (4,), (1,), (True, True), 1.0, 0.0)
    arms = first_arms(small, 1.0, 1000, 0)
    assert len(arms) == 1 + len(TEMPERATURES) + len(TEMPERATURES)  # greedy, softmax, and two of four
    assert {arm.top_k_select for arm in arms} == {None, 2}


@pytest.mark.parametrize(
    "arm",
    [
        Arm(1.5, 16, 2, "greedy"),
        Arm(0.0, 4, 1, "softmax", temperature=2.0),
        Arm(5.0, 128, 3, "softmax", temperature=1.0),
        Arm(1.0, 16, 2, "topk", 8, 0.5),
    ],
)
def test_neighbours_are_valid_and_one_step_away(space: Space, arm: Arm) -> None:
    found = neighbours(space, arm)
    assert len(set(found)) == len(found) >= 4
    assert arm not in found
    for other in found:
        check(other, space)
        moved = [
            name
            for name in ("cfg", "candidates", "start_scale")
            if getattr(arm, name) != getattr(other, name)
        ]
        if moved:
            (name,) = moved
            values = {"cfg": space.cfgs, "candidates": space.candidates, "start_scale": space.starts}[name]
            assert abs(values.index(getattr(arm, name)) - values.index(getattr(other, name))) == 1


def test_greedy_is_the_cold_end_of_softmax(space: Space) -> None:
    greedy = Arm(1.5, 16, 2, "greedy")
    warm = Arm(1.5, 16, 2, "softmax", temperature=0.5)
    assert warm in neighbours(space, greedy)
    assert greedy in neighbours(space, warm)
    assert Arm(1.5, 16, 2, "softmax", temperature=2.0) not in neighbours(space, warm)


def test_the_best_k_of_k_candidates_are_all_of_them(space: Space) -> None:
    arm = Arm(1.5, 16, 2, "topk", 8, 1.0)
    assert Arm(1.5, 8, 2, "softmax", temperature=1.0) in neighbours(space, arm)


def test_every_good_arm_is_reached_by_steps(space: Space) -> None:
    reached, frontier = set(), {Arm(0.0, 4, 1, "greedy")}
    while frontier:
        reached |= frontier
        frontier = {other for arm in frontier for other in neighbours(space, arm)} - reached
    simple = [replace(arm, cfg=cfg) for cfg in space.cfgs for arm in first_arms(space, 0.0, 500, 0)]
    assert {arm for arm in simple if arm.selector != "topk"} <= reached
