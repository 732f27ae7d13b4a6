"""One sweep against another, or against one of its points: differences of pairs that share their noise.

Points of two sweeps are a pair where their settings are equal. What the sweeps differ in on purpose is left
out of that: the backbone, and every setting that has one value in each sweep, but not the same.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts.errors import UsageError
from tts.evaluation.paired import paired_interval
from tts.evaluation.sweep.point import SETTING_FIELDS
from tts.evaluation.sweep.reading import RESULTS, ResultPoint, Results, read_results
from tts.evaluation.sweep.record import SweepRecord
from tts.evaluation.sweep.results import FIGURES
from tts.evaluation.sweep.store import SWEEP, Store
from tts.io import write_json
from tts.records import tagged

FORMAT = "scalewise-tts-against-1"
COMPARED = (*(name for name in FIGURES if name != "images"), "trace_term", "seconds_per_1000")


@dataclass(frozen=True)
class Difference:
    """This minus the other: mean over seed sets, sample standard deviation, and interval of the mean.

    ``spread`` is ``None`` for one seed set, the interval for fewer than three or equal differences.
    """

    mean: float
    spread: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None

    @staticmethod
    def of(values: Sequence[float]) -> Difference:
        """From the differences of the seed sets."""
        found = paired_interval(values)
        mean, spread = statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
        if found is None:
            return Difference(mean, spread)
        return Difference(mean, spread, found.low, found.high, found.confidence)


@dataclass(frozen=True)
class Pair:
    """Two points with the seed sets that both have, and the difference of every figure that both have."""

    point: str
    label: str
    other: str
    other_label: str
    seed_sets: tuple[int, ...]
    differences: dict[str, Difference]


@dataclass(frozen=True)
class Comparison:
    """All pairs; ``apart`` are the settings that the two sides differ in on purpose, with both values.

    ``only_this`` and ``only_other`` are the ids of points without a partner.
    """

    name: str
    other: str
    title: str
    apart: dict[str, tuple[Any, Any]]
    pairs: tuple[Pair, ...]
    only_this: tuple[str, ...]
    only_other: tuple[str, ...]


def check_against(text: str, asked: SweepRecord) -> None:
    """Refuse, before anything is measured, what cannot be compared with the sweep that is asked for."""
    folder = Path(text)
    if text in asked.points:
        return
    if not (folder / SWEEP).is_file():
        raise UsageError(
            f"--against {text} is neither a folder of 'tts sweep' nor a point of this one;"
            " points/ has the ids of its points"
        )
    other = Store(folder).record()
    if other is None or not (folder / RESULTS).is_file():
        raise UsageError(f"the sweep in {folder} has no {RESULTS} yet; run its command to the end first")
    theirs = other.comparable()
    if names := [name for name, mine in asked.comparable().items() if theirs.get(name) != mine]:
        raise UsageError(
            f"the sweep in {folder} cannot be compared: other {', '.join(names)};"
            " measure both with the same images, features and reference"
        )


def compare(folder: Path, text: str) -> Comparison:
    """The sweep in a folder against another folder, or against one of its points."""
    this = read_results(folder)
    ids = {point.id: point for point in this.points}
    if text in ids:
        others = [(point, ids[text]) for point in this.points if point.id != text]
        return Comparison(text, text, this.title, {}, tuple(_pairs(others)), (), ())
    if not Path(text).is_dir():
        raise UsageError(f"point {text} has no figures yet; run the command of its grid first")
    other = read_results(Path(text))
    apart = _apart(this, other)
    mine, theirs = _by_key(this, apart), _by_key(other, apart)
    pairs = tuple(_pairs([(point, theirs[key]) for key, point in mine.items() if key in theirs]))
    if not pairs:
        raise UsageError(f"no point of {folder} has a partner with common seed sets in {text}; extend either")
    met = {pair.point for pair in pairs} | {pair.other for pair in pairs}
    return Comparison(
        name=Path(text).resolve().name,
        other=text,
        title=this.title,
        apart=apart,
        pairs=pairs,
        only_this=tuple(id_ for id_ in ids if id_ not in met),
        only_other=tuple(point.id for point in other.points if point.id not in met),
    )


def _apart(this: Results, other: Results) -> dict[str, tuple[Any, Any]]:
    """Settings that have at most one value in each sweep, but not the same one."""
    found: dict[str, tuple[Any, Any]] = {}
    if this.base.backbone != other.base.backbone:
        found["backbone"] = (this.base.backbone, other.base.backbone)
    for name in SETTING_FIELDS:
        a, b = ({getattr(p.setting, name) for p in side.points} - {None} for side in (this, other))
        if len(a) < 2 and len(b) < 2 and a != b:
            found[name] = (*a, None)[0], (*b, None)[0]
    return found


def _by_key(side: Results, apart: dict[str, tuple[Any, Any]]) -> dict[tuple[Any, ...], ResultPoint]:
    names = [name for name in SETTING_FIELDS if name not in apart]
    found: dict[tuple[Any, ...], ResultPoint] = {}
    for point in side.points:
        found.setdefault(tuple(getattr(point.setting, name) for name in names), point)
    return found


def _pairs(points: Sequence[tuple[ResultPoint, ResultPoint]]) -> Iterator[Pair]:
    """Pairs with at least one common seed set."""
    for point, other in points:
        common = sorted(point.sets.keys() & other.sets.keys())
        if common:
            differences = dict(_differences(point, other, common))
            yield Pair(point.id, point.label, other.id, other.label, tuple(common), differences)


def _differences(
    point: ResultPoint, other: ResultPoint, common: list[int]
) -> Iterator[tuple[str, Difference]]:
    for name in COMPARED:
        pairs = [(point.sets[number].get(name), other.sets[number].get(name)) for number in common]
        values = [a - b for a, b in pairs if a is not None and b is not None]
        if len(values) == len(common):
            yield name, Difference.of(values)


def write_comparison(folder: Path, found: Comparison) -> None:
    """Write ``against-NAME.json`` and ``against-NAME.md``."""
    from tts.evaluation.sweep.against_table import comparison_table
    from tts.io import atomic_path

    write_json(folder / f"against-{found.name}.json", tagged(FORMAT, found))
    with atomic_path(folder / f"against-{found.name}.md") as temporary:
        temporary.write_text(comparison_table(found).markdown, encoding="utf-8")
