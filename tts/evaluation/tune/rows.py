"""One measurement, and how it is written as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

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

    def record(self) -> dict[str, Any]:
        """The row for a file."""
        return {
            "setting": self.arm.setting(),
            "figures": asdict(self.figures),
            "cost": asdict(self.cost),
            "seconds": self.seconds,
        }

    @classmethod
    def of(cls, record: dict[str, Any]) -> Row:
        """The row of a file."""
        figures = dict(record["figures"])
        intervals = {key: (low, high) for key, (low, high) in figures.pop("intervals").items()}
        return cls(
            Arm.of(record["setting"]),
            Figures(**figures, intervals=intervals),
            Cost(**record["cost"]),
            float(record["seconds"]),
        )


def rows_of(records: Sequence[dict[str, Any]]) -> list[Row]:
    """Rows of a file."""
    return list(map(Row.of, records))
