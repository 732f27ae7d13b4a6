"""The report of a bench as a table for people."""

from __future__ import annotations

from tts.bench.figures import FEWEST, Estimate
from tts.bench.report import BenchReport, Point

HEADER = (
    *("batch", "M", "ms", "images/s", "overhead ms", "overhead %", "without decoder: ms", "overhead %"),
    *("ms/1000 candidates", "peak MiB", "kernels", "GB", "TFLOP"),
)
FEW = (0, 1, 2, 3, 5, 9)
"""The columns that are shown where not all are asked for."""

NOTHING = "-"
LEGEND = (
    "Medians of a batch, with its decoding where that is timed. overhead: time beyond that of M = 1 in the"
    " same round [95 % interval]; peak MiB: with the weights"
)
MORE = "; ms/1000 candidates: the overhead for 1 000 scored maps; kernels, GB, TFLOP: what a batch takes"


def columns(report: BenchReport, every: bool) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and a row a point: all columns, or those that most people look for."""
    shown = range(len(HEADER)) if every else FEW
    rows = [HEADER, *map(_row, report.points)]
    header, *rest = (tuple(row[column] for column in shown) for row in rows)
    return header, rest


def legend(every: bool) -> str:
    """What the columns are."""
    return f"{LEGEND}{MORE if every else '; --all shows all columns'}."


def footer(report: BenchReport) -> list[str]:
    """Lines below the table: the noise, and how a batch size was found."""
    lines = []
    for batch in report.batches:
        if batch.noise is not None:
            noise = batch.noise.with_decoder or batch.noise.without_decoder
            lines.append(f"M = 1 against itself, batch {batch.batch}: {_percent(noise, plain=False)} %")
    rounds = {len(point.seconds) for point in report.points if point.best}
    if rounds and max(rounds) < FEWEST:
        lines.append(f"fewer than {FEWEST} rounds have no intervals")
    if report.auto is not None:
        lines.append(f"batch {report.auto.batch} was found: {report.auto.stopped}")
    return lines


def _row(point: Point) -> tuple[str, ...]:
    whole, latent, counted, memory = point.best, point.without_decoder, point.counted, point.peak_memory
    head = (str(point.batch), str(point.candidates))
    tail = (
        NOTHING if memory is None else f"{memory.bytes / 2**20:.0f}",
        *((NOTHING,) * 3 if counted is None else _counted(counted.kernels, counted.bytes, counted.flops)),
    )
    if whole is None or latent is None:
        return (*head, "no memory", *(NOTHING,) * 6, *tail)
    plain = point.candidates == 1
    each = whole.ms_per_1000_candidates
    return (
        *head,
        f"{1000 * whole.seconds.median:.1f}",
        f"{whole.images_per_second:.1f}",
        NOTHING if plain else f"{whole.overhead_ms.median:.1f}",
        _percent(whole.overhead_percent, plain),
        f"{1000 * latent.seconds.median:.1f}",
        _percent(latent.overhead_percent, plain),
        NOTHING if each is None else f"{each.median:.2f}",
        *tail,
    )


def _counted(kernels: int, read: int, flops: int) -> tuple[str, str, str]:
    return str(kernels), f"{read / 1e9:.3g}", f"{flops / 1e12:.3g}"


def _percent(value: Estimate, plain: bool) -> str:
    if plain:
        return NOTHING
    if value.low is None or value.high is None:
        return f"{value.median:+.1f}"
    return f"{value.median:+.1f} [{value.low:+.1f}, {value.high:+.1f}]"
