"""The tables of the LSRS paper from a sweep; each is made only where its points were measured.

M candidates, ST the first scale with selection, k of top-k selection.
"""

from __future__ import annotations

from collections.abc import Iterator

from tts.evaluation.sweep import measures
from tts.evaluation.sweep.curves import Curve
from tts.evaluation.sweep.measures import Measure, decimals_for, signed
from tts.evaluation.sweep.reading import ResultPoint
from tts.evaluation.sweep.sheet import Sheet, candidates_text, relative
from tts.evaluation.sweep.tables import NOTHING, Column, Table, make_table

STEPS = Measure(measures.PASSES.key, "steps", exact=True)


def paper_tables(sheet: Sheet) -> Iterator[Table]:
    """All of them, in the order of the paper's tables and figures."""
    yield from main(sheet)
    yield from losses(sheet)
    yield from first_scale(sheet)
    yield from by_candidates(sheet)
    yield from by_start(sheet)
    yield from parts(sheet)
    yield from top_k(sheet)
    yield from accuracy_by_scale(sheet)
    yield from cost(sheet)


def main(sheet: Sheet) -> list[Table]:
    """Tables 1 and 4: the plain model and each M of the usual selection."""
    curve, plain = sheet.curves.by_candidates(), sheet.curves.plain
    if plain is None or len(curve.x) < 2:
        return []
    points = curve.points
    names = [sheet.results.base.backbone if p.plain else f"+ LSRS M = {p.candidates}" for p in points]
    m = measures
    quality = (sheet.names.fid, m.INCEPTION, m.PRECISION, m.RECALL, m.ACCURACY)
    columns = [
        Column("model", tuple(names)),
        *(Column.of(measure, points) for measure in quality),
        Column("parameters", tuple(_parameters(sheet, point) for point in points)),
        Column.of(STEPS, points),
        Column("time", tuple(relative(point, plain) for point in points)),
    ]
    said = f"{sheet.rule}; steps are transformer passes an image, time is relative to the plain model"
    caption = sheet.caption(points, sheet.with_time(said, points))
    return [make_table("main", "Comparison with the plain model", caption, "tables 1 and 4", columns)]


def _parameters(sheet: Sheet, point: ResultPoint) -> str:
    """Weights of the transformer, and of the scorer where there is one."""
    analysis = sheet.analysis
    if analysis is None or analysis.parameters is None:
        return NOTHING
    own = _count(analysis.parameters)
    sizes = {scorer.text: scorer.parameters for scorer in analysis.scorers}
    scorer = point.setting.scorer
    return f"{own} + {_count(sizes[scorer])}" if scorer in sizes else own


