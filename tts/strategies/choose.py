"""Strategies by name, and the options that each of them takes."""

from __future__ import annotations

from tts.config import BEST_OF_N, LSRS
from tts.errors import UsageError
from tts.sample_config import SampleConfig
from tts.strategies.best_of_n import best_of_n
from tts.strategies.strategy import Strategy, lsrs

STRATEGIES: dict[str, Strategy] = {LSRS: lsrs, BEST_OF_N: best_of_n}

UNUSED: dict[str, tuple[str, ...]] = {
    LSRS: ("image_scorer",),
    BEST_OF_N: (
        "scorer",
        "selector",
        "top_k_select",
        "temperature",
        "start_scale",
        "end_scale",
        "candidates_of",
        "trace",
    ),
}
"""Fields of a configuration that a strategy has no use for."""


def choose_strategy(config: SampleConfig) -> Strategy:
    """The strategy of a configuration; refuses options that do not apply to it."""
    name = config.strategy
    if name not in STRATEGIES:
        raise UsageError(f"unknown strategy {name!r}; use {' or '.join(STRATEGIES)}")
    for field in UNUSED[name]:
        if getattr(config, field) != getattr(SampleConfig, field):
            takers = [other for other, unused in UNUSED.items() if field not in unused]
            raise UsageError(
                f"--{field.replace('_', '-')} does not go with --strategy {name};"
                f" leave it out or pass --strategy {' or '.join(takers)}"
            )
    return STRATEGIES[name]
