"""A bench whose figures follow a known rule with noise, and whose time passes only while it measures."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from tts.engine.stopping import Stop
from tts.evaluation.cost import Cost
from tts.evaluation.figures import Figures
from tts.evaluation.tune.budget import Clock
from tts.evaluation.tune.confirm import Finding, Plan, confirm
from tts.evaluation.tune.desk import Desk, Half
from tts.evaluation.tune.halving import Limit
from tts.evaluation.tune.objective import OBJECTIVES
from tts.evaluation.tune.records import Ledger
from tts.evaluation.tune.search import Search
from tts.evaluation.tune.space import Arm, Space

Rule = Callable[[Arm], float]


def make_figures(images: int = 100, fid: float = 1.0) -> Figures:
    return Figures(
        images=images,
        fid=fid,
        mean_diff2=0.0,
        trace_reference=0.0,
        trace_samples=0.0,
        two_trace_sqrt=0.0,
        accuracy=1 / (1 + max(fid, 0.0)),
    )


def make_cost(images: int = 100, seconds: float = 1.0) -> Cost:
    return Cost(images, 4 * images, 0, images, 0, seconds, None)


def usual_seconds(arm: Arm) -> float:
    """Seconds an image: guidance doubles the passes, and every candidate takes its time."""
    base = 0.001 if arm.cfg == 0 else 0.002
    scored = 0 if arm.plain else arm.candidates * (5 - (arm.start_scale or 1))
    return base + 0.00003 * scored


@dataclass
class FakeBench:
    """The truth of an arm, a bias and a noise that fall with the images, half of it shared by a seed set."""

    truth: Rule
    seconds: Rule = usual_seconds
    noise: float = 1.0
    bias: float = 10.0
    world: int = 0
    time: float = 0.0
    calls: list[tuple[Arm, int, int, Half]] = field(default_factory=list)

    def measure(self, arm: Arm, seed_set: int, images: int, half: Half) -> tuple[Figures, Cost]:
        self.calls.append((arm, seed_set, images, half))
        key = [self.world, seed_set, half is Half.CONFIRM]
        shared = np.random.default_rng(key).normal()
        mine = np.random.default_rng([*key, zlib.crc32(repr(arm).encode())]).normal()
        fid = self.truth(arm) + self.bias / images + self.noise * (shared + mine) / images**0.5
        took = images * self.seconds(arm)
        self.time += took
        return make_figures(images, fid), make_cost(images, 0.9 * took)


@dataclass
class Tuned:
    """What came of a tune: the search's winner and baselines, the finding, and all that was written."""

    bench: FakeBench
    ledger: Ledger
    winner: Arm
    baselines: tuple[Arm, ...]
    finding: Finding


def space_of_digits(
    cfgs: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0, 1.5, 3.0, 5.0), default: float = 1.5
) -> Space:
    return Space(cfgs, (4, 8, 16, 32, 64, 128), (1, 2, 3), (True,) * 4, default, 0.0)


def tune_with(
    bench: FakeBench,
    budget: float,
    *,
    seed: int = 0,
    overhead: float | None = None,
    objective: str = "fid",
    ledger: Ledger | None = None,
    save: Callable[[Ledger], None] = lambda ledger: None,
    floor: int = 100,
) -> Tuned:
    """Search and confirm with a fake bench and its clock."""
    space = space_of_digits()
    ledger = ledger or Ledger()
    clock = Clock(ledger.spent, lambda: bench.time)
    desk = Desk(bench, OBJECTIVES[objective], ledger, clock, budget, Stop(), save)
    search = Search(space, Limit(overhead), floor, classes=10, seed=seed, first_seed_set=1000)
    winner, baselines = search.run(desk)
    finding = confirm(desk, space, winner, baselines, Plan(floor, 10, 1100))
    return Tuned(bench, ledger, winner, baselines, finding)


@pytest.fixture
def space() -> Space:
    """A space like that of the digits."""
    return space_of_digits()


@pytest.fixture
def bench() -> type[FakeBench]:
    """The class of fake benches."""
    return FakeBench


@pytest.fixture
def tuned() -> Callable[..., Tuned]:
    """Runs a tune on a fake bench."""
    return tune_with
