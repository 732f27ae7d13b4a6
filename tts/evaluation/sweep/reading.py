"""What a sweep measured, read from its ``results.json`` for tables and figures."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tts import limits
from tts.evaluation.cost import Cost
from tts.evaluation.figures import Figures
from tts.evaluation.sweep.point import Setting
from tts.evaluation.sweep.timed import Timing, ratios, read_timing
from tts.records import encode, parse_record, read_record
from tts.sample_config import SampleConfig

RESULTS = "results.json"
FORMAT = "scalewise-tts-results-1"
SECONDS = "seconds_per_1000"

Numbers = Mapping[str, float | None]


@dataclass(frozen=True)
class _Set:
    figures: Figures
    cost: Cost


@dataclass(frozen=True)
class _Entry:
    id: str
    label: str
    setting: Setting
    sets: dict[int, _Set]
    strips: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Features:
    name: str


@dataclass(frozen=True)
class _Reference:
    text: str


@dataclass(frozen=True)
class _Backbone:
    classes: limits.Classes | None = None


@dataclass(frozen=True)
class _Sweep:
    base: SampleConfig
    images: limits.Items
    features: _Features
    features_title: str
    reference: _Reference
    backbone: _Backbone = _Backbone()


@dataclass(frozen=True)
class _Content:
    sweep: _Sweep
    points: tuple[_Entry, ...]


@dataclass(frozen=True)
class ResultPoint:
    """A setting with its figures and costs in each seed set.

    ``rounds`` are the seconds for 1 000 images in each round of a timing, where there was one: they stand
    for those of the seed sets. ``strips`` are digests of the first images of each seed set, of which one has
    its picture in the folder.
    """

    id: str
    label: str
    setting: Setting
    sets: Mapping[int, Numbers]
    rounds: tuple[float, ...] = ()
    strips: tuple[str, ...] = ()

    @property
    def candidates(self) -> int | None:
        """M, or ``None`` where scales have numbers of their own."""
        text = self.setting.candidates
        return int(text) if text.isdecimal() else None

    @property
    def plain(self) -> bool:
        """Whether nothing is selected."""
        return self.candidates == 1

    def values(self, key: str) -> tuple[float, ...]:
        """A figure in every seed set, or seconds in every round; nothing if one of them lacks it."""
        if self.rounds and key == SECONDS:
            return self.rounds
        found = [numbers.get(key) for numbers in self.sets.values()]
        known = tuple(float(value) for value in found if value is not None)
        return known if len(known) == len(found) else ()

    def mean(self, key: str) -> float | None:
        """The mean of a figure over seed sets, or the median of seconds over rounds."""
        values = self.values(key)
        if self.rounds and key == SECONDS:
            return statistics.median(values)
        return statistics.fmean(values) if values else None

    def spread(self, key: str) -> float | None:
        """The sample standard deviation over seed sets, or rounds; ``None`` for a single one."""
        values = self.values(key)
        return statistics.stdev(values) if len(values) > 1 else None

    def time_by(self, other: ResultPoint) -> float | None:
        """Time relative to another point: the median of the ratios of rounds, else the ratio of means.

        ``None`` where one side was timed in rounds and the other was not.
        """
        if self.rounds and other.rounds:
            return statistics.median(ratios(self.rounds, other.rounds))
        ours, theirs = self.mean(SECONDS), other.mean(SECONDS)
        if bool(self.rounds) != bool(other.rounds) or ours is None or not theirs:
            return None
        return ours / theirs

    def where(self, **changes: Any) -> ResultPoint:
        """The same figures under another setting."""
        return replace(self, setting=replace(self.setting, **changes))


@dataclass(frozen=True)
class Results:
    """All points of a sweep in their order, and what was asked for.

    ``base`` is the configuration that the points vary, ``title`` names the Frechet distance,
    ``features`` what makes its features. ``classes`` is their number, where the sweep says it: image i is of
    class i modulo that. ``timing`` is what timed the points, if anything did.
    """

    folder: Path
    base: SampleConfig
    title: str
    features: str
    reference: str
    images: int
    classes: int | None
    points: tuple[ResultPoint, ...]
    timing: Timing | None = None

    @cached_property
    def sets(self) -> int:
        """The most seed sets that a point has."""
        return max((len(point.sets) for point in self.points), default=0)

    def has(self, key: str, points: Iterable[ResultPoint] | None = None) -> bool:
        """Whether any of the points, by default of all, has a figure."""
        return any(point.values(key) for point in (self.points if points is None else points))


def read_results(folder: Path) -> Results:
    """Read the results of a sweep's folder; a file that is none is a ``CheckpointError``."""
    content = read_record(folder / RESULTS, _Content, "file of results", "sweep again", FORMAT, own=True)
    sweep, timing = content.sweep, read_timing(folder)
    return Results(
        folder=folder,
        base=sweep.base,
        title=sweep.features_title,
        features=sweep.features.name,
        reference=sweep.reference.text,
        images=sweep.images,
        classes=sweep.backbone.classes,
        points=tuple(_point(entry, timing) for entry in content.points),
        timing=timing,
    )


def base_config(entries: Mapping[str, Any]) -> SampleConfig:
    """The configuration that a record holds; fields that this version does not know are left out."""
    return parse_record(encode(entries), SampleConfig, "base", "configuration", "choose another --out")


def _point(entry: _Entry, timing: Timing | None) -> ResultPoint:
    sets = {
        number: _derived({**asdict(one.cost), **asdict(one.figures)})
        for number, one in sorted(entry.sets.items())
    }
    rounds = timing.per_1000(entry.id) if timing else ()
    return ResultPoint(entry.id, entry.label, entry.setting, sets, rounds, entry.strips)


def _derived(numbers: dict[str, Any]) -> Numbers:
    """The figures with those that follow from them: the trace term, and costs of an image."""
    found = {key: value for key, value in numbers.items() if isinstance(value, int | float)}
    terms = [found.get(key) for key in ("trace_reference", "trace_samples", "two_trace_sqrt")]
    if None not in terms:
        reference, samples, root = terms
        found["trace_term"] = reference + samples - root  # type: ignore[operator]
    images = found["images"]
    for key in ("transformer_passes", "scorer_calls", "decoder_calls", "image_scorer_calls"):
        if key in found:
            found[f"{key}_per_image"] = found[key] / images
    if "seconds" in found:
        found[SECONDS] = 1000 * found["seconds"] / images
    if "peak_bytes" in found:
        found["peak_mib"] = found["peak_bytes"] / 2**20
    return found
