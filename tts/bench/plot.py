"""The paper's figure 6 of a bench: relative time and peak memory over M. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tts.bench.figures import Estimate, Figures
from tts.bench.report import BenchReport, Point
from tts.evaluation.sweep.drawing import PLAIN, Plot, entitle, finish, look, panels, powers_of_two

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WAYS: tuple[tuple[str, Callable[[Point], Figures | None]], ...] = (
    ("with decoder", lambda point: point.with_decoder),
    ("without decoder", lambda point: point.without_decoder),
)


def cost_plot(report: BenchReport) -> Plot | None:
    """Time relative to the plain model, with and without the decoder; draw it within ``style()``."""
    counts = sorted({point.candidates for point in report.points if point.best})
    if len(counts) < 2:
        return None
    remembered = any(point.peak_memory for point in report.points)
    figure, axes = panels(2 if remembered else 1)
    for number, (label, points, way) in enumerate(_lines(report)):
        known = [(point.candidates, found.relative_time) for point in points if (found := way(point))]
        _line(axes[0], label, known, number)
    entitle(axes[0], "time relative to M = 1")
    if remembered:
        _memory(axes[1], report)
    for one in axes:
        powers_of_two(one, counts)
        one.set_ylim(bottom=0)
    axes[-1].set_xlabel("candidates M")
    finish(figure, axes)
    name, device = report.about["backbone"]["name"], report.about["environment"]["device_name"]
    said = f"{name} on {device}; medians over rounds with 95 % intervals; M = 1 is the plain model."
    return Plot("cost", "Time and memory", said, "figure 6", figure)


def _lines(
    report: BenchReport,
) -> Iterator[tuple[str, tuple[Point, ...], Callable[[Point], Figures | None]]]:
    """A line a batch size, with and without the decoder where it was timed."""
    for batch in report.batches:
        for words, way in WAYS:
            if any(way(point) for point in batch.points):
                prefix = f"batch {batch.batch}, " if len(report.batches) > 1 else ""
                yield prefix + words, batch.points, way


def _line(axes: Axes, label: str, known: list[tuple[int, Estimate]], number: int) -> None:
    xs, medians = [m for m, _ in known], [found.median for _, found in known]
    below = [0.0 if found.low is None else max(0.0, found.median - found.low) for _, found in known]
    above = [0.0 if found.high is None else max(0.0, found.high - found.median) for _, found in known]
    axes.errorbar(xs, medians, [below, above], label=label, **look(number))


def _memory(axes: Axes, report: BenchReport) -> None:
    for number, batch in enumerate(report.batches):
        known = [(p.candidates, p.peak_memory.bytes / 2**20) for p in batch.points if p.peak_memory]
        style = look(2 * number) if len(report.batches) > 1 else {**look(number), "color": PLAIN}
        label = f"memory, batch {batch.batch}" if len(report.batches) > 1 else None
        axes.plot([m for m, _ in known], [mib for _, mib in known], label=label, linestyle="--", **style)
    entitle(axes, "peak memory with weights, MiB")
