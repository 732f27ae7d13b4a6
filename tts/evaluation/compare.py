"""Pictures of several runs side by side, with the same labels and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tts.errors import CheckpointError, UsageError
from tts.images import read_image
from tts.io import ensure_writable_dir, save_png
from tts.outputs import IMAGES

CELL, PITCH, GAP, TITLE = 48, 52, 24, 18


def draw_comparison(runs: Sequence[Path], out: Path, columns: int, rows: int) -> int:
    """Draw one titled block a run, a row a class; returns the number of images of each run."""
    names = _common_names(runs)
    ensure_writable_dir(out.parent)
    by_class: dict[str, list[str]] = {}
    for name in names:
        by_class.setdefault(name.partition("/")[0], []).append(name)
    chosen = [found[:columns] for found in list(by_class.values())[:rows]]
    blocks = [_block(run, chosen, max(map(len, chosen))) for run in runs]
    gap = np.full((blocks[0].shape[0], GAP, 3), 255, np.uint8)
    parts = [part for block in blocks for part in (block, gap)][:-1]
    save_png(out, np.concatenate(parts, axis=1))
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


def _block(run: Path, chosen: list[list[str]], columns: int) -> NDArray[np.uint8]:
    """A run's images under its name."""
    canvas = Image.new("RGB", (columns * PITCH, len(chosen) * PITCH + TITLE), "white")
    ImageDraw.Draw(canvas).text((2, 3), run.name, fill="black")
    for y, names in enumerate(chosen):
        for x, name in enumerate(names):
            image = Image.fromarray(read_image(run / IMAGES / name))
            resample = Image.Resampling.NEAREST if image.width < CELL else Image.Resampling.LANCZOS
            canvas.paste(image.resize((CELL, CELL), resample), (x * PITCH, TITLE + y * PITCH))
    return np.asarray(canvas)
