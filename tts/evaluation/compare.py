"""Pictures of several runs side by side, with the same labels and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tts.errors import UsageError
from tts.images import Pixels
from tts.io import save_png
from tts.outputs import IMAGES, check_target
from tts.packing import sample_run
from tts.run_images import RunImage, checked_shards, images_of
from tts.tiles import tiled

CELL = 48


def draw_comparison(runs: Sequence[Path], out: Path, columns: int, rows: int) -> int:
    """Draw one titled block a run, a row a class; returns the number of images of each run."""
    check_target(out, runs)
    found = [_images(run) for run in runs]
    names = _common_names(found)
    by_class: dict[str, list[str]] = {}
    for name in names:
        by_class.setdefault(name.partition("/")[0], []).append(name)
    chosen = [one[:columns] for one in list(by_class.values())[:rows]]
    blocks = [_block(run, images, chosen) for run, images in zip(runs, found, strict=True)]
    save_png(out, np.concatenate(blocks, axis=1))
    return sum(map(len, chosen))


def _images(folder: Path) -> dict[str, RunImage]:
    """The images of a run's finished shards by ``CLASS/SEED.png``."""
    run = sample_run(folder)
    numbers = sorted(run.present())
    found = [image for rows in checked_shards(run, numbers) for image in images_of(run, rows)]
    return {image.path.relative_to(folder / IMAGES).as_posix(): image for image in found}


def _common_names(found: Sequence[dict[str, RunImage]]) -> list[str]:
    """``CLASS/SEED.png`` of the images that every run has."""
    common = sorted(set.intersection(*map(set, found)))
    if not common:
        raise UsageError("the runs have no image in common; sample them with the same labels and seeds")
    return common


def _block(run: Path, images: dict[str, RunImage], chosen: list[list[str]]) -> Pixels:
    """A run's images under its name, each row after its class."""
    rows = [
        (names[0].partition("/")[0].lstrip("0") or "0", [_cell(images[name]) for name in names])
        for names in chosen
    ]
    return tiled(rows, run.name)


def _cell(found: RunImage) -> Pixels:
    image = Image.fromarray(found.read())
    resample = Image.Resampling.NEAREST if image.width < CELL else Image.Resampling.LANCZOS
    return np.asarray(image.resize((CELL, CELL), resample))
