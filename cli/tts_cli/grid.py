"""``tts grid``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tts_cli import options


def grid(
    runs: Annotated[list[Path], typer.Argument(help="Output folders of `tts sample` with the same items.")],
    out: Annotated[Path, typer.Option(help="PNG file.")] = Path("compare.png"),
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

    count = draw_comparison(runs, out, columns, rows)
    print(f"{count} images of each run in {out}")
