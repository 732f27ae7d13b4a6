"""Which settings with selection are tried: first ones that fill the space, later ones next to the best.

The first are led by the plain model, which is measured before them, and by what is known: the paper selects
from the second scale on, greedily; softmax at T = 1 suits strong models. The rest are the points of a
scrambled Sobol sequence, each mapped to one of a few values a setting, so that a short list covers every
value about as often as it deserves, and a longer list only adds to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from torch.quasirandom import SobolEngine

from tts.evaluation.tune.space import Arm, Space

T = TypeVar("T")

SHARES = (2, 4, 8)
TEMPERATURES = (0.5, 1.0, 2.0)
SELECTORS = ("greedy", "softmax", "topk")

KNOWN_GOOD = 16
"""Candidates of the settings that are always tried."""

STEPS = (0, 2)
"""How far below the plain model's best guidance these settings have theirs, in steps of the grid."""

DRAWS, DRAW = 32, 128
"""How often, and how many points at once, the sequence is asked for arms that are new."""


def first_arms(space: Space, best_cfg: float, count: int, seed: int) -> tuple[Arm, ...]:
    """``count`` different arms, or all there are; ``best_cfg`` is the guidance that suits the plain model.

    Guidance reaches one step above it: selection does a part of what guidance does, so it wants less of it.
    """
    top = space.cfgs.index(best_cfg)
    start, few = space.usual_start, min(KNOWN_GOOD, space.candidates[-1])
    found: dict[Arm, None] = {}
    for step in STEPS:
        cfg = space.cfgs[max(0, top - step)]
        found[Arm(cfg, few, start, "greedy")] = None
        found[Arm(cfg, few, start, "softmax", temperature=1.0)] = None
    sequence = SobolEngine(6, scramble=True, seed=seed)
    for _ in range(DRAWS):
        if len(found) >= count:
            break
        points = sequence.draw(DRAW).tolist()
        found |= dict.fromkeys(_at(point, space, space.cfgs[: top + 2]) for point in points)
    return tuple(found)[:count]


def neighbours(space: Space, arm: Arm) -> tuple[Arm, ...]:
    """The arms that differ from one by a step in one setting; greedy is softmax at T = 0."""
    found = [replace(arm, cfg=cfg) for cfg in _beside(space.cfgs, arm.cfg)]
    found += [_sound(replace(arm, candidates=m)) for m in _beside(space.candidates, arm.candidates)]
    found += [replace(arm, start_scale=start) for start in _beside(space.starts, arm.start_scale or 1)]
    heat = arm.temperature or 0.0
    heats = (0.0, heat) if arm.selector == "topk" else _beside((0.0, *TEMPERATURES), heat)
    found += [_heated(arm, other) for other in heats]
    return tuple(dict.fromkeys(found))


def _at(point: Sequence[float], space: Space, cfgs: Sequence[float]) -> Arm:
    """The arm at a point of the unit cube; half of the cube has the usual first scale."""
    starts = (*space.starts, *[space.usual_start] * (len(space.starts) - 1))
    cfg, candidates, start = _pick(cfgs, point[0]), _pick(space.candidates, point[1]), _pick(starts, point[2])
    selector = _pick(SELECTORS, point[3])
    if selector == "greedy":
        return Arm(cfg, candidates, start, selector)
    share = _pick(SHARES, point[5]) if selector == "topk" else None
    return _sound(Arm(cfg, candidates, start, selector, share, _pick(TEMPERATURES, point[4])))


def _sound(arm: Arm) -> Arm:
    """The arm; of the best k where there are no more than k candidates is of all of them."""
    if arm.top_k_select is None or arm.top_k_select < arm.candidates:
        return arm
    return replace(arm, selector="softmax", top_k_select=None)


def _heated(arm: Arm, temperature: float) -> Arm:
    """The arm with a draw among all candidates at a temperature."""
    selector = "softmax" if temperature else "greedy"
    return replace(arm, selector=selector, top_k_select=None, temperature=temperature or None)


def _beside(values: Sequence[T], value: T) -> Sequence[T]:
    """The values before and after one."""
    index = values.index(value)
    return (*values[max(0, index - 1) : index], *values[index + 1 : index + 2])


def _pick(values: Sequence[T], share: float) -> T:
    """The value at a share in [0, 1) of a list."""
    return values[min(int(share * len(values)), len(values) - 1)]
