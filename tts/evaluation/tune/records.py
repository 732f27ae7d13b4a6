"""What a tune has measured and decided, and how that is written as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from tts.evaluation.tune.rows import Row, rows_of
from tts.evaluation.tune.space import Arm, Space
from tts.evaluation.tune.speeds import Speeds, speeds_of


@dataclass(frozen=True)
class Shape:
    """How the search is laid out: ``count`` arms beside the plain ones, and how often they are thinned."""

    count: int
    rungs: int
    images: int


@dataclass
class Rung:
    """Arms that are measured with the same images; ``closed`` once no more of them will be."""

    images: int
    seed_set: int
    arms: tuple[Arm, ...]
    rows: list[Row] = field(default_factory=list)
    closed: bool = False

    def record(self) -> dict[str, Any]:
        """The rung for a file."""
        return {
            "images": self.images,
            "seed_set": self.seed_set,
            "settings": [arm.setting() for arm in self.arms],
            "rows": [row.record() for row in self.rows],
            "closed": self.closed,
        }

    @classmethod
    def of(cls, record: dict[str, Any]) -> Rung:
        """The rung of a file."""
        arms = tuple(map(Arm.of, record["settings"]))
        return cls(record["images"], record["seed_set"], arms, rows_of(record["rows"]), record["closed"])


@dataclass
class Trial:
    """The measurements of the confirmation: ``winner`` and ``baselines`` with the same seed sets."""

    images: int
    seed_sets: tuple[int, ...]
    winner: Arm
    baselines: tuple[Arm, ...]
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

    def record(self) -> dict[str, Any]:
        """The confirmation for a file."""
        return {
            "images": self.images,
            "seed_sets": list(self.seed_sets),
            "finalists": {
                "winner": self.winner.setting(),
                "baselines": [arm.setting() for arm in self.baselines],
            },
            "rows": {str(key): [row.record() for row in rows] for key, rows in self.rows.items()},
            "closed": self.closed,
        }

    @classmethod
    def of(cls, record: dict[str, Any]) -> Trial:
        """The confirmation of a file."""
        finalists = record["finalists"]
        return cls(
            record["images"],
            tuple(record["seed_sets"]),
            Arm.of(finalists["winner"]),
            tuple(map(Arm.of, finalists["baselines"])),
            {int(key): rows_of(rows) for key, rows in record["rows"].items()},
            record["closed"],
        )


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

    def record(self) -> dict[str, Any]:
        """The ledger for a file."""
        return {
            "spent": self.spent,
            "probes": [row.record() for row in self.probes],
            "shape": None if self.shape is None else asdict(self.shape),
            "rungs": [rung.record() for rung in self.rungs],
            "confirmation": None if self.trial is None else self.trial.record(),
        }

    @classmethod
    def of(cls, record: dict[str, Any]) -> Ledger:
        """The ledger of a file."""
        shape, trial = record["shape"], record["confirmation"]
        return cls(
            float(record["spent"]),
            rows_of(record["probes"]),
            None if shape is None else Shape(**shape),
            list(map(Rung.of, record["rungs"])),
            None if trial is None else Trial.of(trial),
        )


def made(ledger: Ledger) -> int:
    """Number of measurements so far."""
    confirmed = sum(map(len, ledger.trial.rows.values())) if ledger.trial else 0
    return len(ledger.probes) + sum(len(rung.rows) for rung in ledger.rungs) + confirmed


def expected(ledger: Ledger) -> int:
    """Number of measurements that there will be, as far as it is decided."""
    confirming = len(ledger.trial.seed_sets) * len(ledger.trial.arms) if ledger.trial else 0
    rungs = sum(len(rung.rows) if rung.closed else len(rung.arms) for rung in ledger.rungs)
    return len(ledger.probes) + rungs + confirming
