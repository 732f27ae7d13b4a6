"""The bench of a real model: images by the lab, compared with a half of the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tts.engine.stopping import Stop
from tts.evaluation.cost import Cost
from tts.evaluation.figures import Figures, Reference
from tts.evaluation.sweep.lab import Lab
from tts.evaluation.tune.desk import GO_ON, Half
from tts.evaluation.tune.space import Arm
from tts.sample_config import SampleConfig


@dataclass(frozen=True)
class LabBench:
    """Measures arms with a lab; a signal ends a measurement between two batches."""

    lab: Lab
    base: SampleConfig
    halves: Mapping[Half, Reference]
    stop: Stop

    def measure(self, arm: Arm, seed_set: int, images: int, half: Half) -> tuple[Figures, Cost]:
        """Figures and cost of an arm's images."""
        measured = self.lab.measure(
            arm.applied(self.base), seed_set, images, self.halves[half], lambda done: self.stop.check(GO_ON)
        )
        return measured.figures, measured.cost
