"""The page of a tuning of ``tts tune``."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tts.errors import CheckpointError
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
from tts.evaluation.sweep.measures import Names, signed
from tts.evaluation.tune.objective import Objective, find_objective
from tts.evaluation.tune.records import Ledger, Rung
from tts.evaluation.tune.rows import Row
from tts.evaluation.tune.space import Arm
from tts.evaluation.tune.store import FORMAT, SETTINGS_FILE, TUNE

GO_ON = "run its 'tts tune' again to go on"


@dataclass(frozen=True)
class Tuning:
    """A finished tuning: what was measured, and what came of it; ``name`` is what the objective is called."""

    record: Record
    ledger: Ledger
    winner: Arm
    baseline: Arm
    recommended: Arm
    objective: Objective
    name: str

    @property
    def verdict(self) -> Record:
        """What the confirmation found."""
        return self.record.part("confirmation")

    @property
    def gained(self) -> bool:
        """Whether selection is recommended."""
        return not self.recommended.plain


def read_tuning(folder: Path) -> Tuning:
    """The tuning of a folder; one that is not finished or cannot be read is a ``CheckpointError``."""
    record = Record.open(folder / TUNE, "tune anew with --overwrite")
    try:
        if record.text("format") != FORMAT:
            raise ValueError(f"format {record.text('format')!r}")
        if "recommended" not in record:
            raise CheckpointError(f"{folder} holds an unfinished tuning; {GO_ON}")
        values = record.values
        ledger = Ledger.of({**values, "spent": record.part("budget").need("spent")})
        winner, baseline, recommended = (
            Arm.of(values[name]) for name in ("winner", "baseline", "recommended")
        )
        objective = find_objective(str(record.part("options").need("objective")))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        text = " ".join(f"{type(error).__name__} {error}".split())
        raise CheckpointError(f"{record.path} holds no tuning ({text}); {record.remedy}") from None
    name = _name(objective.name, record.text("features_title", "FD"))
    return Tuning(record, ledger, winner, baseline, recommended, objective, name)


def _name(objective: str, title: str) -> str:
    names = Names(title)
    known = {"fid": names.fid.name, "sfid": names.sfid.name, "fid_infinity": f"{title} at infinity"}
    return known.get(objective, objective.replace("_", " "))


def tuning_page(folder: Path) -> Page:
    """The page of a tuning's folder."""
    tuning = read_tuning(folder)
    record, anchors = tuning.record, Anchors()
    backbone = record.part("backbone").text("name", "the model")
    lead = (
        f"Selection improves {tuning.name} over the plain model."
        if tuning.gained
        else f"The plain model is recommended: {tuning.verdict.text('verdict')}."
    )
    sections = (
        _recommendation(tuning, anchors),
        _confirmation(tuning, anchors),
        _search(tuning, anchors),
        _made(record, anchors),
    )
    return Page("Tuning", f"Settings for {backbone}", lead, sections)


def _recommendation(tuning: Tuning, anchors: Anchors) -> Section:
    verdict = tuning.verdict
    budget = tuning.record.part("budget")
    overhead = verdict.number("overhead")
    tiles = (
        Tile("Recommended", tuning.recommended.label, verdict.text("verdict")),
        Tile(f"{tuning.name}, winner less plain", _difference(verdict), _interval(verdict)),
        Tile(
            "Time an image", NONE if overhead is None else f"{number(overhead, 3)}×", "of the plain model's"
        ),
        Tile("Time taken", seconds(budget.number("spent")), f"of {seconds(budget.number('seconds'))}"),
    )
    blocks: tuple[Block, ...] = (
        Tiles(tiles),
        Text(f"The settings are in {SETTINGS_FILE} beside this page; images with them:"),
        Command(f"tts sample --settings {SETTINGS_FILE}"),
    )
    return Section(anchors.name("Recommendation"), "Recommendation", blocks)


def _difference(verdict: Record) -> str:
    value = verdict.number("difference")
    return NONE if value is None else signed(value, 3)


def _interval(verdict: Record) -> str:
    if "interval" not in verdict:
        return "too few seed sets for an interval"
    low, high = (signed(end, 3) for end in verdict.numbers("interval"))
    return f"{100 * (verdict.number('confidence') or 0):g} % interval {low} to {high}"


def _confirmation(tuning: Tuning, anchors: Anchors) -> Section:
    verdict = tuning.verdict
    plain, winner = verdict.numbers("baseline"), verdict.numbers("winner")
    pairs = list(zip(verdict.numbers("sets"), plain, winner, strict=False))
    rows = [(f"{name:g}", *_compared(a, b)) for name, a, b in pairs]
    if pairs:
        rows.append(("mean", *_compared(statistics.fmean(plain), statistics.fmean(winner))))
    header = ("Seed set", f"Plain: {tuning.baseline.label}", f"Winner: {tuning.winner.label}", "Difference")
    images = tuning.ledger.trial.images if tuning.ledger.trial else 0
    text = (
        f"New images, {images:,} in each seed set, against a half of the reference that the search did not"
        " use. Nothing is chosen any more, so that luck of the search does not count."
    )
    caption = f"{tuning.name} of both"
    blocks = (Text(text), Table(caption, header, tuple(rows), marked=len(rows) - 1 if rows else None))
    return Section(anchors.name("Confirmation"), "Confirmation", blocks)


def _compared(plain: float, winner: float) -> tuple[str, str, str]:
    return number(plain), number(winner), signed(winner - plain, 3)


def _search(tuning: Tuning, anchors: Anchors) -> Section:
    section = anchors.name("Search")
    return Section(section, "Search", tuple(_rungs(tuning, anchors)))


def _rungs(tuning: Tuning, anchors: Anchors) -> Iterator[Figure]:
    """A table a rung, the best settings first."""
    for place, rung in enumerate(tuning.ledger.rungs, 1):
        title = f"Round {place}: {len(rung.rows)} settings"
        caption = f"{rung.images:,} images of each, with the same noise; best first."
        yield Figure(anchors.name(title), title, caption, "", _rung(tuning, rung, title))


def _rung(tuning: Tuning, rung: Rung, title: str) -> Table:
    objective = tuning.objective
    known = [(row, objective.value(row.figures)) for row in rung.rows]
    known.sort(key=lambda pair: objective.badness(pair[1]))
    header = ("Setting", f"{tuning.name} {'↓' if objective.lower else '↑'}", "Seconds per 1 000 images")
    rows = tuple((row.arm.label, number(value), number(_pace(row), 3)) for row, value in known)
    return Table(title, header, rows, frozenset({(0, 1)} if rows else set()))


def _pace(row: Row) -> float:
    """Seconds of making a thousand images."""
    return 1000 * row.cost.seconds / row.cost.images


def _made(record: Record, anchors: Anchors) -> Section:
    groups = (
        ("Options", record.part("options").values),
        ("Settings that all share", record.part("base").values),
        *((name.capitalize(), record.part(name).values) for name in ("backbone", "scorer", "features")),
        ("Reference", {**record.part("reference").values, "halves": record.part("halves").values}),
        ("Environment", record.part("environment").values),
    )
    return how_made(anchors, record.text("command"), "The command, as recorded in tune.json:", groups)
