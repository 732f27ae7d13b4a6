"""Points in canonical form, and their names."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.evaluation.sweep.names import Defaults, name_of
from tts.evaluation.sweep.point import SETTING_FIELDS, Point, Setting, canonical, distinct, grouped
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
    assert point(start_scale=1).weight > point(start_scale=2).weight > point(start_scale=4).weight


def test_an_unknown_strategy_is_refused(point: Any, refused: Any) -> None:
    with refused("unknown strategy 'lsr'"):
        point(strategy="lsr")


def test_where_tokens_are_not_drawn_there_is_no_choice(fake_backbone: Any) -> None:
    info = fake_backbone(stochastic=(False, False, False)).info
    config = SampleConfig(candidates="8")
    assert canonical(config, SPEC, info, build_selector("greedy", 8, 1.0)).setting.plain


@pytest.mark.parametrize(
    ("changes", "id_", "label"),
    [
        ({"candidates": "1"}, "plain", "plain"),
        ({"candidates": "32"}, "greedy-m32-st2", "greedy M 32 ST 2"),
        ({"selector": "topk"}, "topk-k8-m8-st2", "topk k 8 M 8 ST 2"),
        ({"selector": "softmax", "temperature": 0.5}, "softmax-t0.5-m8-st2", "softmax T 0.5 M 8 ST 2"),
        ({"start_scale": 1, "end_scale": 3}, "greedy-m8-st1-end3", "greedy M 8 ST 1 to 3"),
        ({"candidates": "1,2,4,8"}, "greedy-m1.2.4.8", "greedy M 1,2,4,8"),
        ({"scorer": "likelihood"}, "greedy-m8-st2-likelihood", "greedy M 8 ST 2 scorer likelihood"),
        ({"strategy": "best-of-n"}, "best-of-8-digits", "best of 8 by digits"),
        ({"candidates": "1", "cfg": 3, "top_k": 9}, "plain-cfg3-topk9", "plain cfg 3 top-k 9"),
    ],
)
def test_a_name_says_what_is_not_usual(
    point: Any, info: BackboneInfo, changes: dict[str, Any], id_: str, label: str
) -> None:
    found = name_of(point(**changes).setting, Defaults.of(SPEC, info))
    assert (found.id, found.label) == (id_, label)


def test_files_are_named_with_a_hash(point: Any, info: BackboneInfo) -> None:
    setting = point(candidates="2").setting
    names = [
        name_of(replace(setting, scorer=text), Defaults.of(SPEC, info))
        for text in ("a/my scorer.pth", "b/my scorer.pth", "runs/One/scorer.safetensors", "../scorer.pth")
    ]
    assert len({name.id for name in names}) == 4
    assert names[0].label.endswith("scorer my scorer")
    assert re.fullmatch("greedy-m2-st2-my-scorer-[0-9a-f]{8}", names[0].id)
    assert names[2].label.endswith("scorer One")


TEXTS = st.sampled_from(
    ("greedy", "topk", "k8", "t0.5", "cfg3", "a-b", "A B", "x/scorer.pth", "y/scorer.pth")
)
NUMBERS = st.sampled_from((0.0, 0.1, 0.30000000000000004, 0.3, 1.0, 1.5, 3.0, 1e-9))
WHOLE = st.sampled_from((None, 1, 2, 3, 4))
SETTINGS = st.one_of(
    st.builds(
        Setting,
        strategy=st.just("lsrs"),
        scorer=TEXTS,
        image_scorer=st.none(),
        selector=TEXTS,
        candidates=st.sampled_from(("2", "32", "1,2,4,8", "1,2,48")),
        start_scale=WHOLE,
        end_scale=WHOLE,
        top_k_select=WHOLE,
        temperature=st.none() | NUMBERS.filter(bool),
        cfg=NUMBERS,
        top_k=st.sampled_from((0, 1, 900)),
        top_p=NUMBERS,
        schedule=st.sampled_from(("1,2,3,4", "1,2,34")),
        guidance=st.sampled_from(("var", "llamagen", "odd one")),
    )
)


@given(SETTINGS, SETTINGS)
def test_different_settings_have_different_ids(first: Setting, second: Setting) -> None:
    defaults = Defaults("learned", 1.5, 0, 0.0, "1,2,3,4", "var", 4)
    # ``None`` stands for what makes no difference, so two settings never differ in None against a default
    same = {"temperature": {None: 1.0}, "end_scale": {None: 4}}
    a, b = (
        replace(one, **{key: table.get(getattr(one, key), getattr(one, key)) for key, table in same.items()})
        for one in (first, second)
    )
    one, other = name_of(a, defaults).id, name_of(b, defaults).id
    assert (one == other) == (a == b)
    assert re.fullmatch(r"[a-z0-9.+-]{1,200}", one)
