"""All tables, plots and pictures of a sweep's folder, and ``figures.json``, which lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from tts.building import Model, build_model
from tts.errors import TtsError
from tts.evaluation.sweep.drawing import Plot, can_draw, style
from tts.evaluation.sweep.own_tables import own_tables
from tts.evaluation.sweep.paper_tables import paper_tables
from tts.evaluation.sweep.pictures import Grid, randomised, sweep_grids
from tts.evaluation.sweep.plots import all_plots
from tts.evaluation.sweep.reading import RESULTS, Results, read_results
from tts.evaluation.sweep.scorer_analysis import (
    Analysis,
    analyse,
    read_analysis,
    scorer_texts,
    write_analysis,
)
from tts.evaluation.sweep.scorer_plots import scorer_plots
from tts.evaluation.sweep.sheet import Sheet
from tts.evaluation.sweep.tables import Table
from tts.evaluation.sweep.timed import TIMING
from tts.io import sha256_file, write_json
from tts.records import read_record

INDEX = "figures.json"
NO_PLOTS = (
    "no plots are drawn, since matplotlib is not installed; run pip install 'scalewise-tts[demo]' and then"
    " the command again"
)

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Entry:
    """A line of the index. Paths are relative to the sweep's folder.

    ``kind`` is ``table``, ``plot`` or ``grid``. A plot has a ``png`` beside its SVG. A table has its text:
    ``header``, ``rows``, and (row, column) of its ``best`` cells.
    """

    kind: Literal["table", "plot", "grid"]
    file: str
    title: str
    caption: str
    paper: str | None
    png: str | None = None
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    best: tuple[tuple[int, int], ...] = ()


def write_figures(folder: Path, warn: Warn = lambda message: None) -> list[Entry]:
    """Make everything that the results in a sweep's folder allow; returns what ``figures.json`` lists.

    What needs the backbone (scorers, figure 1) is computed once and then kept. Parts that cannot be made are
    left out with a warning; results that cannot be read are a ``CheckpointError``.
    """
    made_of = sources_of(folder)
    results = read_results(folder)
    model = LazyModel(results)
    analysis = _attempt(lambda: _analysis(folder, results, model, warn), "scorers are not analysed", warn)
    sheet = Sheet(results, analysis)
    entries = [_table(folder, table) for table in (*paper_tables(sheet), *own_tables(sheet))]
    if can_draw():
        with style():
            entries += [_plot(folder, plot) for plot in _plots(sheet)]
    else:
        warn(NO_PLOTS)
    entries += [_grid(folder, grid) for grid in sweep_grids(sheet)]
    entries += _randomised(folder, results, model, warn)
    listed = [{**asdict(entry), "sha256": sha256_file(folder / entry.file)} for entry in entries]
    write_json(folder / INDEX, {"figures": listed, "made_of": made_of})
    return entries


@dataclass(frozen=True)
class _Index:
    figures: tuple[Entry, ...]
    made_of: dict[str, str] = field(default_factory=dict)


def sources_of(folder: Path) -> dict[str, str]:
    """Checksums of the results and times that figures are drawn from."""
    return {name: sha256_file(folder / name) for name in (RESULTS, TIMING) if (folder / name).is_file()}


def outdated(folder: Path) -> bool:
    """Whether the figures are not those of the results and times that lie there now."""
    try:
        return _read_index(folder).made_of != sources_of(folder)
    except TtsError:
        return True


def read_index(folder: Path) -> tuple[Entry, ...]:
    """What ``figures.json`` lists."""
    return _read_index(folder).figures


def _read_index(folder: Path) -> _Index:
    return read_record(folder / INDEX, _Index, "list of figures", "draw the figures anew", own=True)


def lacks_plots(folder: Path) -> bool:
    """Whether matplotlib is there and the index lists no plot, as after a run without it."""
    if not can_draw():
        return False
    try:
        return not any(entry.kind == "plot" for entry in read_index(folder))
    except TtsError:
        return True


@dataclass(frozen=True)
class LazyModel:
    """The backbone of a sweep, built when it is first needed, on whatever device there is."""

    results: Results

    @cached_property
    def built(self) -> Model:
        """The backbone with its parts."""
        return build_model(replace(self.results.base, device="auto"))


def _attempt(make: Callable[[], Any], otherwise: str, warn: Warn) -> Any:
    """What a part gives, or ``None`` with a warning where it cannot be made."""
    try:
        return make()
    except TtsError as error:
        warn(f"{otherwise}: {error}")
        return None


def _analysis(folder: Path, results: Results, model: LazyModel, warn: Warn) -> Analysis | None:
    """What the scorers tell apart, as found before or now."""
    texts = scorer_texts(results)
    found = read_analysis(folder, texts)
    if found is None and texts:
        found, remark = analyse(results, model.built)
        if remark:
            warn(f"scorers are not judged: {remark}")
        write_analysis(folder, found)
    return found


def _plots(sheet: Sheet) -> Iterator[Plot]:
    yield from all_plots(sheet)
    if sheet.analysis is not None:
        yield from scorer_plots(sheet.analysis)


def _table(folder: Path, table: Table) -> Entry:
    file = table.write(folder).relative_to(folder).as_posix()
    return Entry(
        "table", file, table.title, table.caption, table.paper, None, table.header, table.rows, table.best
    )


def _plot(folder: Path, plot: Plot) -> Entry:
    vector, raster = (path.relative_to(folder).as_posix() for path in plot.write(folder))
    return Entry("plot", vector, plot.title, plot.caption, plot.paper, raster)


def _grid(folder: Path, grid: Grid) -> Entry:
    file = grid.write(folder).relative_to(folder).as_posix()
    return Entry("grid", file, grid.title, grid.caption, grid.paper)


def _randomised(folder: Path, results: Results, model: LazyModel, warn: Warn) -> list[Entry]:
    """Figure 1, as drawn before or now."""
    known = _listed_before(folder, "grids/randomised.png")
    if known is None:
        known = _attempt(
            lambda: _grid(folder, randomised(results.base, model.built)), "figure 1 is not drawn", warn
        )
    return [] if known is None else [known]


def _listed_before(folder: Path, file: str) -> Entry | None:
    """An entry of an earlier index whose file is still there."""
    try:
        found = next((entry for entry in read_index(folder) if entry.file == file), None)
    except TtsError:
        return None
    return found if (folder / file).is_file() else None
