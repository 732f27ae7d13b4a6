"""What ``tts sweep --time`` found: the file ``timing.json`` in a sweep's folder.

Processes that measure a sweep share the machine, so their seconds tell little. Here every point was timed by
one process, in rounds of random order, and one of them twice in each round: that is the noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tts.errors import CheckpointError
from tts.io import read_json, write_json

TIMING = "timing.json"
FORMAT = "scalewise-tts-timing-1"

Load = tuple[float, ...] | None


@dataclass(frozen=True)
class Timing:
    """Seconds that ``images`` images of each point took in each of the finished ``rounds``.

    ``again`` is the second arm of the point ``again_of``. ``load_average`` is the system's, over 1, 5 and 15
    minutes, ``before`` the first round and ``after`` the last one. ``batch_size`` ``None`` is the usual one.
    """

    rounds: int
    images: int
    threads: int
    batch_size: int | None
    environment: Mapping[str, Any]
    load_average: Mapping[str, Load]
    seconds: Mapping[str, tuple[float, ...]]
    again: tuple[float, ...]
    again_of: str

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
    write_json(folder / TIMING, {"format": FORMAT, **asdict(timing)})


def read_timing(folder: Path) -> Timing | None:
    """What was timed; ``None`` without the file, a ``CheckpointError`` for one that is damaged."""
    path = folder / TIMING
    if not path.exists():
        return None
    content = read_json(path, own=True)
    try:
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}")
        given = {field.name: content[field.name] for field in fields(Timing)}
        given["seconds"] = {id_: _positive(values) for id_, values in content["seconds"].items()}
        given["again"] = _positive(content["again"])
        timing = Timing(**given)
        lengths = {len(values) for values in (timing.again, *timing.seconds.values())}
        if lengths != {timing.rounds} or timing.rounds < 1 or timing.images < 1:
            raise ValueError("rounds are missing")
        if timing.again_of not in timing.seconds:
            raise ValueError(f"no point {timing.again_of!r}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        text = " ".join(f"{type(error).__name__} {error}".split())
        raise CheckpointError(f"{path} holds no times of 'tts sweep' ({text}); run --time again") from None
    return timing


def _positive(values: Sequence[Any]) -> tuple[float, ...]:
    found = tuple(float(value) for value in values)
    if not all(value > 0 for value in found):
        raise ValueError("seconds must be above 0")
    return found
