"""Where measurements are made one after another, within a time, and written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from tts.engine.stopping import Stop
from tts.evaluation.cost import Cost
from tts.evaluation.figures import Figures
from tts.evaluation.tune.budget import SLACK, Clock
from tts.evaluation.tune.objective import Objective
from tts.evaluation.tune.records import Ledger
from tts.evaluation.tune.rows import Row
from tts.evaluation.tune.space import Arm

GO_ON = "what was measured is kept, the same command goes on"


class Half(Enum):
    """The halves of the reference: what is searched with is not what confirms."""

    SEARCH = "search"
    CONFIRM = "confirmation"


class Bench(Protocol):
    """Makes images of an arm and compares them with a half of the reference."""

    def measure(self, arm: Arm, seed_set: int, images: int, half: Half) -> tuple[Figures, Cost]:
        """Figures and cost of images 0 to ``images`` of a seed set; another seed set shares no noise."""
        ...


@dataclass
class Desk:
    """A bench with a time and a ledger; ``save`` writes the ledger, ``report`` hears of each measurement."""

    bench: Bench
    objective: Objective
    ledger: Ledger
    clock: Clock
    budget: float
    stop: Stop
    save: Callable[[Ledger], None]
    report: Callable[[], None] = lambda: None

    def measure(self, arm: Arm, seed_set: int, images: int, half: Half) -> Row:
        """Measure an arm, unless a signal has come; refuses figures that lack the objective."""
        self.stop.check(GO_ON)
        begun = self.clock.elapsed
        figures, cost = self.bench.measure(arm, seed_set, images, half)
        self.objective.value(figures)
        return Row(arm, figures, cost, self.clock.elapsed - begun)

    def write(self) -> None:
        """Keep what the ledger says by now."""
        self.ledger.spent = self.clock.elapsed
        self.save(self.ledger)
        self.report()

    def left(self, until: float) -> float:
        """Seconds from now until a time of this tune's clock."""
        return until - self.clock.elapsed

    def fits(self, seconds: float, until: float, slack: float = SLACK) -> bool:
        """Whether something that takes so long may begin: it may exceed its time by a part of the budget."""
        return seconds <= self.left(until) + slack * self.budget
