"""Strategies by name, and the options that go with them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tts.sample_config import SETTINGS, SampleConfig
from tts.strategies.best_of_n import best_of_n
from tts.strategies.choose import STRATEGIES, UNUSED, choose_strategy
from tts.strategies.strategy import lsrs

Refused = Callable[..., AbstractContextManager[None]]


def test_a_name_gives_its_strategy() -> None:
    assert choose_strategy(SampleConfig()) is lsrs
    assert choose_strategy(SampleConfig(strategy="best-of-n", candidates="4", cfg=2.0)) is best_of_n


def test_every_strategy_says_what_it_has_no_use_for() -> None:
    assert STRATEGIES.keys() == UNUSED.keys()
    assert {name for unused in UNUSED.values() for name in unused} <= set(SETTINGS)


@pytest.mark.parametrize("name", ["", "best of n", "LSRS"])
def test_an_unknown_strategy_is_refused(refused: Refused, name: str) -> None:
    with refused(f"unknown strategy {name!r}; use lsrs or best-of-n"):
        choose_strategy(SampleConfig(strategy=name))


@pytest.mark.parametrize(
    ("strategy", "other", "changes"),
    [
        ("best-of-n", "lsrs", {"scorer": "likelihood"}),
        ("best-of-n", "lsrs", {"selector": "softmax"}),
        ("best-of-n", "lsrs", {"top_k_select": 3}),
        ("best-of-n", "lsrs", {"temperature": 0.5}),
        ("best-of-n", "lsrs", {"start_scale": 2}),
        ("best-of-n", "lsrs", {"end_scale": 4}),
        ("best-of-n", "lsrs", {"trace": True}),
        ("lsrs", "best-of-n", {"image_scorer": "digits"}),
    ],
)
def test_options_of_the_other_strategy_are_refused(
    refused: Refused, strategy: str, other: str, changes: dict[str, Any]
) -> None:
    (name,) = changes
    option = "--" + name.replace("_", "-")
    with refused(f"{option} does not go with --strategy {strategy}; leave it out or pass --strategy {other}"):
        choose_strategy(SampleConfig(strategy=strategy, **changes))


@pytest.mark.parametrize("strategy", ["lsrs", "best-of-n"])
def test_all_other_options_go_with_both(strategy: str) -> None:
    changes = {"cfg": 2.0, "top_k": 5, "formats": ("npz",), "save_tokens": True, "randomize_scale": 2}
    more = {"candidates": "3", "dtype": "float16", "from_tokens": "x", "from_scale": 2, "chunk": 4}
    config = SampleConfig(strategy=strategy, **changes, **more)
    assert choose_strategy(config) is STRATEGIES[strategy]
