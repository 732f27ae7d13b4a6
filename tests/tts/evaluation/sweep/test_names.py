"""Names of points."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.evaluation.sweep.names import Defaults, name_of
from tts.evaluation.sweep.point import Point, Setting, canonical
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


@pytest.mark.parametrize(
    ("strategy", "slug"), [("beam:2", "beam-2"), ("particles:final=best,ess=1", "particles-final-best-ess-1")]
)
def test_strategies_are_named_with_a_hash(point: Any, info: BackboneInfo, strategy: str, slug: str) -> None:
    found = name_of(point(strategy=strategy).setting, Defaults.of(SPEC, info))
    assert re.fullmatch(f"{slug}-m8-st2-[0-9a-f]{{8}}", found.id)
    assert found.label == f"{strategy} M 8 ST 2"


def test_files_are_named_with_a_hash(point: Any, info: BackboneInfo) -> None:
    setting = point(candidates="2").setting
    names = [
        name_of(replace(setting, scorer=text), Defaults.of(SPEC, info))
        for text in ("a/my scorer.pth", "b/my scorer.pth", "One/scorer/scorer.safetensors", "../scorer.pth")
    ]
    assert len({name.id for name in names}) == 4
    assert names[0].label.endswith("scorer my scorer")
    assert re.fullmatch("greedy-m2-st2-my-scorer-[0-9a-f]{8}", names[0].id)
    assert [name.label.rpartition("ST 2 ")[2] for name in names[2:]] == ["scorer One", "scorer scorer"]


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
