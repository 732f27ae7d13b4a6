"""Points in canonical form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tts.evaluation.sweep.point import SETTING_FIELDS, Point, Setting, canonical, config_of, distinct, grouped
from tts.interfaces import BackboneInfo
from tts.resolve import build_selector, find_backbone
from tts.sample_config import SampleConfig

SPEC = find_backbone("var-digits")[0]


@pytest.fixture(scope="module")
def info(digits_backbone: Any) -> BackboneInfo:
    found: BackboneInfo = digits_backbone.info
    return found


@pytest.fixture(scope="module")
def point(info: BackboneInfo) -> Any:
    """The point of a configuration that differs from the default."""

    def make(**changes: Any) -> Point:
        config = replace(SampleConfig(), **changes)
        selector = build_selector(config.selector, config.top_k_select, config.temperature)
        return canonical(config, SPEC, changes.pop("info", info), selector)

    return make


def unset(setting: Setting) -> set[str]:
    return {name for name in SETTING_FIELDS if getattr(setting, name) is None}


CHOICE = {"scorer", "selector", "start_scale", "end_scale", "top_k_select", "temperature", "image_scorer"}


@pytest.mark.parametrize(
    "changes",
    [
        {"selector": "softmax", "temperature": 0.5, "start_scale": 1},
        {"scorer": "likelihood", "end_scale": 3},
        {"candidates": "1,1,1,1"},
        {"candidates": "8", "top_k": 1},
        {"strategy": "best-of-n", "image_scorer": "digits"},
        {"strategy": "best-of-n", "candidates": "8", "top_k": 1},
    ],
)
def test_one_candidate_is_the_plain_model_whatever_would_choose(point: Any, changes: dict[str, Any]) -> None:
    found = point(**{"candidates": "1", **changes}).setting
    assert found.plain
    assert (found.strategy, unset(found)) == ("lsrs", CHOICE)
    assert found == point(candidates="1", top_k=changes.get("top_k")).setting


def test_defaults_are_filled_in(point: Any) -> None:
    found = point().setting
    assert found == point(start_scale=2, end_scale=4, cfg=1.5, scorer="learned", top_k=0).setting
    assert (found.scorer, found.cfg, found.schedule, found.guidance) == ("learned", 1.5, "1,2,3,4", "var")
    assert unset(found) == {"image_scorer", "top_k_select", "temperature"}


def test_settings_that_make_no_difference_are_left_out(point: Any) -> None:
    assert point(temperature=0.5, top_k_select=3).setting == point().setting
    softmax = point(selector="softmax", top_k_select=3).setting
    assert (softmax.top_k_select, softmax.temperature) == (None, 1.0)
    topk = point(selector="topk", top_k_select=3).setting
    assert (topk.top_k_select, topk.temperature) == (3, 1.0)
    assert point(selector="random", scorer="likelihood").setting.scorer is None
    whole = point(strategy="best-of-n", selector="softmax", start_scale=3, scorer="likelihood").setting
    assert (whole.strategy, whole.image_scorer, whole.candidates) == ("best-of-n", "digits", "8")
    assert unset(whole) == CHOICE - {"image_scorer"}
    beam = point(strategy="beam:2", selector="softmax", temperature=3.0, image_scorer="x").setting
    assert (beam.strategy, beam.scorer, beam.candidates, beam.start_scale) == ("beam:2", "learned", "8", 2)
    assert unset(beam) == {"image_scorer", "selector", "top_k_select", "temperature"}
    assert point(strategy="beam:2", selector="random").setting == beam  # which needs no scores itself
    assert point(strategy="particles", candidates="1").setting == point(candidates="1").setting


def test_a_list_that_is_a_span_becomes_one(point: Any) -> None:
    assert point(candidates="1,8,8,8").setting == point(candidates="8").setting
    assert point(candidates="8,8,8,1").setting == point(candidates="8", start_scale=1, end_scale=3).setting
    mixed = point(candidates="1,2,4,8").setting
    assert (mixed.candidates, mixed.start_scale, mixed.end_scale) == ("1,2,4,8", None, None)


def test_the_configuration_of_a_point_is_its_own_point(point: Any, info: BackboneInfo) -> None:
    for changes in (
        {},
        {"candidates": "1", "selector": "softmax", "start_scale": 3, "scorer": "likelihood"},
        {"candidates": "1,2,4,8", "selector": "topk", "cfg": 3.0},
        {"strategy": "best-of-n", "selector": "topk", "start_scale": 1, "temperature": 3.0},
        {"selector": "random", "scorer": "likelihood"},
        {"strategy": "beam:2", "selector": "random", "temperature": 3.0},
        {"strategy": "particles", "candidates": "1,8,4,2"},
    ):
        found = point(**changes)
        selector = build_selector(found.config.selector, found.config.top_k_select, found.config.temperature)
        again = canonical(found.config, SPEC, info, selector)
        assert again == found


def test_equal_points_stand_once_at_their_first_place(point: Any) -> None:
    plain, m2 = point(candidates="1"), point(candidates="2")
    points = [plain, m2, point(candidates="1", selector="random"), point(candidates="2", temperature=3.0)]
    assert distinct(points) == [plain, m2]


def test_points_can_be_grouped_by_their_backbone(point: Any) -> None:
    points = [point(candidates=m, sample_all_scales=flag) for m in ("1", "2") for flag in (False, True)]
    groups = [found.config.sample_all_scales for found in grouped(points)]
    assert groups == [False, False, True, True]


def test_more_candidates_weigh_more(point: Any) -> None:
    weights = [point(candidates=m).weight for m in ("1", "2", "32")]
    assert weights == sorted(set(weights))
    assert point(strategy="best-of-n", candidates="8").weight == 8 * point(candidates="1").weight
    assert point(strategy="particles").weight > point().weight
    assert point(start_scale=1).weight > point(start_scale=2).weight > point(start_scale=4).weight


def test_an_unknown_strategy_is_refused(point: Any, refused: Any) -> None:
    with refused("unknown strategy 'lsr'"):
        point(strategy="lsr")


def test_where_tokens_are_not_drawn_there_is_no_choice(fake_backbone: Any) -> None:
    info = fake_backbone(stochastic=(False, False, False)).info
    config = SampleConfig(candidates="8")
    assert canonical(config, SPEC, info, build_selector("greedy", 8, 1.0)).setting.plain


@pytest.mark.parametrize(
    "changes",
    [
        {"candidates": "1"},
        {"candidates": "1,8,8,4"},
        {"scorer": "likelihood", "selector": "softmax", "temperature": 0.5, "start_scale": 1},
        {"selector": "topk", "top_k_select": 2, "end_scale": 3, "cfg": 3.0},
        {"selector": "random"},
        {"strategy": "best-of-n", "candidates": "4", "top_k": 50},
    ],
)
def test_a_setting_is_a_configuration_again(point: Any, info: BackboneInfo, changes: dict[str, Any]) -> None:
    setting = point(**changes).setting
    base = SampleConfig(selector="softmax", temperature=3.0, start_scale=3, scorer="learned", batch_size=7)
    config = config_of(setting, base, info)
    again = canonical(
        config, SPEC, info, build_selector(config.selector, config.top_k_select, config.temperature)
    )
    assert again.setting == setting
    assert (config.batch_size, config.choices) == (7, base.choices)


def test_another_schedule_than_the_base_is_part_of_the_configuration(point: Any, info: BackboneInfo) -> None:
    setting = replace(point(candidates="1").setting, schedule="1,2,4", guidance="other")
    choices = config_of(setting, SampleConfig(), info).choices
    assert (choices.schedule, choices.guidance) == ("1,2,4", "other")
