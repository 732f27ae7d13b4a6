"""From grids to points: all of them are checked, built and named before any is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from tts.building import build_generator
from tts.evaluation.references import describe_reference
from tts.evaluation.sweep.config import BASE, SweepConfig, frame
from tts.evaluation.sweep.grid import Axis, Grid
from tts.evaluation.sweep.lab import Lab
from tts.evaluation.sweep.names import Defaults, name_of
from tts.evaluation.sweep.point import Point, Setting, canonical, distinct, grouped
from tts.evaluation.sweep.record import Record, SweepRecord
from tts.evaluation.sweep.store import Named
from tts.pipeline import Generator
from tts.resolve import build_selector
from tts.runinfo import describe_scorer
from tts.sample_config import SampleConfig
from tts.sample_run import remarks
from tts.specs import SCALES
from tts.strategies.choose import find_strategy


@dataclass(frozen=True)
class Planned:
    """A point under its name."""

    named: Named
    point: Point

    @property
    def id(self) -> str:
        """The name of its folder."""
        return self.named.id


@dataclass(frozen=True)
class Plan:
    """The points in the order of the grids, the seed sets, what the folder shall say, and what to remark."""

    points: tuple[Planned, ...]
    seed_sets: tuple[int, ...]
    record: SweepRecord
    remarks: tuple[str, ...]


def make_plan(config: SweepConfig, lab: Lab) -> Plan:
    """Check and build everything that is asked for; whatever cannot be made is refused here."""
    grids, seed_sets = config.parse()
    said: dict[str, None] = {}
    found: Record = {}
    points = distinct([point for grid in grids for point in _points(config.base, grid, lab)])
    for point in grouped(points):
        generator = build_generator(point.config, lab.cache)
        found |= judges(point.setting, generator)
        auto = lab.facts(point.config).automatic
        taken = config.base.scorer == "auto" and point.setting.scorer == auto.text
        said |= dict.fromkeys(remarks(point.config, generator, auto.note if taken else None))
    said |= dict.fromkeys(note for grid in grids for note in _idle(config.base, grid, lab))
    classes = lab.facts(config.base).info.classes
    if config.images % classes:
        said[f"{config.images} images are no multiple of {classes} classes, so classes are not balanced"] = (
            None
        )
    planned = tuple(Planned(_named(point, lab), point) for point in points)
    record = _record(config, lab, grids, seed_sets, planned, found)
    return Plan(planned, seed_sets, record, tuple(said))


def _points(base: SampleConfig, grid: Grid, lab: Lab) -> list[Point]:
    return [_point(replace(base, **values), lab) for values in grid]  # type: ignore[arg-type]


def _point(config: SampleConfig, lab: Lab) -> Point:
    """The point of a configuration, whose every value is checked, also those that make no difference."""
    facts = lab.facts(config)
    selector = build_selector(config.selector, config.top_k_select, config.temperature)
    if config.scorer == "auto" and find_strategy(config.strategy).counts == SCALES:
        config = replace(config, scorer=facts.automatic.text)
    return canonical(config, facts.spec, facts.info, selector)


def _named(point: Point, lab: Lab) -> Named:
    facts = lab.facts(point.config)
    return Named(name_of(point.setting, Defaults.of(facts.spec, facts.info)), point.setting)


def _idle(base: SampleConfig, grid: Grid, lab: Lab) -> list[str]:
    """Remarks on axes whose values all give the same points."""
    notes = []
    for axis in grid.axes:
        sets = [{point.setting for point in _points(base, _fixed(grid, axis, i), lab)} for i in _range(axis)]
        if len(sets) > 1 and all(found == sets[0] for found in sets):
            notes.append(f"axis {axis.name} makes no difference in grid {grid.text}")
    return notes


def _range(axis: Axis) -> range:
    return range(len(axis.values))


def _fixed(grid: Grid, axis: Axis, number: int) -> Grid:
    """The grid with one value of an axis."""
    one = Axis(axis.name, (axis.values[number],))
    return Grid(tuple(one if other is axis else other for other in grid.axes))


def judges(setting: Setting, generator: Generator) -> Record:
    """Identities of the scorer and the image scorer, by the text that names them."""
    found: Record = {}
    if setting.scorer is not None:
        found[f"scorer {setting.scorer}"] = describe_scorer(generator.scorer) or {}
    if setting.image_scorer is not None:
        found[f"image_scorer {setting.image_scorer}"] = describe_scorer(generator.image_scorer) or {}
    return {
        name: {key: value for key, value in judge.items() if key != "file"} for name, judge in found.items()
    }


def _record(
    config: SweepConfig,
    lab: Lab,
    grids: Sequence[Grid],
    seed_sets: tuple[int, ...],
    points: Sequence[Planned],
    judges: Record,
) -> SweepRecord:
    """What the folder says of this sweep."""
    backbone = lab.cache.model(config.base).backbone
    info = backbone.info
    base = {name: getattr(config.base, name) for name in BASE}
    return SweepRecord(
        command=config.command(tuple(grids)),
        base={key: list(value) if isinstance(value, tuple) else value for key, value in base.items()},
        grids=tuple(grid.text for grid in grids),
        images=config.images,
        seed_sets=seed_sets,
        features=lab.extractor.describe(),
        features_title=lab.extractor.title,
        reference=describe_reference(config.reference),
        metrics=asdict(config.metrics),
        backbone={
            "backbone": info.name,
            "family": info.family,
            "classes": info.classes,
            "weights_sha256": backbone.weights_hash(),
        },
        judges=judges,
        shared={**frame(config.base), "uint8": config.base.uint8 or info.uint8},
        points=tuple(point.id for point in points),
    )
