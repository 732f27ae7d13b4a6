"""How plots look, and how they are written: clear on a phone, safe for colour-blind eyes, equal bytes.

Needs matplotlib (extra ``demo``), which is imported where it is used; no global state of it is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts.evaluation.sweep.curves import Curve
from tts.evaluation.sweep.measures import Measure
from tts.evaluation.sweep.reading import ResultPoint
from tts.evaluation.sweep.tables import number
from tts.io import atomic_path, make_folder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
"""Okabe and Ito's colours, which all kinds of eyes tell apart; markers differ as well."""

MARKERS = "osD^vPX"
PLAIN = "#333333"
WIDTH, PANEL, LEGEND = 6.0, 3.3, 0.75
"""Inches: the width of a plot, the height of a panel, and of what stands around the panels."""

DOTS = 150
BASELINES = ("plain", "chance")
"""Dashed lines, which come last in a legend."""

NEAR = (20, 15)
"""Points across and down (of 1/72 inch) within which a second number would hide the first one."""

STYLE: Any = {
    "font.size": 13,
    "axes.labelsize": 13,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.35,
    "lines.linewidth": 2,
    "lines.markersize": 7,
    "errorbar.capsize": 3,
    "legend.frameon": False,
    "legend.fontsize": 12,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "savefig.dpi": DOTS,
    "svg.fonttype": "path",
    "svg.hashsalt": "scalewise-tts",
}


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


@contextmanager
def style() -> Iterator[None]:
    """The style of all plots, for as long as they are drawn and written."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


@dataclass(frozen=True)
class Plot:
    """A drawn figure; ``paper`` names the figure of the LSRS paper that it corresponds to."""

    name: str
    title: str
    caption: str
    paper: str | None
    figure: Figure

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write ``plots/NAME.svg`` and ``plots/NAME.png`` below a folder, without dates."""
        make_folder(folder / "plots")
        vector, raster = (folder / "plots" / f"{self.name}.{kind}" for kind in ("svg", "png"))
        with style():
            for path, kind, said in (
                (vector, "svg", {"Date": None, "Creator": None, "Title": self.title}),
                (raster, "png", {"Software": None}),
            ):
                with atomic_path(path) as temporary:
                    self.figure.savefig(temporary, format=kind, metadata=said)
        return vector, raster


def panels(count: int) -> tuple[Figure, list[Axes]]:
    """A figure of panels, one below the other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, PANEL * count + LEGEND))
    return figure, list(figure.subplots(count, 1, squeeze=False)[:, 0])


def look(number: int) -> dict[str, Any]:
    """Colour and marker of the n-th line, which is thinner than those before it, so that all can be seen."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linewidth": max(1.4, 3.0 - 0.5 * number),
        "markersize": max(5, 9 - 1.2 * number),
    }


def entitle(axes: Axes, text: str) -> None:
    """What a panel shows, above it: a name along the axis would be too long for a phone."""
    axes.set_title(text, loc="left", fontsize=13)


def draw_curves(axes: Axes, curves: Sequence[Curve], measure: Measure) -> None:
    """A line a curve with error bars, over ``x``; points without the figure are left out."""
    for i, curve in enumerate(curves):
        known = [
            (x, found)
            for x, point in zip(curve.x, curve.points, strict=True)
            if (found := number(point, measure))
        ]
        if known:
            spreads = [found.spread for _, found in known]
            bars = None if None in spreads else [spread or 0.0 for spread in spreads]
            xs, means = [x for x, _ in known], [found.mean for _, found in known]
            axes.errorbar(xs, means, bars, label=curve.name, **look(i))
    entitle(axes, measure.axis)


def draw_plain(axes: Axes, plain: ResultPoint | None, measure: Measure) -> None:
    """The plain model as a dashed line, with its spread as a band."""
    found = number(plain, measure)
    if found is None:
        return
    axes.axhline(found.mean, color=PLAIN, linestyle="--", linewidth=1.6, label="plain", zorder=1)
    if found.spread:
        axes.axhspan(
            found.mean - found.spread, found.mean + found.spread, color=PLAIN, alpha=0.12, linewidth=0
        )


def powers_of_two(axes: Axes, xs: Sequence[float]) -> None:
    """A log2 axis with a tick at each value."""
    axes.set_xscale("log", base=2)
    values = sorted(set(xs))
    axes.set_xticks(values, [f"{x:g}" for x in values])
    axes.minorticks_off()


def finish(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend below all panels, of every name once."""
    named: dict[str, Any] = {}
    for one in axes:
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    if named:
        labels = sorted(named, key=lambda label: label in BASELINES)
        columns = 3 if max(map(len, labels)) < 14 else 2
        handles = [named[label] for label in labels]
        figure.legend(handles, labels, loc="outside lower center", ncols=min(columns, len(labels)))
