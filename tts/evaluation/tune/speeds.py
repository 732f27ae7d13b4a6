"""What measurements are expected to take, by those that were made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tts.evaluation.tune.design import KNOWN_GOOD
from tts.evaluation.tune.rows import Row
from tts.evaluation.tune.space import Arm, Space


@dataclass(frozen=True)
class Speeds:
    """Expected seconds an image: with and without guidance, and for each candidate map that is scored.

    What an arm took where it was measured, ``known``, counts more than the rule.
    """

    space: Space
    guided: float
    unguided: float
    scoring: float
    known: Mapping[Arm, float] = field(default_factory=dict)

    def of(self, arm: Arm) -> float:
        """Seconds an image of an arm."""
        base = self.unguided if arm.cfg == self.space.off else self.guided
        return self.known.get(arm, base + self.scoring * self.space.scored(arm))

    def all(self, arms: Iterable[Arm]) -> float:
        """Seconds an image of every arm, one after another."""
        return sum(map(self.of, arms))


def probe_arms(space: Space) -> tuple[Arm, ...]:
    """Arms that show the speed: one to warm up, without guidance, with it, and with selection."""
    usual = space.usual_cfg
    plain = Arm(usual if usual != space.off else space.cfgs[-1])
    few = min(KNOWN_GOOD, space.candidates[-1])
    return plain, Arm(space.off), plain, Arm(plain.cfg, few, space.usual_start, "greedy")


def speeds_of(space: Space, probes: Sequence[Row], later: Iterable[Row]) -> Speeds:
    """The speeds that the rows of ``probe_arms`` show, and those of arms that were measured ``later``."""
    first, unguided, second, selecting = (row.seconds / row.cost.images for row in probes)
    guided = min(first, second)
    scoring = max(0.0, selecting - guided) / space.scored(probes[-1].arm)
    known = {row.arm: row.seconds / row.cost.images for row in later}
    return Speeds(space, guided, unguided, scoring, known)
