"""A sweep in one table: every point with its figures over seed sets and what an image costs."""

from __future__ import annotations

from dataclasses import replace

from tts.evaluation.sweep.curves import Curves
from tts.evaluation.sweep.measures import (
    ACCURACY,
    ARROWS,
    DECODER_CALLS,
    INCEPTION,
    JUDGED,
    PASSES,
    PRECISION,
    RECALL,
    SCORER_CALLS,
    SECONDS,
    Measure,
    Names,
)
from tts.evaluation.sweep.reading import ResultPoint, Results
from tts.evaluation.sweep.sheet import Sheet, relative
from tts.evaluation.sweep.tables import NOTHING, Column, Table, make_table


def overview(results: Results) -> Table:
    """A row a point; columns without any figure are left out."""
    points, names = results.points, Names(results.title)
    measures: tuple[tuple[str, Measure], ...] = (
        (names.fid.name, names.fid),
        (names.sfid.name, names.sfid),
        ("IS", INCEPTION),
        ("ACCURACY %", ACCURACY),
        ("PRECISION", PRECISION),
        ("RECALL", RECALL),
        ("S/1000", SECONDS),
    )
    counts = (("PASSES", PASSES), ("SCORED", SCORER_CALLS), ("DECODED", DECODER_CALLS), ("JUDGED", JUDGED))
    columns = [
        Column("POINT", tuple(point.label for point in points)),
        Column("SETS", tuple(str(len(point.sets)) for point in points)),
        *(replace(Column.of(measure, points), title=_headed(title, measure)) for title, measure in measures),
        *(_counts(title, measure, points) for title, measure in counts),
    ]
    caption = (
        f"Means over seed sets of {results.images} images, ± sample standard deviation; ↓ lower is better,"
        " ↑ higher. S/1000: seconds for"
        " 1 000 images; PASSES, SCORED, DECODED, JUDGED: transformer passes, maps scored, images decoded and"
        " images judged for one image."
    )
    return make_table("overview", "All points", caption, None, columns, heads=2)


def _headed(title: str, measure: Measure) -> str:
    return f"{title} {ARROWS[measure.better]}" if measure.better else title


def timings(results: Results) -> Table:
    """A row a timed point: its time in that of the plain model's, and seconds for 1 000 images."""
    points = [point for point in results.points if point.rounds]
    plain = Curves(results).plain
    columns = [
        Column("POINT", tuple(point.label for point in points)),
        Column("TIME", tuple(relative(point, plain) if plain else NOTHING for point in points)),
        replace(Column.of(SECONDS, points), title="S/1000"),
    ]
    caption = Sheet(results).with_time("TIME is relative to the plain model", points)
    return make_table("timings", "Times", f"{caption}.", None, columns)


def _counts(title: str, measure: Measure, points: tuple[ResultPoint, ...]) -> Column:
    """What does not vary over seed sets; left out where all points need none."""
    means = [point.mean(measure.key) for point in points]
    used = any(means)
    return Column(title, tuple(f"{mean:g}" if used and mean is not None else NOTHING for mean in means))
