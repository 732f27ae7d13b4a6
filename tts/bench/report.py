"""What a bench found: figures of every batch size and number of candidates, and the record of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tts.bench.auto import Choice
from tts.bench.counting import Count
from tts.bench.figures import Estimate, Figures, figures
from tts.bench.timing import Arm

Pairs = list[tuple[float, float]]

FORMAT = "scalewise-tts-bench-1"
ALLOCATOR, COUNTED = "allocator", "counted"
"""How peak memory was found: of the device's allocator, or on tensors without values; both with weights."""


@dataclass(frozen=True)
class Memory:
    """Most bytes in use at once, with the weights, and how that was found."""

    bytes: int
    how: str


@dataclass(frozen=True)
class Point:
    """So many candidates, in batches of one size.

    ``scored`` is the number of maps among which a batch is chosen. Figures are ``None`` where the device had
    too little memory, and those with the decoder where it was left out. ``counted`` is what one batch takes,
    with the decoder where it is timed.
    """

    batch: int
    candidates: int
    scored: int
    with_decoder: Figures | None
    without_decoder: Figures | None
    peak_memory: Memory | None
    counted: Count | None
    seconds: tuple[tuple[float, float | None], ...]

    @property
    def best(self) -> Figures | None:
        """The figures of all that was timed."""
        return self.with_decoder or self.without_decoder


@dataclass(frozen=True)
class Noise:
    """What the plain model takes beyond itself, in per cent: how much of an overhead may be chance."""

    with_decoder: Estimate | None
    without_decoder: Estimate


@dataclass(frozen=True)
class BatchReport:
    """All points of a batch size; ``noise`` is ``None`` where the plain model did not fit the memory.

    ``decoder`` is what the decoder takes of the counts of each point.
    """

    batch: int
    noise: Noise | None
    decoder: Count | None
    points: tuple[Point, ...]


@dataclass(frozen=True)
class BenchReport:
    """Everything that was found; ``about`` says of what and how."""

    about: dict[str, Any]
    auto: Choice | None
    batches: tuple[BatchReport, ...]
    remarks: tuple[str, ...]

    @property
    def points(self) -> tuple[Point, ...]:
        """The points of all batch sizes."""
        return tuple(point for report in self.batches for point in report.points)

    def record(self) -> dict[str, Any]:
        """All of it as one JSON document."""
        auto = None if self.auto is None else asdict(self.auto)
        batches = [asdict(report) for report in self.batches]
        return {
            "format": FORMAT,
            **self.about,
            "auto": auto,
            "batches": batches,
            "remarks": list(self.remarks),
        }


def point_of(
    arm: Arm, base: Arm, batch: int, scored: int, memory: Memory | None, counted: Count | None
) -> Point:
    """The figures of an arm beside the plain model's."""
    whole, latent = paired(arm, base)
    return Point(
        batch=batch,
        candidates=arm.candidates,
        scored=scored,
        with_decoder=_figures(whole, batch, scored),
        without_decoder=_figures(latent, batch, scored),
        peak_memory=memory if latent else None,
        counted=counted,
        seconds=tuple((taken.latent, taken.whole) for taken in arm.rounds),
    )


def noise_of(again: Arm, base: Arm) -> Noise | None:
    """The plain model's second arm beside its first one."""
    whole, latent = (_figures(pairs, 1, 0) for pairs in paired(again, base))
    if latent is None:
        return None
    return Noise(None if whole is None else whole.overhead_percent, latent.overhead_percent)


def paired(arm: Arm, base: Arm) -> tuple[Pairs, Pairs]:
    """Seconds of an arm and of the plain model in each round, with and without the decoder."""
    if arm.lost or base.lost:
        return [], []
    rounds = list(zip(arm.rounds, base.rounds, strict=True))
    whole = [(a.whole, b.whole) for a, b in rounds if a.whole is not None and b.whole is not None]
    return whole, [(a.latent, b.latent) for a, b in rounds]


def _figures(pairs: Pairs, batch: int, scored: int) -> Figures | None:
    if not pairs:
        return None
    seconds, base = zip(*pairs, strict=True)
    return figures(seconds, base, batch, scored)
