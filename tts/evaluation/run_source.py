"""Images of a finished run of ``tts sample``: of its shards if these hold pixels, else of its PNG files.

Axis letters: N images, n of a portion, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tts.engine.folder import RunFolder
from tts.evaluation.folder_source import THREADS
from tts.evaluation.image_source import ImageSource, check_square
from tts.images import Pixels
from tts.outputs import recorded_family, recorded_speed
from tts.packing import finished_run, shuffled
from tts.pipeline import Item
from tts.run_images import RunImage, check_listed, checked_shards, images_of, items_of


@dataclass(frozen=True, eq=False)
class RunSource(ImageSource):
    """Images in the plan's order, which figures take as ``tts pack`` packs them with seed 0."""

    run: RunFolder = field(kw_only=True)
    images: tuple[RunImage, ...] = field(kw_only=True)

    def portions(self, rows: range, size: int) -> Iterator[Pixels]:
        """Pixels (n, S, S, 3), read by several threads; each file is compared with the run's record."""
        with ThreadPoolExecutor(THREADS) as threads:
            for first in range(rows.start, rows.stop, size):
                yield np.stack(list(threads.map(self._load, range(first, min(first + size, rows.stop)))))

    def _load(self, number: int) -> Pixels:
        pixels = self.images[number].read()
        check_square(self.images[number].path, pixels.shape, self.size)
        return pixels

    def sha256(self) -> str:
        """The id of the plan, which is a hash of everything that decides the images."""
        return self.run.plan.id


def open_run(folder: Path) -> RunSource:
    """The images of the folder of a finished run; its shards are compared with their checksums."""
    run = finished_run(folder)
    images: list[RunImage] = []
    items: list[Item] = []
    for rows in checked_shards(run):
        images += images_of(run, rows)
        items += items_of(rows)
    check_listed(run, images)
    return RunSource(
        name=folder.resolve().name,
        count=len(items),
        size=check_square(images[0].path, images[0].read().shape),
        labels=np.fromiter((item.label for item in items), np.int64, len(items)),
        order=shuffled(len(items)),
        uint8_rule=run.plan.identity.get("uint8_rule"),
        family=recorded_family(folder),
        backbone=run.plan.settings.get("backbone"),
        images_per_second=recorded_speed(folder),
        run=run,
        images=tuple(images),
    )
