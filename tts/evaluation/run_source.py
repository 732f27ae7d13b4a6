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
from tts.engine.plan import ShardRange
from tts.engine.shards import glance, read_shard
from tts.errors import CheckpointError
from tts.evaluation.folder_source import THREADS
from tts.evaluation.image_source import ImageSource, Numbers, check_square
from tts.images import Pixels, read_image
from tts.io import load_tensors
from tts.outputs import image_path, recorded_family, recorded_speed
from tts.packing import finished_run, shuffled
from tts.pipeline import Item
from tts.sample_job import PIXELS


@dataclass(frozen=True, eq=False)
class RunSource(ImageSource):
    """Images in the plan's order, which figures take as ``tts pack`` packs them with seed 0.

    ``paths`` are the PNG files, where pixels are not in the shards.
    """

    run: RunFolder = field(kw_only=True)
    paths: tuple[Path, ...] | None = field(kw_only=True)

    def portions(self, rows: range, size: int) -> Iterator[Pixels]:
        """Pixels (n, S, S, 3); a shard is checked against its checksum when it is reached."""
        return self._from_shards(rows, size) if self.paths is None else self._from_files(rows, size)

    def _from_shards(self, rows: range, size: int) -> Iterator[Pixels]:
        for shard in self.run.shards:
            first, last = max(rows.start, shard.first), min(rows.stop, shard.first + shard.count)
            if first < last:
                pixels = _pixels(self.run, shard)
                for start in range(first, last, size):
                    yield pixels[start - shard.first : min(start + size, last) - shard.first]

    def _from_files(self, rows: range, size: int) -> Iterator[Pixels]:
        """The same, decoded by several threads."""
        with ThreadPoolExecutor(THREADS) as threads:
            for first in range(rows.start, rows.stop, size):
                yield np.stack(list(threads.map(self._load, range(first, min(first + size, rows.stop)))))

    def _load(self, number: int) -> Pixels:
        assert self.paths is not None
        path = self.paths[number]
        pixels = read_image(path)
        check_square(path, pixels.shape, self.size)
        return pixels

    def sha256(self) -> str:
        """The id of the plan, which is a hash of everything that decides the images."""
        return self.run.plan.id


def open_run(folder: Path) -> RunSource:
    """The images of the folder of a finished run, of which only labels and seeds are read at first."""
    run = finished_run(folder)
    items, size = _read_items(run)
    paths = None
    if size is None:
        paths = tuple(image_path(folder, item) for item in items)
        size = check_square(paths[0], read_image(paths[0]).shape)
    return RunSource(
        name=folder.resolve().name,
        count=len(items),
        size=size,
        labels=_labels(items),
        order=shuffled(len(items)),
        uint8_rule=run.plan.identity.get("uint8_rule"),
        family=recorded_family(folder),
        backbone=run.plan.settings.get("backbone"),
        images_per_second=recorded_speed(folder),
        run=run,
        paths=paths,
    )


def _read_items(run: RunFolder) -> tuple[list[Item], int | None]:
    """The items in the plan's order, and the side of the pixels if all shards have them."""
    items: list[Item] = []
    sizes: list[int] = []
    for shard in run.shards:
        path = run.shard_path(shard.number)
        if fault := glance(path, shard):
            raise _damaged(run, fault)
        tensors, _ = load_tensors(path)  # mapped from disk, so that only what is used is read
        pairs = zip(tensors["labels"].tolist(), tensors["seeds"].tolist(), strict=True)
        items += [Item(label, seed) for label, seed in pairs]
        if PIXELS in tensors:
            sizes.append(check_square(path, tuple(tensors[PIXELS].shape), sizes[0] if sizes else None))
    return items, sizes[0] if len(sizes) == len(run.shards) else None


def _labels(items: list[Item]) -> Numbers:
    return np.fromiter((item.label for item in items), np.int64, len(items))


def _pixels(run: RunFolder, shard: ShardRange) -> Pixels:
    """Pixels of a shard, whose contents must match its checksum."""
    try:
        pixels: Pixels = read_shard(run.shard_path(shard.number), shard)[0].tensors[PIXELS].numpy()
    except CheckpointError as error:
        raise _damaged(run, str(error)) from error
    return pixels


def _damaged(run: RunFolder, fault: str) -> CheckpointError:
    return CheckpointError(f"{fault.partition('; ')[0]}; mend it with 'tts data verify {run.path} --repair'")
