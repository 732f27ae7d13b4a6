"""The differences of two sweeps as a table."""

from __future__ import annotations

from tts.evaluation.paired import FEWEST
from tts.evaluation.sweep.against import Comparison, Difference
from tts.evaluation.sweep.measures import (
    ACCURACY,
    INCEPTION,
    PRECISION,
    RECALL,
    SECONDS,
    VARIANCE,
    Measure,
    Names,
    decimals_for,
    signed,
)
from tts.evaluation.sweep.tables import NOTHING, Column, Table, make_table


def comparison_table(found: Comparison) -> Table:
    """A row a pair: the difference of each figure, with its 95 % interval where there are enough sets."""
    names = Names(found.title)
    measures = (names.fid, names.sfid, INCEPTION, ACCURACY, PRECISION, RECALL, VARIANCE, SECONDS)
    columns = [
        Column("point", tuple(pair.label for pair in found.pairs)),
        Column("against", tuple(pair.other_label for pair in found.pairs)),
        Column("sets", tuple(str(len(pair.seed_sets)) for pair in found.pairs)),
        *(_column(found, measure) for measure in measures),
    ]
    apart = "; ".join(f"{name} {a} against {b}" for name, (a, b) in found.apart.items())
    caption = (
        "Differences (this minus the other) of pairs of points with the same noise: mean over the common seed"
        f" sets [95 % interval of the mean, of skewed differences too, from {FEWEST} sets on]. Seconds are"
        " those of the measuring processes." + (f" The sweeps differ in {apart}." if apart else "")
    )
    title = f"Against {found.other}"
    return make_table(f"against-{found.name}", title, caption, None, columns, heads=3)


def _column(found: Comparison, measure: Measure) -> Column:
    known = [pair.differences.get(measure.key) for pair in found.pairs]
    sizes = [one.mean * measure.factor for one in known if one]
    decimals = decimals_for(measure, sizes)
    texts = tuple(_text(one, measure.factor, decimals) if one else NOTHING for one in known)
    unit = f" ({measure.unit})" if measure.unit else ""
    return Column(f"Δ {measure.name}{unit}", texts)


def _text(one: Difference, factor: float, decimals: int) -> str:
    mean = signed(one.mean * factor, decimals)
    if one.low is None or one.high is None:
        return mean
    return f"{mean} [{signed(one.low * factor, decimals)}, {signed(one.high * factor, decimals)}]"
