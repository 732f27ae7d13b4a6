"""``tts report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tts_cli import options
from tts_cli.output import echo, print_json


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Output folder of `tts sweep`, `sample`, `train-scorer` or `tune`."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="HTML file. Default: report.html in the folder.")] = None,
    as_json: options.Json = False,
) -> None:
    """Make one HTML page of a result, with all tables, plots, images and settings; it opens offline.

    \b
    Examples:
      tts report sweep
      tts report samples/greedy --out greedy.html
    """
    from tts.evaluation.report.folder import write_report
    from tts.evaluation.report.values import size

    made = write_report(folder, out)
    if as_json:
        print_json({"kind": made.kind, "out": str(made.out), "bytes": made.size, "figures": made.figures})
        return
    figures = "1 figure" if made.figures == 1 else f"{made.figures} figures"
    echo(f"report of a {made.kind} in {made.out} ({size(made.size)}, {figures})")
