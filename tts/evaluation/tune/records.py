"""What a tune has measured and decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from tts import limits
from tts.evaluation.tune.rows import Row
from tts.evaluation.tune.space import Arm, Space
from tts.evaluation.tune.speeds import Speeds, speeds_of


@dataclass(frozen=True)
class Shape:
    """How the search is laid out: ``count`` arms beside the plain ones, and how often they are thinned."""

    count: limits.Items
    rungs: limits.Layers
    images: limits.Items


@dataclass
class Rung:
    """Arms that are measured with the same images; ``closed`` once no more of them will be."""

    images: limits.Items
    seed_set: limits.Seed
    arms: tuple[Arm, ...]
    rows: list[Row] = field(default_factory=list)
    closed: bool = False


@dataclass
class Trial:
    """The measurements of the confirmation: ``winner`` and ``baselines`` with the same seed sets."""

    images: limits.Items
    seed_sets: tuple[limits.Seed, ...]
    winner: Arm
    baselines: Annotated[tuple[Arm, ...], Meta(min_length=1)]
    rows: dict[int, list[Row]] = field(default_factory=dict)
    closed: bool = False

    @property
    def arms(self) -> tuple[Arm, ...]:
        """What each seed set is measured with."""
        return (*self.baselines, self.winner)

    @property
    def complete(self) -> tuple[int, ...]:
        """Seed sets with all of their measurements."""
        return tuple(s for s in self.seed_sets if len(self.rows.get(s, [])) == len(self.arms))

    def column(self, arm: Arm) -> list[Row]:
        """The rows of an arm in the complete seed sets."""
        index = self.arms.index(arm)
        return [self.rows[seed_set][index] for seed_set in self.complete]


@dataclass
class Ledger:
    """All measurements and decisions so far, from which an interrupted tune goes on."""

    spent: float = 0.0
    probes: list[Row] = field(default_factory=list)
    shape: Shape | None = None
    rungs: list[Rung] = field(default_factory=list)
    trial: Trial | None = None

    def speeds(self, space: Space) -> Speeds:
        """How fast the arms are, by the probes and by all that was measured since."""
        rows = [row for rung in self.rungs for row in rung.rows]
        for some in (self.trial.rows if self.trial else {}).values():
            rows.extend(some)
        return speeds_of(space, self.probes, rows)


def made(ledger: Ledger) -> int:
    """Number of measurements so far."""
    confirmed = sum(map(len, ledger.trial.rows.values())) if ledger.trial else 0
    return len(ledger.probes) + sum(len(rung.rows) for rung in ledger.rungs) + confirmed


def expected(ledger: Ledger) -> int:
    """Number of measurements that there will be, as far as it is decided."""
    confirming = len(ledger.trial.seed_sets) * len(ledger.trial.arms) if ledger.trial else 0
    rungs = sum(len(rung.rows) if rung.closed else len(rung.arms) for rung in ledger.rungs)
    return len(ledger.probes) + rungs + confirming
