"""The plots of a sweep; each is drawn only where its points were measured. Needs matplotlib.

M candidates, N whole images, ST the first scale with selection, k of top-k selection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tts.evaluation.sweep import measures
from tts.evaluation.sweep.curves import Curve
from tts.evaluation.sweep.drawing import (
    COLOURS,
    NEAR,
    PLAIN,
    Plot,
    draw_curves,
    draw_plain,
    entitle,
    finish,
    panels,
    powers_of_two,
)
from tts.evaluation.sweep.measures import Measure
from tts.evaluation.sweep.own_tables import AXES
from tts.evaluation.sweep.sheet import Sheet
from tts.evaluation.sweep.tables import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NUMERIC = ("cfg", "top_k", "top_p", "temperature", "end_scale")
"""Further axes of a sweep that are numbers."""

BARS = "error bars: sample standard deviation over seed sets"


def all_plots(sheet: Sheet) -> Iterator[Plot]:
    """All of them; draw and write them within ``style()``."""
    for make in (by_candidates, by_start, scorers, by_k, cost, parts, compute):
        yield from make(sheet)
    for axis in NUMERIC:
        yield from along(sheet, axis)


def by_candidates(sheet: Sheet) -> list[Plot]:
    """Figure 3, left: quality against M, a line a selector."""
    curves = sheet.curves.selectors()
    said = f"M candidates at each scale {sheet.curves.span}; M = 1 is the plain model"
    return _against(sheet, "m", "Quality against M", said, "figure 3", curves, "candidates M", log=True)


def by_start(sheet: Sheet) -> list[Plot]:
    """Figure 3, right: quality against ST, a line an M."""
    curves = sheet.curves.starts()
    said = "Selection from scale ST to the last one"
    return _against(sheet, "st", "Quality against ST", said, "figure 3", curves, "first scale ST")


def scorers(sheet: Sheet) -> list[Plot]:
    """Table 2 as curves: quality against M, a line a scorer."""
    curves = [Curve(sheet.scorer_name(c), c.points, c.x) for c in sheet.curves.scorers()]
    if len(curves) < 2:
        return []
    name, said = "Scorers against M", sheet.rule[0].upper() + sheet.rule[1:]
    return _against(sheet, "scorers-m", name, said, "table 2", curves, "candidates M", log=True)


def by_k(sheet: Sheet) -> list[Plot]:
    """Tables 8 and 9 as curves: quality against k of top-k selection, a line an M."""
    curves = sheet.curves.top_ks()
    said = "A draw from the k highest scores by their softmax; k = 1 is greedy selection"
    name = "Quality against k"
    return _against(sheet, "k", name, said, "tables 8 and 9", curves, "k of top-k selection", log=True)


def along(sheet: Sheet, axis: str) -> list[Plot]:
    """Any other numeric axis, a line a way to choose."""
    curves = sheet.curves.along(axis)
    title = f"Quality against {axis.replace('_', '-')}"
    return _against(sheet, axis.replace("_", "-"), title, AXES[axis], None, curves, axis, plain=False)


def _against(
    sheet: Sheet,
    name: str,
    title: str,
    said: str,
    paper: str | None,
    curves: Sequence[Curve],
    x_title: str,
    log: bool = False,
    plain: bool = True,
) -> list[Plot]:
    """Two panels over a common axis: the Frechet distance, and accuracy or IS."""
    points = [point for curve in curves for point in curve.points]
    wanted = [
        measure for measure in (sheet.names.fid, sheet.second) if sheet.results.has(measure.key, points)
    ]
    if not any(len(curve.x) > 1 for curve in curves) or not wanted:
        return []
    figure, axes = panels(len(wanted))
    for one, measure in zip(axes, wanted, strict=True):
        draw_curves(one, curves, measure)
        if plain:
            draw_plain(one, sheet.curves.plain, measure)
        xs = [x for curve in curves for x in curve.x]
        if log:
            powers_of_two(one, xs)
        elif len(set(xs)) <= 12:
            one.set_xticks(sorted(set(xs)), [f"{x:g}" for x in sorted(set(xs))])
    axes[-1].set_xlabel(x_title)
    finish(figure, axes)
    return [Plot(name, title, f"{said}; {_dashes(sheet, plain)}{BARS}.", paper, figure)]


def _dashes(sheet: Sheet, plain: bool) -> str:
    return "dashed: the plain model; " if plain and sheet.curves.plain else ""


def cost(sheet: Sheet) -> list[Plot]:
    """Figure 6: time and peak memory against M or N."""
    curves = [
        curve for curve in (sheet.curves.by_candidates(), *sheet.curves.best_of_n()) if len(curve.x) > 1
    ]
    points = [point for curve in curves for point in curve.points]
    wanted = [m for m in (measures.SECONDS, measures.MEMORY) if sheet.results.has(m.key, points)]
    if not wanted:
        return []
    figure, axes = panels(len(wanted))
    for one, measure in zip(axes, wanted, strict=True):
        draw_curves(one, curves, measure)
        powers_of_two(one, [x for curve in curves for x in curve.x])
        one.set_ylim(bottom=0, top=1.1 * max(max(p.values(measure.key), default=0) for p in points))
    axes[-1].set_xlabel("candidates M" + (", images N" if len(curves) > 1 else ""))
    finish(figure, axes)
    said = f"{sheet.rule}; 1 is the plain model; memory includes the weights; {BARS}"
    said = f"{sheet.with_time(said, points)}."
    return [Plot("cost", "Time and memory", said[0].upper() + said[1:], "figure 6", figure)]


def parts(sheet: Sheet) -> list[Plot]:
    """Table 7 as bars: the two parts of the Frechet distance by M, and the spread of the features."""
    curve = sheet.curves.by_candidates()
    points = [p for p in curve.points if p.values("trace_term") and p.values("mean_diff2")]
    if len(points) < 2:
        return []
    figure, (upper, lower) = panels(2)
    places = range(len(points))
    base = [0.0] * len(points)
    for measure, colour, hatch in ((_TRACE, COLOURS[0], None), (_MEAN, COLOURS[4], "//")):
        heights = [point.mean(measure.key) or 0.0 for point in points]
        upper.bar(
            places, heights, bottom=base, color=colour, hatch=hatch, label=measure.name, edgecolor="white"
        )
        base = [below + height for below, height in zip(base, heights, strict=True)]
    entitle(upper, sheet.names.fid.axis)
    lower.errorbar(
        places,
        [point.mean("trace_samples") or 0.0 for point in points],
        [point.spread("trace_samples") or 0.0 for point in points],
        color=COLOURS[2],
        marker="o",
        label="generated, Tr(Σg)",
    )
    reference = points[0].mean("trace_reference") or 0.0
    lower.axhline(reference, color=PLAIN, linestyle="--", linewidth=1.6, label="reference, Tr(Σr)")
    entitle(lower, "total variance of the features")
    lower.set_xlabel("candidates M")
    for axes in (upper, lower):
        axes.set_xticks(places, [str(point.candidates) for point in points])
        axes.grid(axis="x", visible=False)
    finish(figure, (upper, lower))
    title = sheet.results.title
    said = f"Above: {title} = trace term + ‖μr − μg‖². Below: total variance of the features; {BARS}."
    return [Plot("parts", f"Parts of the {title} against M", said, "table 7", figure)]


_TRACE = Measure("trace_term", "trace term")
_MEAN = Measure("mean_diff2", "‖μr − μg‖²")


def compute(sheet: Sheet) -> list[Plot]:
    """Quality against what an image takes, for both strategies."""
    curves = [
        curve for curve in (sheet.curves.by_candidates(), *sheet.curves.best_of_n()) if len(curve.x) > 1
    ]
    points = [point for curve in curves for point in curve.points]
    costs = [measures.SECONDS, measures.PASSES][: 1 + (len(curves) > 1)]  # LSRS has the same passes for all M
    wanted = [measure for measure in costs if sheet.results.has(measure.key, points)]
    if not wanted or not sheet.results.has("fid", points):
        return []
    figure, axes = panels(len(wanted))
    for one, measure in zip(axes, wanted, strict=True):
        trails = [trail for curve in curves if (trail := _by_cost(curve, measure)).points]
        draw_curves(one, trails, sheet.names.fid)
        xs = [x for trail in trails for x in trail.x]
        if max(xs) > 3 * min(xs):
            one.set_xscale("log", base=2)
            one.xaxis.set_major_formatter("{x:g}")
        one.margins(0.08)
        one.set_xlabel(measure.name)
        _say_candidates(one, trails, sheet.names.fid)
    finish(figure, axes)
    said = f"The number at a point is its M or N, 1 the plain model; {sheet.rule}; {BARS}"
    return [Plot("compute", "Quality against compute", f"{sheet.with_time(said, points)}.", None, figure)]


def _by_cost(curve: Curve, measure: Measure) -> Curve:
    """The same points, still by M, over what they cost."""
    known = [(p, found.mean) for p in curve.points if (found := number(p, measure))]
    return Curve(curve.name, tuple(p for p, _ in known), tuple(x for _, x in known))


def _say_candidates(axes: Axes, trails: Sequence[Curve], measure: Measure) -> None:
    """Write M beside each point that has room for it."""
    taken: list[tuple[float, float]] = []
    unit = axes.figure.get_dpi() / 72
    points = ((x, p) for trail in trails for x, p in zip(trail.x, trail.points, strict=True))
    for x, point in points:
        found = number(point, measure)
        if found is None:
            continue
        place = (x, found.mean)
        across, down = (float(value) / unit for value in axes.transData.transform(place))
        if any(abs(across - a) < NEAR[0] and abs(down - b) < NEAR[1] for a, b in taken):
            continue
        taken.append((across, down))
        axes.annotate(str(point.candidates), place, (6, 6), textcoords="offset points", fontsize=10)
