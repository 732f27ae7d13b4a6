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
from tts.engine.shards import glance, read_shard
from tts.errors import CheckpointError
from tts.evaluation.folder_source import THREADS, read_image
from tts.evaluation.image_source import ImageSource, Numbers, Pixels, check_square
from tts.io import load_tensors
from tts.outputs import image_path, recorded_family, recorded_speed
from tts.packing import finished_run, shuffled
from tts.pipeline import Item
from tts.sample_job import PIXELS


@dataclass(frozen=True, eq=False)
class ShardSource(ImageSource):
    """Images in the plan's order, from one shard after the other; figures take them as packed with seed 0."""

    run: RunFolder = field(kw_only=True)

    def portions(self, rows: range, size: int) -> Iterator[Pixels]:
        """Pixels (n, S, S, 3); each shard is checked against its checksum when it is reached."""
        for shard in self.run.shards:
            first, last = max(rows.start, shard.first), min(rows.stop, shard.first + shard.count)
            if first >= last:
                continue
            path = self.run.shard_path(shard.number)
            try:
                pixels = read_shard(path, shard)[0].tensors[PIXELS].numpy()
            except (CheckpointError, KeyError) as error:
                raise _damaged(
                    self.run, str(error) if isinstance(error, CheckpointError) else f"{path}"
                ) from error
            for start in range(first, last, size):
                yield pixels[start - shard.first : min(start + size, last) - shard.first]

    def sha256(self) -> str:
        """The id of the plan, which is a hash of everything that decides the images."""
        return self.run.plan.id


@dataclass(frozen=True, eq=False)
class PngSource(ImageSource):
    """PNG files in the plan's order; figures take them as packed with seed 0."""

    run: RunFolder = field(kw_only=True)
    seeds: Numbers = field(kw_only=True)
    classes: Numbers = field(kw_only=True)

    def portions(self, rows: range, size: int) -> Iterator[Pixels]:
        """Pixels (n, S, S, 3), decoded by several threads."""
        with ThreadPoolExecutor(THREADS) as threads:
            for first in range(rows.start, rows.stop, size):
                yield np.stack(list(threads.map(self._load, range(first, min(first + size, rows.stop)))))

    def _load(self, number: int) -> Pixels:
        item = Item(int(self.classes[number]), int(self.seeds[number]))
        path = image_path(self.run.path, item)
        pixels = read_image(path)
        check_square(path, pixels.shape, self.size)
        return pixels

    def sha256(self) -> str:
        """The id of the plan, which is a hash of everything that decides the images."""
        return self.run.plan.id


def open_run(folder: Path) -> ShardSource | PngSource:
    """The images of the folder of a finished run, of which only labels and seeds are read at first."""
    run = finished_run(folder)
    labels, seeds, size = _read_items(run)
    if size is None:
        path = image_path(folder, Item(int(labels[0]), int(seeds[0])))
        size = check_square(path, read_image(path).shape)
        return PngSource(*_facts(run, labels, size), run=run, seeds=seeds, classes=labels)
    return ShardSource(*_facts(run, labels, size), run=run)


def _facts(
    run: RunFolder, labels: Numbers, size: int
) -> tuple[str, int, int, Numbers, Numbers, str | None, str | None, float | None]:
    """What an ``ImageSource`` says of itself, in its order."""
    folder = run.path
    rule = run.plan.identity.get("uint8_rule")
    return (
        folder.resolve().name,
        len(labels),
        size,
        labels,
        shuffled(len(labels)),
        rule,
        recorded_family(folder),
        recorded_speed(folder),
    )


def _read_items(run: RunFolder) -> tuple[Numbers, Numbers, int | None]:
    """Labels (N,) and seeds (N,) in the plan's order, and the side of the pixels if all shards have them."""
    labels: list[Numbers] = []
    seeds: list[Numbers] = []
    sizes: list[int] = []
    for shard in run.shards:
        path = run.shard_path(shard.number)
        if fault := glance(path, shard):
            raise _damaged(run, fault)
        tensors, _ = load_tensors(path)  # mapped from disk, so that only what is used is read
        labels.append(tensors["labels"].numpy().astype(np.int64))
        seeds.append(tensors["seeds"].numpy().astype(np.int64))
        if PIXELS in tensors:
            sizes.append(check_square(path, tuple(tensors[PIXELS].shape), sizes[0] if sizes else None))
    whole = len(sizes) == len(run.shards)
    return np.concatenate(labels), np.concatenate(seeds), sizes[0] if whole else None


def _damaged(run: RunFolder, fault: str) -> CheckpointError:
    return CheckpointError(f"{fault.partition('; ')[0]}; mend it with 'tts data verify {run.path} --repair'")
