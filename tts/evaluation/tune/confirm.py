"""The confirmation: the best arm against the plain model, with images and a half of the reference of its own.

The search chose the arms by their luck as well as by their worth, so its figures flatter them (the winner's
curse). Here nothing is chosen any more: each seed set gives one difference, and the interval is that of the
mean over the sets (``tts.evaluation.paired``). It covers the draw of the images, not that of the reference.
Of two plain arms the one that does better here counts, which can only favour the plain model.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from tts.evaluation.paired import Interval, paired_interval
from tts.evaluation.tune.budget import SLACK
from tts.evaluation.tune.desk import Desk, Half
from tts.evaluation.tune.halving import MOST_IMAGES, whole_classes
from tts.evaluation.tune.objective import Objective
from tts.evaluation.tune.records import Trial
from tts.evaluation.tune.space import Arm, Space
from tts.evaluation.tune.speeds import Speeds

SETS, MOST_SETS = 5, 20
"""Seed sets of a confirmation: at least so many for a verdict, and at most."""

ENOUGH = 10
"""So many times the least images of a measurement are made for each set before there are more sets."""

SURE = 0.9
"""The part of the time that is planned with, since machines do not always keep their speed."""

NEEDED_SLACK = 0.15
"""The part of the budget by which the first sets, without which there is no verdict, may exceed it."""

MARGIN = 0.05
"""A gain below this part of the plain model's figure is not worth a selection's time."""

CONFIDENCE = 0.95


class Verdict(Enum):
    """What the confirmation says."""

    GAIN = "gain"
    NOTHING = "nothing beats the baseline"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Plan:
    """What sizes a confirmation: least images of a measurement, classes, and the first of its seed sets."""

    floor: int
    classes: int
    first_seed_set: int


@dataclass(frozen=True)
class Finding:
    """The verdict with its numbers.

    ``difference`` is winner minus baseline in the objective's own direction, ``None`` with too few sets;
    ``baseline`` is the plain arm that did better, with its values and the winner's, one a seed set.
    """

    verdict: Verdict
    winner: Arm
    baseline: Arm
    sets: tuple[int, ...]
    baseline_values: tuple[float, ...]
    winner_values: tuple[float, ...]
    difference: Interval | None
    margin: float
    overhead: float | None

    @property
    def recommended(self) -> Arm:
        """The arm to use: the plain one unless the other is better for sure."""
        return self.winner if self.verdict is Verdict.GAIN else self.baseline

    def record(self) -> dict[str, Any]:
        """The finding for a file."""
        interval = self.difference
        return {
            "verdict": self.verdict.value,
            "sets": list(self.sets),
            "baseline": list(self.baseline_values),
            "winner": list(self.winner_values),
            "difference": None if interval is None else interval.mean,
            "interval": None if interval is None else [interval.low, interval.high],
            "confidence": CONFIDENCE,
            "margin": self.margin,
            "overhead": self.overhead,
        }


def confirm(desk: Desk, space: Space, winner: Arm, baselines: tuple[Arm, ...], plan: Plan) -> Finding:
    """Measure the finalists, set by set, as far as the time allows, and judge."""
    ledger = desk.ledger
    if ledger.trial is None:
        speeds = ledger.speeds(space)
        ledger.trial = plan_trial(winner, baselines, desk.left(desk.budget), speeds, plan)
        desk.write()
    trial = ledger.trial
    for seed_set in () if trial.closed else trial.seed_sets:
        rows = trial.rows.setdefault(seed_set, [])
        todo = trial.arms[len(rows) :]
        slack = SLACK if len(trial.complete) >= SETS else NEEDED_SLACK
        if not desk.fits(ledger.speeds(space).all(todo) * trial.images, desk.budget, slack):
            break
        for arm in todo:
            rows.append(desk.measure(arm, seed_set, trial.images, Half.CONFIRM))
            desk.write()
    trial.closed = True
    desk.write()
    return judge(trial, desk.objective)


def plan_trial(winner: Arm, baselines: tuple[Arm, ...], seconds: float, speeds: Speeds, plan: Plan) -> Trial:
    """How many sets of how many images fit into some seconds: five at least, then more images, then sets."""
    each = speeds.all((*baselines, winner)) / SURE
    sets = max(SETS, min(MOST_SETS, int(seconds / each / (ENOUGH * plan.floor))))
    images = max(plan.floor, min(MOST_IMAGES, int(seconds / each / sets)))
    seed_sets = tuple(range(plan.first_seed_set, plan.first_seed_set + sets))
    return Trial(whole_classes(images, plan.classes), seed_sets, winner, baselines)


def judge(trial: Trial, objective: Objective) -> Finding:
    """What the complete seed sets say."""
    sets = trial.complete
    values = {arm: [objective.value(row.figures) for row in trial.column(arm)] for arm in trial.arms}
    winner = values[trial.winner]
    baseline = min(trial.baselines, key=lambda arm: objective.badness(sum(values[arm])))
    differences = [a - b for a, b in zip(winner, values[baseline], strict=True)]
    interval = paired_interval(differences, CONFIDENCE)
    margin = MARGIN * abs(sum(values[baseline])) / max(1, len(sets))
    seconds = [sum(row.cost.seconds for row in trial.column(arm)) for arm in (trial.winner, baseline)]
    return Finding(
        _verdict(interval, objective, margin, len(sets)),
        trial.winner,
        baseline,
        sets,
        tuple(values[baseline]),
        tuple(winner),
        interval,
        margin,
        seconds[0] / seconds[1] if all(seconds) else None,
    )


def _verdict(interval: Interval | None, objective: Objective, margin: float, sets: int) -> Verdict:
    """A gain, if no gain is outside the interval; nothing, if a gain that is worth its time is outside."""
    if interval is None or sets < SETS:
        return Verdict.UNDECIDED
    low, high = sorted((objective.gain(interval.low), objective.gain(interval.high)))
    if low > 0:
        return Verdict.GAIN
    return Verdict.NOTHING if high < margin else Verdict.UNDECIDED