def _count(parameters: int) -> str:
    """A number of weights in three digits: ``310M``."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if parameters >= size:
            return f"{parameters / size:.3g}{unit}"
    return str(parameters)


def losses(sheet: Sheet) -> list[Table]:
    """Table 2: scorers, trained with different losses for example, by M."""
    curves = sheet.curves.scorers()
    if len(curves) < 2:
        return []
    wanted = (sheet.names.fid, measures.INCEPTION, sheet.names.sfid)
    columns = [(f"{sheet.scorer_name(curve)}:", curve, measure) for curve in curves for measure in wanted]
    return sheet.joined("losses", "Scorers by M", "table 2", columns, sheet.rule)


def first_scale(sheet: Sheet) -> list[Table]:
    """Table 3: M with selection at the first scale too, beside the plain model."""
    curve, plain = sheet.curves.by_candidates(start_scale=1), sheet.curves.plain
    measure = sheet.names.fid
    reference = plain.mean(measure.key) if plain else None
    if reference is None or len(curve.x) < 2:
        return []
    means = [point.mean(measure.key) for point in curve.points]
    decimals = decimals_for(measure, [mean for mean in means if mean is not None])
    changes = [
        NOTHING if point.plain or mean is None else signed(mean - reference, decimals)
        for point, mean in zip(curve.points, means, strict=True)
    ]
    columns = [
        Column("M", tuple(map(candidates_text, curve.x))),
        Column.of(measure, curve.points),
        Column("against plain", tuple(changes)),
        *(Column.of(other, curve.points) for other in sheet.quality[1:]),
    ]
    caption = sheet.caption(curve.points, "the first scale, of one token, is selected too")
    return [make_table("first-scale", "M at ST = 1", caption, "table 3", columns)]


def by_candidates(sheet: Sheet) -> list[Table]:
    """Table 5: M at the usual ST."""
    curve, start = sheet.curves.by_candidates(), sheet.curves.usual["start_scale"]
    text = ("M", candidates_text)
    return sheet.by_curve("m", f"M at ST = {start}", "table 5", curve, text, sheet.quality, sheet.rule)


def by_start(sheet: Sheet) -> list[Table]:
    """Table 6: ST at the largest M among those with the most values of it."""
    curves = sheet.curves.starts()
    if not curves:
        return []
    best = max(curves, key=lambda curve: (len(curve.x), curve.points[0].candidates or 0))
    plain = sheet.curves.plain
    curve = Curve(best.name, (plain, *best.points), (0.0, *best.x)) if plain else best
    text = ("ST", lambda x: f"{x:g}" if x else "plain")
    said = f"selection from scale ST on, {best.name}"
    return sheet.by_curve("st", f"ST at {best.name}", "table 6", curve, text, sheet.quality, said)


def parts(sheet: Sheet) -> list[Table]:
    """Table 7: the parts of the Frechet distance by M."""
    curve, title = sheet.curves.by_candidates(), sheet.results.title
    traces = [trace for p in curve.points if (trace := p.mean("trace_reference")) is not None]
    if not traces:
        return []
    said = f"{title} = ‖μr − μg‖² + trace term; Tr(Σr) = {traces[0]:.3f}; {sheet.rule}"
    name, text = f"Parts of the {title} by M", ("M", candidates_text)
    return sheet.by_curve("parts", name, "table 7", curve, text, sheet.names.parts, said)


def top_k(sheet: Sheet) -> list[Table]:
    """Tables 8 and 9: k of top-k selection, a table for each M."""
    tables = []
    for curve in sheet.curves.top_ks():
        m = curve.points[0].candidates
        said = f"a draw from the k highest scores by their softmax, M = {m}; k = 1 is greedy selection"
        name, text = f"Top-k selection at M = {m}", ("k", lambda x: f"{x:g}")
        tables += sheet.by_curve(f"top-k-m{m}", name, "tables 8 and 9", curve, text, sheet.quality, said)
    return tables


def accuracy_by_scale(sheet: Sheet) -> list[Table]:
    """Table 10: how often each scorer prefers the real map, scale by scale."""
    analysis = sheet.analysis
    if analysis is None or not analysis.judged:
        return []
    shares = [
        [100 * share if k in scorer.scales else None for k, share in enumerate(judgement.accuracy, 1)]
        for scorer, judgement in analysis.judged
    ]
    columns = [Column("scale", tuple(str(k + 1) for k in range(len(shares[0]))))]
    for (scorer, _), column in zip(analysis.judged, shares, strict=True):
        texts = (NOTHING if share is None else f"{share:.1f}" for share in column)
        columns.append(Column(f"{scorer.name} (%)", tuple(texts)))
    if len(shares) == 2:
        changes = (
            NOTHING if first is None or second is None else signed(second - first, 1)
            for first, second in zip(*shares, strict=True)
        )
        columns.append(Column("change", tuple(changes)))
    caption = (
        f"Share of same-class pairs whose real map has the higher score, {analysis.real} real maps"
        f" ({analysis.reference}) and {analysis.generated} generated ones; 50 % is chance, – is a scale"
        " that the scorer was not trained on."
    )
    return [make_table("scorers", "Accuracy of scorers by scale", caption, "table 10", columns)]


def cost(sheet: Sheet) -> list[Table]:
    """Figure 6: time and memory by M."""
    wanted = (measures.SECONDS, measures.MEMORY, measures.PASSES, measures.SCORER_CALLS)
    curve, text = sheet.curves.by_candidates(), ("M", candidates_text)
    said = sheet.with_time(sheet.rule, curve.points)
    return sheet.by_curve("cost", "Time and memory by M", "figure 6", curve, text, wanted, said)
