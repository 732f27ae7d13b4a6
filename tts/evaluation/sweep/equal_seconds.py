"""Best-of-N beside LSRS at equal seconds.

M candidates of LSRS, N whole images of best-of-N. Each M meets the smallest measured N that takes at least as
long, so that what is left over is in favour of best-of-N.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tts.evaluation.sweep.curves import Curve
from tts.evaluation.sweep.measures import Measure, decimals_for
from tts.evaluation.sweep.reading import ResultPoint
from tts.evaluation.sweep.sheet import FAVOURED, Sheet, relative
from tts.evaluation.sweep.tables import NOTHING, Column, Table, best_rows, make_table, number

NAME, TITLE = "equal-seconds", "Best-of-N against LSRS at equal seconds"

Rivals = Sequence[ResultPoint | None]


def equal_seconds(sheet: Sheet) -> Iterator[Table]:
    """A table for each judge of whole images, where both strategies and the plain model were measured."""
    plain, curves = sheet.curves.plain, sheet.curves.best_of_n()
    ours = [point for point in sheet.curves.by_candidates().points if not point.plain]
    if plain is None or not ours:
        return
    for place, curve in enumerate(curves, 1):
        several = len(curves) > 1
        name, title = f"{NAME}-{place}" if several else NAME, f"{TITLE}: {curve.name}" if several else TITLE
        yield _table(sheet, name, title, plain, ours, curve)


def _table(
    sheet: Sheet, name: str, title: str, plain: ResultPoint, ours: list[ResultPoint], curve: Curve
) -> Table:
    rivals = [rival(point, curve.points, plain) for point in ours]
    pairs = [_pair(ours, rivals, measure) for measure in (sheet.names.fid, sheet.second)]
    columns = [
        Column("LSRS M", tuple(str(point.candidates) for point in ours)),
        Column("time", tuple(relative(point, plain) for point in ours)),
        *(mine for mine, _ in pairs),
        Column("best of N", tuple(str(p.candidates) if p else NOTHING for p in rivals)),
        Column("time", tuple(relative(p, plain) if p else NOTHING for p in rivals)),
        *(theirs for _, theirs in pairs),
    ]
    return make_table(
        name, title, _caption(sheet, plain, ours, curve.points), None, columns, heads=len(columns)
    )


def rival(point: ResultPoint, others: Sequence[ResultPoint], plain: ResultPoint) -> ResultPoint | None:
    """The point with the smallest N, above 1, that takes at least as long; ``others`` come by rising N."""
    cost = point.time_by(plain)
    if cost is None:
        return None
    timed = [(other, other.time_by(plain)) for other in others if not other.plain]
    return next((other for other, time in timed if time is not None and time >= cost), None)


def _pair(ours: Rivals, theirs: Rivals, measure: Measure) -> tuple[Column, Column]:
    """A figure of both sides with equal decimals; the better of each row is marked."""
    found = [[number(point, measure) for point in side] for side in (ours, theirs)]
    decimals = decimals_for(measure, [one.mean for side in found for one in side if one])
    best: tuple[list[int], list[int]] = ([], [])
    for row, both in enumerate(zip(*found, strict=True)):
        means = [round(one.mean, decimals) if one else None for one in both]
        for side in best_rows(measure, means):
            best[side].append(row)
    mine, others = (
        Column(measure.header, tuple(one.text(decimals) if one else NOTHING for one in side), tuple(rows))
        for side, rows in zip(found, best, strict=True)
    )
    return mine, others


def _caption(sheet: Sheet, plain: ResultPoint, ours: list[ResultPoint], others: Sequence[ResultPoint]) -> str:
    points = [plain, *ours, *others]
    figures = []
    for measure in (sheet.names.fid, sheet.second):
        if found := number(plain, measure):
            unit = f" {measure.unit}" if measure.unit else ""
            figures.append(f"{measure.name} {found.text(decimals_for(measure, [found.mean]))}{unit}")
    said = [
        f"LSRS is {sheet.rule}, and beside it stands the smallest measured N of best-of-N that takes at least"
        " as long, in favour of best-of-N",
        *([FAVOURED] if sheet.favours(others) else []),
        "times are relative to the plain model",
        *([f"plain: {', '.join(figures)}"] if figures else []),
    ]
    note = sheet.note(points, bold="the better side of a row")
    return f"{sheet.with_time('; '.join(said), points)}; {note}."
