"""What ``tts eval --out`` left in a run's folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tts.errors import CheckpointError
from tts.evaluation.eval_result import FORMAT
from tts.evaluation.report.page import Anchors, Block, Facts, Note, Section, Table
from tts.evaluation.report.record import Record
from tts.evaluation.report.values import NONE, flat
from tts.evaluation.sweep.measures import ACCURACY, INCEPTION, PRECISION, RECALL, VARIANCE, Measure, Names

REMEDY = "evaluate the run anew with 'tts eval'"


def evaluation_sections(folder: Path, anchors: Anchors) -> Iterator[Section]:
    """A section for each evaluation in a folder, by the names of their files."""
    for path in sorted(folder.glob("*.json")):
        record = _evaluation(path)
        if record is not None:
            title = f"Figures ({path.name})"
            yield Section(anchors.name(title), title, tuple(_blocks(record)))


def _evaluation(path: Path) -> Record | None:
    """The record of a file that holds one."""
    try:
        record = Record.open(path, REMEDY)
    except CheckpointError:
        return None
    return record if record.text("format") == FORMAT else None


def _blocks(record: Record) -> Iterator[Block]:
    runs = list(record.parts("runs"))
    yield from (Note(str(warning)) for warning in record.values.get("warnings") or ())
    for run in runs:
        yield from (Note(f"{run.text('run')}: {warning}") for warning in run.values.get("warnings") or ())
    names = Names(record.text("title", "FD"))
    infinite = Measure("fid_infinity", f"{names.title} at infinity", "lower")
    wanted = (names.fid, infinite, names.sfid, INCEPTION, PRECISION, RECALL, ACCURACY, VARIANCE)
    measures = [measure for measure in wanted if any(measure.key in run for run in runs)]
    header = ("Images of", "Number", *(measure.header for measure in measures))
    rows = tuple(
        (run.text("run", NONE), run.text("images", NONE), *(_cell(run, measure) for measure in measures))
        for run in runs
    )
    reference = record.part("reference")
    yield Table(f"Against {reference.text('text') or reference.text('name', 'the reference')}", header, rows)
    for title, name in (("Reference", "reference"), ("Features", "features"), ("Options", "options")):
        yield Facts(title, flat(record.part(name).values))


def _cell(run: Record, measure: Measure) -> str:
    """A figure with its interval, if it has one."""
    value = run.number(measure.key)
    if value is None:
        return NONE
    text = f"{measure.factor * value:.{measure.decimals}f}"
    if measure.key not in run.part("intervals"):
        return text
    ends = (
        f"{measure.factor * end:.{measure.decimals}f}" for end in run.part("intervals").numbers(measure.key)
    )
    return f"{text} [{', '.join(ends)}]"
