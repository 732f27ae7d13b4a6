"""The strategy that a configuration names, and the options that it has no use for."""

from __future__ import annotations

from typing import Any

from tts.errors import UsageError
from tts.manager import get_plugins
from tts.resolve import build_part, split_argument
from tts.specs import StrategyRequest, StrategySpec
from tts.strategies.strategy import Strategy


def find_strategy(text: str) -> StrategySpec:
    """The spec of ``name`` or ``name:argument``."""
    return get_plugins().strategies.get(split_argument(text)[0])


def check_strategy_options(config: Any, default: Any) -> StrategySpec:
    """The spec of a configuration's strategy; refuses options that do not apply to it."""
    spec = find_strategy(config.strategy)
    for field in spec.refused:
        if getattr(config, field) != getattr(default, field):
            takers = [other.name for other, _ in get_plugins().strategies if field not in other.refused]
            raise UsageError(
                f"--{field.replace('_', '-')} does not go with --strategy {spec.name};"
                f" leave it out or pass --strategy {' or '.join(takers)}"
            )
    return spec


def build_strategy(text: str) -> Strategy:
    """Build a strategy by name or ``name:argument``."""
    name, argument = split_argument(text)
    strategy: Strategy = build_part(get_plugins().strategies, name, StrategyRequest(argument))
    return strategy
