"""The page of a tuning of ``tts tune``."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tts.errors import CheckpointError
from tts.evaluation.report.figures import table_figure
from tts.evaluation.report.made import how_made
from tts.evaluation.report.page import (
    Anchors,
    Block,
    Command,
    Figure,
    Page,
    Section,
    Table,
    Text,
    Tile,
    Tiles,
)
from tts.evaluation.report.record import Record
from tts.evaluation.report.values import NONE, number, seconds
from tts.evaluation.sweep.measures import signed
from tts.evaluation.tune.confirm import CONFIDENCE, judge
from tts.evaluation.tune.objective import find_objective
from tts.evaluation.tune.records import Ledger, Rung
from tts.evaluation.tune.rows import Row
from tts.evaluation.tune.store import SETTINGS_FILE, TUNE, read_tune
from tts.evaluation.tune.summary import Summary

GO_ON = "run its 'tts tune' again to go on"


@dataclass(frozen=True)
class Tuning:
    """A finished tuning: its file, and what came of it."""

    record: Record
    summary: Summary


def read_tuning(folder: Path) -> Tuning:
    """The tuning of a folder; one that is not finished or cannot be read is a ``CheckpointError``."""
    record = Record.open(folder / TUNE, "tune anew with --overwrite")
    try:
        ledger = read_tune(record.path, Ledger)
        if "recommended" not in record or ledger.trial is None:
            raise CheckpointError(f"{folder} holds an unfinished tuning; {GO_ON}")
        objective = find_objective(str(record.part("options").need("objective")))
        finding = judge(ledger.trial, objective)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        text = " ".join(f"{type(error).__name__} {error}".split())
        raise CheckpointError(f"{record.path} holds no tuning ({text}); {record.remedy}") from None
    return Tuning(record, Summary(record.text("features_title", "FD"), objective, finding, ledger))


def tuning_page(folder: Path) -> Page:
    """The page of a tuning's folder."""
    tuning, anchors = read_tuning(folder), Anchors()
    backbone = tuning.record.part("backbone").text("name", "the model")
    said = tuning.summary.verdict
    sections = (
        _recommendation(tuning, anchors),
        _confirmation(tuning.summary, anchors),
        Section(anchors.name("Search"), "Search", tuple(_rungs(tuning.summary, anchors))),
        _made(tuning.record, anchors),
    )
    return Page("Tuning", f"Settings for {backbone}", f"{said[0].upper()}{said[1:]}.", sections)


def _recommendation(tuning: Tuning, anchors: Anchors) -> Section:
    finding, budget = tuning.summary.finding, tuning.record.part("budget")
    overhead = NONE if finding.overhead is None else f"{number(finding.overhead, 3)}×"
    tiles = (
        Tile("Recommended", finding.recommended.label, finding.verdict.value),
        _difference(tuning.summary),
        Tile("Time an image", overhead, "winner, in that of the plain model"),
        Tile("Time taken", seconds(tuning.record.number("spent")), f"of {seconds(budget.number('seconds'))}"),
    )
    blocks: tuple[Block, ...] = (
        Tiles(tiles),
        Text(f"The recommended settings are in {SETTINGS_FILE} of this folder; images with them:"),
        Command(f"tts sample --settings {SETTINGS_FILE}"),
    )
    return Section(anchors.name("Recommendation"), "Recommendation", blocks)


def _difference(summary: Summary) -> Tile:
    """Winner less plain model, with the interval."""
    measure, found = summary.measure, summary.finding.difference
    label = f"{measure.name}, winner less plain"
    if found is None:
        return Tile(label, NONE, "too few seed sets for an interval")
    mean, low, high = (signed(measure.factor * value, 3) for value in (found.mean, found.low, found.high))
    return Tile(label, mean, f"{CONFIDENCE:.0%} interval {low} to {high}")


def _confirmation(summary: Summary, anchors: Anchors) -> Section:
    section = anchors.name("Confirmation")
    text = (
        "New images, and a half of the reference that the search did not use: nothing is chosen any more, so"
        " that the luck of the search does not count."
    )
    finalists = table_figure(replace(summary.comparison(), title="Finalists"), anchors)
    blocks = (Text(text), finalists, _by_set(summary))
    return Section(section, "Confirmation", blocks)


def _by_set(summary: Summary) -> Table:
    """Both finalists in every seed set, and their means."""
    finding = summary.finding
    pairs = list(zip(finding.baseline_values, finding.winner_values, strict=True))
    rows = [
        (str(number), *_compared(summary, *pair)) for number, pair in zip(finding.sets, pairs, strict=True)
    ]
    if pairs:
        means = (statistics.fmean(values) for values in zip(*pairs, strict=True))
        rows.append(("mean", *_compared(summary, *means)))
    header = ("Seed set", finding.baseline.label, finding.winner.label, "Difference")
    caption = f"{summary.measure.header} in each seed set"
    return Table(caption, header, tuple(rows), marked=len(pairs) if pairs else None)


def _compared(summary: Summary, plain: float, winner: float) -> tuple[str, str, str]:
    factor = summary.measure.factor
    return number(factor * plain), number(factor * winner), signed(factor * (winner - plain), 3)


def _rungs(summary: Summary, anchors: Anchors) -> Iterator[Figure]:
    """A table a rung, the best settings first."""
    for place, rung in enumerate(summary.ledger.rungs, 1):
        title = f"Rung {place}: {len(rung.rows)} settings"
        caption = f"{rung.images:,} images of each, with the same noise; the best first."
        yield Figure(anchors.name(title), title, caption, "", _rung(summary, rung, title))


def _rung(summary: Summary, rung: Rung, title: str) -> Table:
    objective, measure = summary.objective, summary.measure
    known = [(row, objective.value(row.figures)) for row in rung.rows]
    known.sort(key=lambda pair: objective.badness(pair[1]))
    rows = tuple(
        (row.arm.label, number(measure.factor * value), number(_pace(row), 3)) for row, value in known
    )
    best = frozenset({(0, 1)} if rows else ())
    return Table(title, ("Setting", measure.header, "seconds per 1 000 images"), rows, best)


def _pace(row: Row) -> float:
    """Seconds of making a thousand images."""
    return 1000 * row.cost.seconds / row.cost.images


def _made(record: Record, anchors: Anchors) -> Section:
    groups = (
        ("Options", record.part("options").values),
        *((name.capitalize(), record.part(name).values) for name in ("backbone", "scorer", "features")),
        ("Reference", {**record.part("reference").values, "halves": record.part("halves").values}),
        ("Environment", record.part("environment").values),
    )
    return how_made(anchors, record.text("command"), "The command, as recorded in tune.json:", groups)
