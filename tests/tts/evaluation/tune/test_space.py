"""The settings that tuning chooses from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tts.errors import UsageError
from tts.evaluation.tune.design import first_arms
from tts.evaluation.tune.space import Arm, Space, cfg_values, make_space
from tts.interfaces import BackboneInfo
from tts.records import encode, parse_record
from tts.sample_config import SampleConfig
from tts.specs import LLAMAGEN_GUIDANCE, VAR_GUIDANCE, SamplingDefaults

INFO = BackboneInfo(
    name="tiny",
    family="var",
    schedule=(1, 2, 3, 4),
    codebook_size=8,
    channels=2,
    grid=4,
    classes=10,
    image_size=16,
    guidance=VAR_GUIDANCE,
    sampling=SamplingDefaults(cfg=1.5, top_k=0, top_p=0.0),
    stochastic=(True,) * 4,
)


@pytest.mark.parametrize(("default", "off"), [(1.5, 0.0), (0.1, 0.0), (1.5, 1.0), (2.5, 1.0), (4.0, 0.0)])
def test_guidance_reaches_from_off_past_the_default(default: float, off: float) -> None:
    values = cfg_values(default, off)
    assert values[0] == off
    assert default in values
    assert values[-1] >= max(off + 5, default + 1)
    assert any(off < value <= off + 0.1 for value in values)
    assert values == tuple(sorted(set(values)))


def test_guidance_reaches_twice_a_large_default() -> None:
    assert cfg_values(8.0, 1.0)[-1] == 15.0


def test_the_digits_best_guidances_are_in_reach() -> None:
    assert {3.0, 4.0} <= set(make_space(INFO).cfgs)
    assert {0.0, 0.1, 0.25} <= set(make_space(replace(INFO, sampling=SamplingDefaults(0.1, 0, 0.0))).cfgs)
    assert {1.0, 1.5} <= set(make_space(replace(INFO, guidance=LLAMAGEN_GUIDANCE)).cfgs)


def test_scales_without_chance_leave_nothing_to_select() -> None:
    flexvar = replace(INFO, stochastic=(True, True, False, False))
    space = make_space(flexvar)
    assert space.starts == (1, 2)
    assert space.scored(Arm(1.0, 8, 2, "greedy")) == 8
    assert space.scored(Arm(1.0)) == 0
    with pytest.raises(UsageError, match="nothing to select"):
        make_space(replace(INFO, stochastic=(False,) * 4))


@pytest.mark.parametrize(
    ("most", "levels"), [(2, (2,)), (4, (4,)), (24, (4, 8, 16, 24)), (64, (4, 8, 16, 32, 64))]
)
def test_candidates_go_up_to_the_given_number(most: int, levels: tuple[int, ...]) -> None:
    assert make_space(INFO, most=most).candidates == levels


def test_one_candidate_at_most_is_refused() -> None:
    with pytest.raises(UsageError, match="max-candidates 1"):
        make_space(INFO, most=1)


def test_given_guidances_replace_the_grid_and_the_nearest_one_is_usual() -> None:
    space = make_space(INFO, cfgs=(2.0, 1.0, 2.0))
    assert space.cfgs == (1.0, 2.0)
    assert [arm.cfg for arm in space.plain] == [1.0, 2.0]
    assert space.usual_cfg in (1.0, 2.0)


def test_an_arm_survives_its_record(space: Space) -> None:
    for arm in (*space.plain, *first_arms(space, 5.0, 50, 2)):
        assert parse_record(encode(arm), Arm, "x", "arm", "") == arm


def test_an_arm_changes_what_it_names_and_nothing_else(space: Space) -> None:
    base = SampleConfig(backbone="var-digits", temperature=3.0, top_k_select=5, dtype="float16")
    plain = Arm(0.5).applied(base)
    assert plain == replace(base, candidates="1", cfg=0.5)
    chosen = Arm(2.0, 32, 3, "softmax", temperature=0.5).applied(base)
    expected = {"candidates": "32", "cfg": 2.0, "start_scale": 3, "selector": "softmax", "temperature": 0.5}
    assert chosen == replace(base, **expected)


def test_labels_tell_arms_apart(space: Space) -> None:
    arms = (*space.plain, *first_arms(space, 5.0, 200, 0))
    assert len({arm.label for arm in arms}) == len(arms)
    assert Arm(1.5, 8, 2, "topk", 4, 0.5).label == "topk 4, T 0.5, M 8, ST 2, cfg 1.5"
