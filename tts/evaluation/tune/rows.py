"""One measurement."""

from __future__ import annotations

from dataclasses import dataclass

from tts.evaluation.cost import Cost
from tts.evaluation.figures import Figures
from tts.evaluation.tune.space import Arm


@dataclass(frozen=True)
class Row:
    """An arm measured once; ``seconds`` is all the time that took, features and figures included."""

    arm: Arm
    figures: Figures
    cost: Cost
    seconds: float
