"""``tts eval``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tts_cli import options
from tts_cli.output import print_json, print_table

HEADER = ("RUN", "IMAGES", "FRECHET", "ACCURACY", "VARIANCE", "IMAGES/S", "OVERHEAD")


def evaluate(
    runs: Annotated[
        list[Path], typer.Argument(help="Output folders of `tts sample`; the first is the base.")
    ],
    reference: Annotated[str, typer.Option(help="Real digits: heldout, train or all.")] = "heldout",
    as_json: options.Json = False,
) -> None:
    """Compare runs on handwritten digits: Frechet distance, class accuracy, diversity and speed.

    \b
    Examples:
      tts eval samples/baseline samples/greedy
      tts eval samples/baseline samples/greedy --reference all --json
    """
    from tts.evaluation.runs import evaluate_runs

    figures = evaluate_runs(runs, reference)
    if as_json:
        print_json([asdict(row) for row in figures])
        return
    rows = [
        (
            row.run,
            str(row.images),
            f"{row.frechet:.3f}",
            f"{row.accuracy:.3f}",
            f"{row.variance:.2f}",
            "-" if row.images_per_second is None else f"{row.images_per_second:.0f}",
            "-" if row.overhead is None else f"{row.overhead:+.0%}",
        )
        for row in figures
    ]
    print_table(HEADER, rows)
