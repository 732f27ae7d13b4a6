"""The strategy that a configuration names, and the options that it has no use for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tts.errors import UsageError
from tts.interfaces import BackboneInfo
from tts.manager import get_plugins
from tts.resolve import build_part, split_argument
from tts.specs import SelectorSpec, StrategyRequest, StrategySpec
from tts.strategies.strategy import Strategy, SupportsCheck


def find_strategy(text: str) -> StrategySpec:
    """The spec of ``name`` or ``name:argument``."""
    return get_plugins().strategies.get(split_argument(text)[0])


def find_selector(text: str) -> SelectorSpec:
    """The spec of ``name`` or ``name:argument``."""
    return get_plugins().selectors.get(split_argument(text)[0])


def check_strategy_options(config: Any, default: Any) -> StrategySpec:
    """The spec of a configuration's strategy; refuses options that do not apply to it or to its selector."""
    plugins, spec = get_plugins(), find_strategy(config.strategy)
    refused = {other.name: other.refused for other, _ in plugins.strategies}
    _check_options(config, default, "strategy", spec.name, refused)
    if "selector" not in spec.refused:
        unused = {other.name: other.unused for other, _ in plugins.selectors}
        _check_options(config, default, "selector", find_selector(config.selector).name, unused)
    return spec


def _check_options(
    config: Any, default: Any, kind: str, name: str, refused: Mapping[str, Sequence[str]]
) -> None:
    """Refuse what is not as by default and has no effect; ``refused`` has these fields by part."""
    for field in refused[name]:
        if getattr(config, field) != getattr(default, field):
            takers = [other for other, fields in refused.items() if field not in fields]
            raise UsageError(
                f"--{field.replace('_', '-')} does not go with --{kind} {name};"
                f" leave it out or pass --{kind} {' or '.join(takers)}"
            )


def build_strategy(text: str, info: BackboneInfo | None = None) -> Strategy:
    """Build a strategy by name or ``name:argument``; for a backbone it may refuse what does not fit that."""
    name, argument = split_argument(text)
    strategy: Strategy = build_part(get_plugins().strategies, name, StrategyRequest(argument))
    if info is not None and isinstance(strategy, SupportsCheck):
        strategy.check(info)
    return strategy
