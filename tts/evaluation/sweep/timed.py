"""What ``tts sweep --time`` found: the file ``timing.json`` in a sweep's folder.

Processes that measure a sweep share the machine, so their seconds tell little. Here every point was timed by
one process, in rounds of random order, and one of them twice in each round: that is the noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts import limits
from tts.io import write_json
from tts.records import read_record, tagged

TIMING = "timing.json"
FORMAT = "scalewise-tts-timing-1"

Load = tuple[float, ...] | None


@dataclass(frozen=True)
class Timing:
    """Seconds that ``images`` images of each point took in each of the finished ``rounds``.

    ``again`` is the second arm of the point ``again_of``. ``load_average`` is the system's, over 1, 5 and 15
    minutes, ``before`` the first round and ``after`` the last one. ``batch_size`` ``None`` is the usual one.
    """

    rounds: limits.Items
    images: limits.Items
    threads: limits.Count
    batch_size: limits.Count | None
    environment: Mapping[str, Any]
    load_average: Mapping[str, Load]
    seconds: Mapping[str, tuple[limits.Positive, ...]]
    again: tuple[limits.Positive, ...]
    again_of: str

    def __post_init__(self) -> None:
        """Refuse rounds that do not fit together."""
        if {len(values) for values in (self.again, *self.seconds.values())} != {self.rounds}:
            raise ValueError("rounds are missing")
        if self.again_of not in self.seconds:
            raise ValueError(f"no point {self.again_of!r}")

    @property
    def noise(self) -> tuple[float, float]:
        """The lowest and the highest ratio of the point that was timed twice to itself."""
        found = ratios(self.again, self.seconds[self.again_of])
        return min(found), max(found)

    def per_1000(self, point: str) -> tuple[float, ...]:
        """Seconds for 1 000 images of a point in every round; nothing if it was not timed."""
        return tuple(1000 * value / self.images for value in self.seconds.get(point, ()))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def write_timing(folder: Path, timing: Timing) -> None:
    """Write the file as a whole."""
    write_json(folder / TIMING, tagged(FORMAT, timing))


def read_timing(folder: Path) -> Timing | None:
    """What was timed; ``None`` without the file, a ``CheckpointError`` for one that is damaged."""
    path = folder / TIMING
    if not path.exists():
        return None
    return read_record(path, Timing, "file of times of 'tts sweep'", "run --time again", FORMAT, own=True)
