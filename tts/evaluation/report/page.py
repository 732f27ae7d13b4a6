"""What a page holds, as plain values; ``render`` turns it into HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

NUMERIC = re.compile(
    r"–|[+−-]?[0-9][0-9.,]*(e[+-]?[0-9]+)?( ± [0-9.,]+| \[[0-9.,+− -]+\])?( (%|s|min|kB|MB|GB)|×)?"
)
"""What a table sets flush right: a number with its spread, interval or unit, or the dash for none."""

HALF = 640
"""Width up to which a drawing may be shown at half the width of a page, in CSS pixels."""


@dataclass(frozen=True)
class Tile:
    """One figure that a reader should see first: what it is, its value, a remark below."""

    label: str
    value: str
    remark: str = ""


@dataclass(frozen=True)
class Tiles:
    """Figures side by side."""

    kind: ClassVar[str] = "tiles"
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Table:
    """A table; the first column names the row.

    ``best`` are the (row, column) of cells to bring out, ``marked`` is a row to do so with.
    """

    kind: ClassVar[str] = "table"
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()
    marked: int | None = None

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers, to be set flush right."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.header)
        return tuple(bool(cells) and all(map(NUMERIC.fullmatch, cells)) for cells in columns)


@dataclass(frozen=True)
class Facts:
    """Names and values: settings, versions, hashes."""

    kind: ClassVar[str] = "facts"
    title: str
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Command:
    """A command to type."""

    kind: ClassVar[str] = "command"
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Note:
    """Something that is missing or must be kept in mind."""

    kind: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True)
class Picture:
    """An image inside the page: ``uri`` holds its bytes; ``width`` and ``height`` are CSS pixels.

    Small pictures are shown enlarged by a whole factor, with ``sharp`` pixels.
    """

    kind: ClassVar[str] = "picture"
    uri: str
    alt: str
    width: int
    height: int
    sharp: bool = False

    @property
    def drawing(self) -> bool:
        """Whether it is a drawing that half the page is wide enough for."""
        return not self.sharp and self.width <= HALF


@dataclass(frozen=True)
class Figure:
    """A table or picture with a title and a caption; ``paper`` names what it corresponds to there."""

    kind: ClassVar[str] = "figure"
    anchor: str
    title: str
    caption: str
    paper: str
    body: Picture | Table | Note


@dataclass(frozen=True)
class Strip:
    """A row of images with its name."""

    kind: ClassVar[str] = "strip"
    title: str
    picture: Picture


Block = Tiles | Table | Facts | Command | Text | Note | Picture | Figure | Strip


@dataclass(frozen=True)
class Section:
    """A part of the page that the table of contents lists, with the figures in it."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The figures, in order."""
        return tuple(block for block in self.blocks if isinstance(block, Figure))

    @property
    def gallery(self) -> bool:
        """Whether it holds drawings alone, which stand side by side where there is room."""
        drawings = (isinstance(f.body, Picture) and f.body.drawing for f in self.figures)
        return len(self.figures) == len(self.blocks) > 1 and all(drawings)


@dataclass(frozen=True)
class Page:
    """A whole page: ``what`` is the kind of thing shown (a sweep, a run), ``lead`` a sentence on it."""

    what: str
    title: str
    lead: str
    sections: tuple[Section, ...]

    @property
    def figures(self) -> int:
        """Number of figures and pictures."""
        return sum(isinstance(block, Figure | Picture) for block in self._blocks())

    def _blocks(self) -> Iterator[Block]:
        for section in self.sections:
            yield from section.blocks


class Anchors:
    """Gives each heading a name that no other one has: lower case, words joined by dashes."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, title: str) -> str:
        """An anchor for a title."""
        stem = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:48].strip("-") or "part"
        anchor, number = stem, 1
        while anchor in self._taken:
            number += 1
            anchor = f"{stem}-{number}"
        self._taken.add(anchor)
        return anchor
