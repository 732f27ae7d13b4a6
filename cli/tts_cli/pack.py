"""``tts pack``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tts_cli import options
from tts_cli.output import echo
from tts_cli.progress import progress_bar
from tts_cli.units import size


def pack(
    folder: Annotated[Path, typer.Argument(help="Output folder of a finished `tts sample`.")],
    to: Annotated[Path, typer.Option(help="The npz file.")],
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the images' order.")] = 0,
    unbalanced: Annotated[
        bool, typer.Option("--unbalanced", help="Allow different numbers of images a class.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    recheck: options.Recheck = False,
) -> None:
    """Pack a run's images for evaluation: an npz of the ADM protocol, in a seeded random order.

    \b
    Examples:
      tts pack samples/softmax --to softmax.npz
      tts pack samples/softmax --to softmax-1.npz --seed 1 --overwrite
    """
    from tts.packing import pack as write

    made = write(folder, to, seed, unbalanced, overwrite, progress_bar)
    echo(f"{made.images} images of {made.classes} classes in {made.path} ({size(made.bytes)})")
