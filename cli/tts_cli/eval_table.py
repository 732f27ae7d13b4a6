"""The table of ``tts eval``: a row a set of images, without the columns in which nothing stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tts_cli.output import print_table

if TYPE_CHECKING:
    from tts.evaluation.eval_result import Evaluation, RunFigures

NONE = "-"
PARTS_OF_DIGITS = ("heldout", "train", "all")

# Column, figure, digits after the point; the first three are named after the features' distance.
DISTANCES = (("{} ↓", "fid", 3), ("{}-INF ↓", "fid_infinity", 3), ("s{} ↓", "sfid", 3))
PARTS = (
    ("MEAN-DIFF2", "mean_diff2", 3),
    ("TRACE-REF", "trace_reference", 3),
    ("TRACE-GEN", "trace_samples", 3),
    ("2TR-SQRT", "two_trace_sqrt", 3),
)
REST = (
    ("IS ↑", "inception_score", 2),
    ("IS-1 ↑", "inception_score_single", 2),
    ("IS-INF ↑", "inception_score_infinity", 2),
    ("PRECISION ↑", "precision", 4),
    ("RECALL ↑", "recall", 4),
    ("ACCURACY ↑", "accuracy", 3),
    ("VARIANCE", "variance", 2),
)


def show_evaluation(found: Evaluation, parts: bool) -> None:
    """Print the figures of all sets."""
    named = tuple((title.format(found.title), name, digits) for title, name, digits in DISTANCES)
    columns: list[tuple[str, list[str]]] = [
        ("RUN", [run.run for run in found.runs]),
        ("IMAGES", [str(run.figures.images) for run in found.runs]),
    ]
    for title, name, digits in named + (PARTS if parts else ()) + REST:
        columns.append((title, [_figure(run, name, digits) for run in found.runs]))
    columns.append(("IMAGES/S", [_number(run.images_per_second, "{:.4g}") for run in found.runs]))
    columns.append(("OVERHEAD", [_number(run.overhead, "{:+.0%}") for run in found.runs]))
    kept = [(title, cells) for title, cells in columns if set(cells) != {NONE}]
    rows = list(zip(*(cells for _, cells in kept), strict=True))
    print_table([title for title, _ in kept], rows, _legend(found, {title.split()[0] for title, _ in kept}))


def _legend(found: Evaluation, shown: set[str]) -> str:
    """What the columns are, and what the images were compared with."""
    reference, title = found.reference, found.title
    count = f"{reference['images']} images" if reference["images"] else "stored statistics"
    what = f"{'real digits, ' if reference['text'] in PARTS_OF_DIGITS else ''}{reference['text']} ({count})"
    said = {
        title: f"{title}: Frechet distance of {found.features.get('name')} features",
        f"{title}-INF": "-INF: at infinitely many images",
        f"s{title}": f"s{title}: of an earlier layer",
        "IS": "IS: Inception Score",
        "IS-1": "IS-1: of all images as one part",
        "VARIANCE": "VARIANCE: of the features within a class",
        "OVERHEAD": f"OVERHEAD: time beyond that of {found.runs[0].run}",
    }
    parts = [text for column, text in said.items() if column in shown]
    if any(run.figures.intervals for run in found.runs):
        parts.append(
            f"[low, high]: {found.options.confidence:.0%} interval for other images of the same model"
        )
    return f"Against {what}; ↓ lower is better, ↑ higher. {'; '.join(parts)}."


def _figure(run: RunFigures, name: str, digits: int) -> str:
    """A figure, with its interval where there is one."""
    text = _number(getattr(run.figures, name), f"{{:.{digits}f}}")
    if name not in run.figures.intervals:
        return text
    low, high = run.figures.intervals[name]
    return f"{text} [{low:.{digits}f}, {high:.{digits}f}]"


def _number(value: float | None, form: str) -> str:
    return NONE if value is None else form.format(value)
