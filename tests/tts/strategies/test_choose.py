"""Strategies by name, and the options that go with them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tts.manager import get_plugins
from tts.sample_config import SETTINGS, SampleConfig
from tts.strategies.beam import Beam, BeamOptions
from tts.strategies.best_of_n import best_of_n
from tts.strategies.choose import build_strategy, check_strategy_options
from tts.strategies.particles import ParticleOptions, Particles
from tts.strategies.strategy import lsrs

Refused = Callable[..., AbstractContextManager[None]]
NAMES = ("lsrs", "best-of-n", "beam", "particles")


def check(config: SampleConfig) -> str:
    return check_strategy_options(config, SampleConfig).name


def test_a_name_gives_its_strategy() -> None:
    assert build_strategy("lsrs") is lsrs
    assert build_strategy("best-of-n") is best_of_n
    assert build_strategy("beam:2") == Beam(BeamOptions(2))
    assert build_strategy("particles:ess=1") == Particles(ParticleOptions(ess=1.0))
    assert check(SampleConfig(strategy="beam:2")) == "beam"
    assert check(SampleConfig(strategy="best-of-n", candidates="4", cfg=2.0)) == "best-of-n"


def test_every_strategy_says_what_it_has_no_use_for() -> None:
    strategies = [spec for spec, _ in get_plugins().strategies]
    assert [spec.name for spec in strategies] == list(NAMES)
    assert {name for spec in strategies for name in spec.refused} <= set(SETTINGS)


@pytest.mark.parametrize("name", ["", "best of n", "LSRS"])
def test_an_unknown_strategy_is_refused(refused: Refused, name: str) -> None:
    with refused(f"unknown strategy {name!r}; ", "known: beam, best-of-n, lsrs, particles"):
        check(SampleConfig(strategy=name))


@pytest.mark.parametrize("strategy", ["lsrs:3", "best-of-n:x"])
def test_a_strategy_without_options_takes_no_argument(refused: Refused, strategy: str) -> None:
    name, _, argument = strategy.partition(":")
    with refused(f"strategy {name!r} takes no argument, got {argument!r}; leave it out"):
        build_strategy(strategy)


@pytest.mark.parametrize(
    ("strategy", "others", "changes"),
    [
        ("best-of-n", "lsrs or beam or particles", {"scorer": "likelihood"}),
        ("best-of-n", "lsrs", {"selector": "softmax"}),
        ("best-of-n", "lsrs", {"top_k_select": 3}),
        ("best-of-n", "lsrs", {"temperature": 0.5}),
        ("best-of-n", "lsrs or beam or particles", {"start_scale": 2}),
        ("best-of-n", "lsrs or beam or particles", {"end_scale": 4}),
        ("best-of-n", "lsrs or beam or particles", {"trace": True}),
        ("lsrs", "best-of-n", {"image_scorer": "digits"}),
        ("beam", "lsrs", {"selector": "softmax"}),
        ("particles:ess=1", "lsrs", {"candidates_of": "0=4"}),
    ],
)
def test_options_of_other_strategies_are_refused(
    refused: Refused, strategy: str, others: str, changes: dict[str, Any]
) -> None:
    (name,) = changes
    option, plain = "--" + name.replace("_", "-"), strategy.partition(":")[0]
    words = f"{option} does not go with --strategy {plain}; leave it out or pass --strategy {others}"
    with refused(words):
        check(SampleConfig(strategy=strategy, **changes))


@pytest.mark.parametrize(
    ("selector", "takers", "changes"),
    [
        ("greedy", "topk or softmax", {"temperature": 0.5}),
        ("greedy", "topk", {"top_k_select": 3}),
        ("random", "topk or softmax", {"temperature": 0.5}),
        ("softmax", "topk", {"top_k_select": 3}),
    ],
)
def test_settings_of_other_selectors_are_refused(
    refused: Refused, selector: str, takers: str, changes: dict[str, Any]
) -> None:
    option = "--" + next(iter(changes)).replace("_", "-")
    with refused(
        f"{option} does not go with --selector {selector}; leave it out or pass --selector {takers}"
    ):
        check(SampleConfig(selector=selector, **changes))
    assert check(SampleConfig(selector="topk", **changes)) == "lsrs"


@pytest.mark.parametrize("strategy", NAMES)
def test_all_other_options_go_with_all(strategy: str) -> None:
    changes = {"cfg": 2.0, "top_k": 5, "formats": ("npz",), "save_tokens": True, "randomize_scale": 2}
    more = {"candidates": "3", "dtype": "float16", "from_tokens": "x", "from_scale": 2, "chunk": 4}
    assert check(SampleConfig(strategy=strategy, **changes, **more)) == strategy
