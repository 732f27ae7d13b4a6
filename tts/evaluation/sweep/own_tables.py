"""Tables of a sweep that the LSRS paper has not: selectors, strategies, further axes, all points."""

from __future__ import annotations

from collections.abc import Iterator

from tts.evaluation.sweep import measures
from tts.evaluation.sweep.equal_seconds import equal_seconds
from tts.evaluation.sweep.sheet import FAVOURED, Sheet
from tts.evaluation.sweep.tables import NOTHING, Table

AXES = {
    "cfg": "Guidance",
    "guidance": "Form of guidance",
    "top_k": "Top-k filter of tokens",
    "top_p": "Top-p filter of tokens",
    "temperature": "Temperature of the selector",
    "end_scale": "Last scale with selection",
    "schedule": "Schedule of scales",
}
"""Further axes, with the titles of their tables."""


def own_tables(sheet: Sheet) -> Iterator[Table]:
    """All of them; every point of the sweep stands in the last one."""
    yield from selectors(sheet)
    yield from strategies(sheet)
    yield from equal_seconds(sheet)
    for axis in AXES:
        yield from along(sheet, axis)
    yield from everything(sheet)


def selectors(sheet: Sheet) -> list[Table]:
    """Selectors by M, a table for each of three measures."""
    curves = sheet.curves.selectors()
    if len(curves) < 2:
        return []
    said = f"Selection {sheet.curves.span}"
    tables = []
    for measure in (sheet.names.fid, sheet.second, measures.RECALL):
        columns = [(f"{curve.name}:", curve, measure) for curve in curves]
        name = f"selectors-{measure.key.replace('_', '-')}"
        tables += sheet.joined(name, f"Selectors by M: {measure.name}", None, columns, said)
    return tables


def strategies(sheet: Sheet) -> list[Table]:
    """LSRS beside best-of-N and all other strategies: quality, and what an image takes."""
    others, more = sheet.curves.best_of_n(), sheet.curves.other_strategies()
    if not others and not more:
        return []
    rows = [
        ("plain" if p.plain else f"LSRS M = {p.candidates}", p) for p in sheet.curves.by_candidates().points
    ]
    if not rows and sheet.curves.plain:
        rows = [("plain", sheet.curves.plain)]
    for curve in others:
        rows += [(f"{curve.name} = {p.candidates}", p) for p in curve.points if not p.plain]
    rows += [(point.label, point) for point in more]
    m = measures
    wanted = (*sheet.quality, m.PASSES, m.SCORER_CALLS, m.DECODER_CALLS, m.JUDGED, m.SECONDS)
    heads = {"method": [name for name, _ in rows]}
    said = "best of N judges finished images, the others maps of scales"
    points = [point for _, point in rows]
    if sheet.favours(points):
        said += f"; {FAVOURED}"
    return sheet.listed("strategies", "Strategies", heads, points, wanted, sheet.with_time(said, points))


def along(sheet: Sheet, axis: str) -> list[Table]:
    """Any other axis that varies, for each way to choose."""
    rows = [(name, point) for name, some in sheet.curves.varied(axis).items() for point in some]
    if not rows:
        return []
    name = axis.replace("_", "-")
    heads = {
        "method": [method for method, _ in rows],
        name: [_text(getattr(point.setting, axis)) for _, point in rows],
    }
    return sheet.listed(name, AXES[axis], heads, [point for _, point in rows], sheet.quality)


def everything(sheet: Sheet) -> list[Table]:
    """Every point of the sweep once."""
    points = sheet.results.points
    wanted = (*sheet.quality, measures.VARIANCE, measures.PASSES, measures.SECONDS)
    said, heads = sheet.with_time("", points), {"point": [point.label for point in points]}
    return sheet.listed("points", "All points", heads, points, wanted, said)


def _text(value: object) -> str:
    if value is None:
        return NOTHING
    return f"{value:g}" if isinstance(value, int | float) else str(value)
