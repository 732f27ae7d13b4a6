"""The page of a sweep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tts.evaluation.report.comparisons import comparison_section
from tts.evaluation.report.figures import TITLES, drawn_sections, table_section
from tts.evaluation.report.made import how_made
from tts.evaluation.report.page import Anchors, Block, Facts, Note, Page, Section
from tts.evaluation.report.points import first_images, overview
from tts.evaluation.report.record import Record
from tts.evaluation.report.values import plain
from tts.evaluation.sweep.reading import RESULTS, Results, read_results

REMEDY = "run the sweep again"
UNDRAWN = "The tables below are made from the results; plots and grids (figures.json) were not drawn."


def sweep_page(folder: Path) -> Page:
    """The page of a sweep's folder."""
    results, record = read_results(folder), Record.open(folder / RESULTS, REMEDY)
    backbone = results.base.backbone
    sets = "one seed set" if results.sets == 1 else f"{results.sets} seed sets"
    lead = (
        f"{len(results.points)} settings of {backbone}, {results.images:,} images each in {sets},"
        f" against {results.reference}."
    )
    return Page("Test-time scaling sweep", f"Sweep of {backbone}", lead, tuple(_sections(results, record)))


def _sections(results: Results, record: Record) -> Iterator[Section]:
    anchors = Anchors()
    summary = anchors.name("Overview")
    drawn = tuple(drawn_sections(results.folder, anchors))
    notes = (_missing(results, record.part("sweep")), "" if drawn else UNDRAWN)
    yield Section(summary, "Overview", tuple(_summary(results, record.part("sweep"), notes)))
    yield from drawn or (table_section(results, anchors),)
    compared = comparison_section(results.folder, anchors)
    if compared is not None:
        yield compared
    if TITLES["grid"] not in [section.title for section in drawn]:
        yield from first_images(anchors, results)
    yield _made(record, anchors)


def _summary(results: Results, sweep: Record, notes: tuple[str, ...]) -> Iterator[Block]:
    yield overview(results)
    yield from (Note(note) for note in notes if note)
    grids = [(f"Grid {place}", str(grid)) for place, grid in enumerate(sweep.values.get("grids") or (), 1)]
    pairs = (
        ("Backbone", results.base.backbone),
        ("Reference", results.reference),
        ("Features", sweep.part("features").text("name", results.title)),
        *grids,
        ("Seed sets", plain(sweep.values.get("seed_sets"))),
    )
    yield Facts("What was asked", pairs)


def _missing(results: Results, sweep: Record) -> str:
    """What a sweep still lacks, in a sentence."""
    asked = len(sweep.values.get("points") or results.points)
    if asked > len(results.points):
        left = f"{asked - len(results.points)} of {asked} points are not measured yet"
        return f"{left}: run the sweep again to go on, then make this page anew."
    if any(len(point.sets) < results.sets for point in results.points):
        return f"Not every point is measured in all {results.sets} seed sets."
    return ""


def _made(record: Record, anchors: Anchors) -> Section:
    sweep = record.part("sweep")
    groups = (
        ("Settings where a point says nothing else", sweep.part("base").values),
        ("Metrics", sweep.part("metrics").values),
        ("Features", sweep.part("features").values),
        ("Reference", sweep.part("reference").values),
        (
            "Identity of models and weights",
            {name: sweep.part(name).values for name in ("backbone", "judges", "shared")},
        ),
        ("Environment", record.part("environment").values),
    )
    return how_made(anchors, sweep.text("command"), "The command, as recorded in sweep.json:", groups)
