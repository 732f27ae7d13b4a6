"""Successive halving (Jamieson and Talwalkar 2016): many settings with few images, the best third with more.

The plain model and the settings with selection are two brackets of the same rungs, so that the plain model is
tuned as well as its rival. All arms of a rung have the same number of images, by which a Frechet distance is
biased, and the same seed set, so that they share its luck. Each rung has a seed set of its own: what carried
an arm through one rung by chance does not help it in the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tts.errors import RunError
from tts.evaluation.tune.objective import Objective
from tts.evaluation.tune.records import Rung, Shape
from tts.evaluation.tune.space import Arm
from tts.evaluation.tune.speeds import Speeds

THIRD = 3
"""One of so many arms is kept, and gets so many times the images."""

RUNGS = (4, 3, 2)
"""Numbers of rungs to choose from; n rungs begin with 3^n arms beside the plain ones."""

KEPT = 3
"""Arms of a bracket that stay until the last rung."""

MOST_IMAGES = 50_000
"""Images of a measurement beyond which none are made: what published figures have."""


@dataclass(frozen=True)
class Limit:
    """The most seconds an image of a selecting arm, in those of the plain model."""

    overhead: float | None = None

    def allows(self, speeds: Speeds, arm: Arm) -> bool:
        """Whether an arm is expected to keep to it."""
        return self.overhead is None or speeds.of(arm) <= self.overhead * speeds.guided

    def exceeded(self, rung: Rung) -> set[Arm]:
        """Arms that were measured to break it; the middle of the plain arms is the measure."""
        plain = sorted(row.cost.seconds for row in rung.rows if row.arm.plain)
        if self.overhead is None or not plain:
            return set()
        most = self.overhead * plain[len(plain) // 2]
        return {row.arm for row in rung.rows if not row.arm.plain and row.cost.seconds > most}


def first_shape(
    seconds: float, floor: int, arms: Sequence[Arm], plain: float, speeds: Speeds
) -> Shape | None:
    """The layout with the most arms that fits into some seconds, or ``None`` where none does.

    ``arms`` are those with selection to choose from, ``plain`` the seconds an image of all plain arms.
    """
    for rungs in RUNGS:
        count = THIRD**rungs
        images = seconds / rungs / (plain + speeds.all(arms[:count]))
        if images >= floor:
            return Shape(count, rungs, min(int(images), MOST_IMAGES))
    return None


def least_search(floor: int, arms: Sequence[Arm], plain: float, speeds: Speeds) -> float:
    """Seconds of the smallest search."""
    rungs = RUNGS[-1]
    return floor * rungs * (plain + speeds.all(arms[: THIRD**rungs]))


def ranked(rung: Rung, objective: Objective, limit: Limit, plain: bool) -> list[Arm]:
    """A bracket's arms from best to worst.

    Arms for which no time was left keep their order, behind the others. Equal figures keep their order too.
    """
    rows = [row for row in rung.rows if row.arm.plain == plain]
    rows.sort(key=lambda row: objective.badness(objective.value(row.figures)))
    slow = limit.exceeded(rung)
    measured = [row.arm for row in rows]
    waiting = [arm for arm in rung.arms if arm.plain == plain and arm not in measured]
    found = [arm for arm in (*measured, *waiting) if arm not in slow]
    if not found:
        raise RunError(
            f"no setting keeps to --max-overhead {limit.overhead:g}; allow more, or sample the plain model"
        )
    return found


def survivors(order: Sequence[Arm]) -> list[Arm]:
    """The best third of a bracket, three at least."""
    return list(order[: max(KEPT, -(-len(order) // THIRD))])


def next_images(before: int, seconds: float, arms: Sequence[Arm], speeds: Speeds, last: bool) -> int:
    """Images of each arm in the next rung: three times as many, as far as the seconds allow.

    The last rung takes what time is left.
    """
    affordable = int(seconds / speeds.all(arms))
    most = MOST_IMAGES if last else THIRD * before
    return min(affordable, most, MOST_IMAGES)


def thinned(before: int, seconds: float, arms: Sequence[Arm], speeds: Speeds) -> list[Arm]:
    """Arms without the last ones with selection, until more images than before are affordable for the rest.

    Three with selection stay.
    """
    kept = list(arms)
    while sum(not arm.plain for arm in kept) > KEPT and seconds / speeds.all(kept) <= before:
        kept.remove([arm for arm in kept if not arm.plain][-1])
    return kept


def whole_classes(images: int, classes: int) -> int:
    """So many images or a few less, with the same number for every class, where there is one for each."""
    return images - images % classes if images >= classes else images


def floor_images(dimensions: int, classes: int) -> int:
    """Images below which no figure is trusted: 100, one a feature dimension, and one a class."""
    return max(1, round(max(100, dimensions) / classes)) * classes
