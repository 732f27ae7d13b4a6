"""Pictures of several runs side by side, with the same labels and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tts.errors import CheckpointError, UsageError
from tts.images import Pixels, read_image
from tts.io import ensure_writable_dir, save_png
from tts.outputs import IMAGES
from tts.tiles import tiled

CELL = 48


def draw_comparison(runs: Sequence[Path], out: Path, columns: int, rows: int) -> int:
    """Draw one titled block a run, a row a class; returns the number of images of each run."""
    names = _common_names(runs)
    ensure_writable_dir(out.parent)
    by_class: dict[str, list[str]] = {}
    for name in names:
        by_class.setdefault(name.partition("/")[0], []).append(name)
    chosen = [found[:columns] for found in list(by_class.values())[:rows]]
    save_png(out, np.concatenate([_block(run, chosen) for run in runs], axis=1))
    return sum(map(len, chosen))


def _common_names(runs: Sequence[Path]) -> list[str]:
    """``CLASS/SEED.png`` of the images that every run has."""
    found = []
    for run in runs:
        folder = run / IMAGES
        names = {path.relative_to(folder).as_posix() for path in folder.glob("*/*.png")}
        if not names:
            raise CheckpointError(f"{run} holds no PNG images of 'tts sample'; sample with --format png")
        found.append(names)
    common = sorted(set.intersection(*found))
    if not common:
        raise UsageError("the runs have no image in common; sample them with the same labels and seeds")
    return common


def _block(run: Path, chosen: list[list[str]]) -> Pixels:
    """A run's images under its name, each row after its class."""
    rows = [
        (names[0].partition("/")[0].lstrip("0") or "0", [_cell(run / IMAGES / name) for name in names])
        for names in chosen
    ]
    return tiled(rows, run.name)


def _cell(path: Path) -> Pixels:
    image = Image.fromarray(read_image(path))
    resample = Image.Resampling.NEAREST if image.width < CELL else Image.Resampling.LANCZOS
    return np.asarray(image.resize((CELL, CELL), resample))
