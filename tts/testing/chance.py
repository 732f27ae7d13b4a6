"""The global random generators: parts neither read nor move them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from tts.testing.contract import Contract

WATCHED = ("random", "numpy.random", "torch", "torch.cuda")


def _generators() -> list[torch.Generator]:
    devices = torch.cuda.default_generators if torch.cuda.is_initialized() else ()
    return [torch.default_generator, *devices]


def _states() -> tuple[Any, ...]:
    """The state of each watched generator."""
    cpu, *devices = (generator.get_state().clone() for generator in _generators())
    return random.getstate(), np.random.get_state(), cpu, devices  # noqa: NPY002


def _restore(states: tuple[Any, ...]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    for generator, state in zip(_generators(), (states[2], *states[3]), strict=False):
        generator.set_state(state)


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    for generator in _generators():
        generator.manual_seed(seed)


def _comparable(state: Any) -> Any:
    if isinstance(state, (tuple, list)):
        return [_comparable(part) for part in state]
    return state.tolist() if isinstance(state, (np.ndarray, torch.Tensor)) else state


@contextmanager
def no_global_chance(contract: Contract, what: str, seed: int) -> Iterator[None]:
    """What happens inside must not draw from a global generator; outside they are as they were.

    Inside they have the given seed, so that two results show whether it matters.
    """
    before = _states()
    _seed(seed)
    try:
        seeded = _states()
        yield
        after = _states()
        moved = [
            name
            for name, old, new in zip(WATCHED, seeded, after, strict=True)
            if _comparable(old) != _comparable(new)
        ]
    finally:
        _restore(before)
    rule = f"{what} must not use a global random generator"
    contract.require(not moved, rule, f"the state of {' and '.join(moved)} changed")
