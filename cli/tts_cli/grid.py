"""``tts grid``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tts.workspace import finished_samples, root
from tts_cli import options
from tts_cli.output import echo


def grid(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Output folders of `tts sample` with the same items. Default: the runs in tts-work."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="PNG file. Default: tts-work/compare.png.")] = None,
    columns: Annotated[int, typer.Option(min=1, help="Images of each class and run.")] = 8,
    rows: Annotated[int, typer.Option(min=1, help="Classes.")] = 10,
    recheck: options.Recheck = False,
) -> None:
    """Put the same images of several runs side by side: one block a run, one row a class.

    \b
    Examples:
      tts grid samples/baseline samples/greedy --out before-after.png
      tts grid samples/m1 samples/m8 samples/m32 --columns 4 --rows 5
    """
    from tts.evaluation.compare import draw_comparison

    out = out or root() / "compare.png"
    count = draw_comparison(runs or finished_samples(), out, columns, rows)
    echo(f"{count} images of each run in {out}")
