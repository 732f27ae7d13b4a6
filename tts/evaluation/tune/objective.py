"""Which figure decides, and in which direction it is better."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tts.errors import UsageError
from tts.evaluation.figures import Figures, MetricOptions


@dataclass(frozen=True)
class Objective:
    """A figure of :class:`Figures` by name; ``lower`` says that less of it is better.

    ``fill`` is the number of images a feature dimension from which on the figure is worth looking at.
    """

    name: str
    lower: bool
    fill: int = 1

    def value(self, figures: Figures) -> float:
        """The figure, which the features, the reference and the images must give."""
        value = getattr(figures, self.name)
        if value is None or not math.isfinite(value):
            raise UsageError(
                f"objective {self.name} has no value with these features and this reference;"
                " choose another --objective"
            )
        return float(value)

    def badness(self, value: float) -> float:
        """A value turned so that less of it is better."""
        return value if self.lower else -value

    def gain(self, difference: float) -> float:
        """A difference (one value minus that of the baseline) turned so that above 0 is better."""
        return -difference if self.lower else difference

    @property
    def options(self) -> MetricOptions:
        """What has to be computed for it: slow figures only where they decide."""
        return MetricOptions(
            manifold=self.name in ("precision", "recall"), extrapolate=self.name == "fid_infinity"
        )


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective("fid", lower=True),
        Objective("sfid", lower=True),
        Objective("fid_infinity", lower=True, fill=5),
        Objective("inception_score", lower=False),
        Objective("precision", lower=False),
        Objective("recall", lower=False),
        Objective("accuracy", lower=False),
    )
}


def find_objective(name: str) -> Objective:
    """The objective of a name."""
    if name not in OBJECTIVES:
        raise UsageError(f"unknown objective {name!r}; use {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]
