"""The tables, plots and image grids of a sweep, as ``figures.json`` lists them or made from its results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tts.errors import CheckpointError
from tts.evaluation.report.page import Anchors, Figure, Note, Picture, Section, Table
from tts.evaluation.report.picture import load_picture
from tts.evaluation.report.record import Record
from tts.evaluation.sweep import tables
from tts.evaluation.sweep.figures import INDEX
from tts.evaluation.sweep.own_tables import own_tables
from tts.evaluation.sweep.paper_tables import paper_tables
from tts.evaluation.sweep.reading import Results
from tts.evaluation.sweep.sheet import Sheet

REMEDY = "draw the figures anew"
TITLES = {"table": "Tables", "plot": "Plots", "grid": "Images"}


def drawn_sections(folder: Path, anchors: Anchors) -> Iterator[Section]:
    """A section a kind of what the list of a folder names, in its order; nothing without a list."""
    path = folder / INDEX
    if not path.is_file():
        return
    entries = list(Record.open(path, REMEDY).parts("figures"))
    for entry in entries:
        if entry.text("kind") not in TITLES:
            raise CheckpointError(f"{path} has a figure of unknown kind {entry.text('kind')!r}; {REMEDY}")
    for kind, title in TITLES.items():
        chosen = [entry for entry in entries if entry.text("kind") == kind]
        if chosen:
            anchor = anchors.name(title)
            yield Section(anchor, title, tuple(_figure(folder, entry, anchors) for entry in chosen))


def table_section(results: Results, anchors: Anchors) -> Section:
    """The tables alone, made from the results of a sweep that has no list."""
    sheet = Sheet(results)
    found = [*paper_tables(sheet), *own_tables(sheet)]
    return figure_section(TITLES["table"], found, anchors)


def figure_section(title: str, found: Iterable[tables.Table], anchors: Anchors) -> Section:
    """A section of tables."""
    anchor = anchors.name(title)
    return Section(anchor, title, tuple(table_figure(table, anchors) for table in found))


def table_figure(table: tables.Table, anchors: Anchors) -> Figure:
    """A table with its title and caption."""
    body = Table(table.title, table.header, table.rows, frozenset(table.best))
    return Figure(anchors.name(table.title), table.title, table.caption, table.paper or "", body)


def _figure(folder: Path, entry: Record, anchors: Anchors) -> Figure:
    title = str(entry.need("title"))
    body = _table(entry, title) if entry.text("kind") == "table" else _picture(folder, entry, title)
    return Figure(anchors.name(title), title, entry.text("caption"), entry.text("paper"), body)


def _table(entry: Record, title: str) -> Table:
    try:
        header = tuple(map(str, entry.need("header")))
        rows = tuple(tuple(map(str, row)) for row in entry.need("rows"))
        best = frozenset((int(row), int(column)) for row, column in entry.values.get("best") or ())
    except (TypeError, ValueError):
        rows, header, best = ((),), (), frozenset()
    if any(len(row) != len(header) for row in rows) or not header:
        raise CheckpointError(f"{entry.path} has no proper table {title!r}; {REMEDY}")
    return Table(title, header, rows, best)


def _picture(folder: Path, entry: Record, title: str) -> Picture | Note:
    """The picture of an entry; a file that is gone leaves a note."""
    name = str(entry.need("file"))
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise CheckpointError(f"{entry.path} names {name!r}, which lies outside its folder; {REMEDY}")
    if not path.is_file():
        return Note(f"{name} is missing; {REMEDY}.")
    alt = f"{title}. {entry.text('caption')}".strip()
    return load_picture(path, alt, entry.text("kind") == "grid", entry.text("sha256") or None)
