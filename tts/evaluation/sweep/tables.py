"""Tables of figures: columns of measures over points, with spread and the best value of each column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tts.evaluation.sweep.measures import Measure, Number, decimals_for
from tts.evaluation.sweep.reading import ResultPoint
from tts.io import atomic_path, make_folder

NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """A column: a measure at a point a row, or text. ``group`` stands before the measure's name."""

    title: str
    texts: tuple[str, ...]
    best: tuple[int, ...] = ()

    @staticmethod
    def of(measure: Measure, points: Sequence[ResultPoint | None], group: str = "") -> Column:
        """The figures of the points; the best rows are marked where there are several."""
        numbers = [number(point, measure) for point in points]
        decimals = decimals_for(measure, [found.mean for found in numbers if found])
        means = [round(found.mean, decimals) if found else None for found in numbers]
        texts = tuple(_written(found, measure, decimals) for found in numbers)
        return Column(f"{group} {measure.header}".strip(), texts, best_rows(measure, means))

    @property
    def known(self) -> bool:
        """Whether any row has a figure."""
        return any(text != NOTHING for text in self.texts)


def number(point: ResultPoint | None, measure: Measure) -> Number | None:
    """A point's figure in the measure's unit."""
    mean = point.mean(measure.key) if point else None
    if point is None or mean is None:
        return None
    spread = point.spread(measure.key)
    return Number(mean * measure.factor, None if spread is None else spread * measure.factor)


def _written(found: Number | None, measure: Measure, decimals: int) -> str:
    if found is None:
        return NOTHING
    return f"{found.mean:.6g}" if measure.exact else found.text(decimals)


def best_rows(measure: Measure, means: Sequence[float | None]) -> tuple[int, ...]:
    """The rows with the best mean, as it is written; none where all are equal or nothing is better."""
    known = [mean for mean in means if mean is not None]
    if measure.better is None or len(set(known)) < 2:
        return ()
    best = min(known) if measure.better == "lower" else max(known)
    return tuple(row for row, mean in enumerate(means) if mean == best)


@dataclass(frozen=True)
class Table:
    """A table as text; ``best`` holds (row, column) of the cells to bring out.

    ``name`` is its file's, ``paper`` the table or figure of the LSRS paper that it corresponds to.
    """

    name: str
    title: str
    caption: str
    paper: str | None
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: tuple[tuple[int, int], ...] = ()

    @property
    def markdown(self) -> str:
        """Title, table with the best cells in bold, and caption."""
        body = [
            [f"**{cell}**" if (r, c) in self.best else _escaped(cell) for c, cell in enumerate(row)]
            for r, row in enumerate(self.rows)
        ]
        rule = ["---", *["---:"] * (len(self.header) - 1)]
        lines = [f"| {' | '.join(row)} |" for row in ([*map(_escaped, self.header)], rule, *body)]
        return "\n".join([f"### {self.title}", "", *lines, "", self.caption, ""])

    def write(self, folder: Path) -> Path:
        """Write ``tables/NAME.md`` below a folder."""
        make_folder(folder / "tables")
        path = folder / "tables" / f"{self.name}.md"
        with atomic_path(path) as temporary:
            temporary.write_text(self.markdown, encoding="utf-8")
        return path


def make_table(
    name: str, title: str, caption: str, paper: str | None, columns: Sequence[Column], heads: int = 1
) -> Table:
    """A table of columns of equal length; those without a figure are left out, but not the ``heads``."""
    kept = [column for i, column in enumerate(columns) if i < heads or column.known]
    rows = tuple(zip(*(column.texts for column in kept), strict=True))
    best = tuple((row, c) for c, column in enumerate(kept) for row in column.best)
    return Table(name, title, caption, paper, tuple(column.title for column in kept), rows, best)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
