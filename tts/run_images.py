"""The images of a run of ``tts sample``, each compared with what its shard says when it is read.

A shard holds the pixels themselves, or the SHA-256 of every PNG file. Axis letters: S pixels a side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tts.contents import check_tensors, damaged, sha256_file
from tts.engine.folder import RunFolder
from tts.engine.shards import Rows, read_shard
from tts.errors import CheckpointError
from tts.images import ImageError, Pixels, read_image
from tts.outputs import IMAGES, image_path
from tts.pipeline import Item

PIXELS = "pixels"
PNG = "png_sha256"
"""Columns of a shard: pixels (n, S, S, 3), and digests of PNG files (n, 32), both uint8."""


@dataclass(frozen=True, slots=True)
class RunImage:
    """An image of a run: its pixels (S, S, 3), or the PNG file that has them with its digest."""

    folder: Path
    item: Item
    pixels: Tensor | None
    sha256: str

    @property
    def path(self) -> Path:
        """Where its PNG file lies."""
        return image_path(self.folder, self.item)

    def read(self) -> Pixels:
        """The pixels; ``CheckpointError`` names a file that is not the one that the run wrote."""
        if self.pixels is not None:
            found: Pixels = self.pixels.numpy()
            return found
        try:
            return read_image(self.path, self.sha256)
        except ImageError as error:
            raise damaged(self.folder, error) from error


def png_digests(folder: Path, items: Sequence[Item]) -> Tensor:
    """SHA-256 (n, 32), uint8, of the PNG files of some items."""
    digests = [bytes.fromhex(sha256_file(image_path(folder, item))) for item in items]
    return torch.tensor([list(digest) for digest in digests], dtype=torch.uint8).reshape(-1, 32)


def items_of(rows: Rows) -> list[Item]:
    """The items of a shard, by its own columns."""
    pairs = zip(rows.tensors["labels"].tolist(), rows.tensors["seeds"].tolist(), strict=True)
    return [Item(label, seed) for label, seed in pairs]


def recorded(rows: Rows) -> list[str]:
    """Digests of a shard's PNG files, in hexadecimal digits; none where it has no such files."""
    column = rows.tensors.get(PNG)
    return [] if column is None else [bytes(row).hex() for row in column.tolist()]


def images_of(run: RunFolder, rows: Rows) -> list[RunImage]:
    """The images of a shard."""
    pixels, digests = rows.tensors.get(PIXELS), recorded(rows)
    if pixels is None and not digests:
        raise CheckpointError(f"{run.path} holds no images in its shards; sample it again")
    return [
        RunImage(
            run.path,
            item,
            None if pixels is None else pixels[row],
            digests[row] if digests else "",
        )
        for row, item in enumerate(items_of(rows))
    ]


def checked_shards(run: RunFolder, numbers: Sequence[int] | None = None) -> Iterator[Rows]:
    """The shards of a run, by default all, mapped from disk once all of them match their checksums."""
    shards = run.shards if numbers is None else [run.shards[number] for number in numbers]
    try:
        check_tensors(*(run.shard_path(shard.number) for shard in shards), own=True)
        for shard in shards:
            yield read_shard(run.shard_path(shard.number), shard, checked=True)[0]
    except CheckpointError as error:
        raise damaged(run.path, error) from error


def check_listed(run: RunFolder, images: Sequence[RunImage]) -> None:
    """Refuse a folder of images that lacks a file of the run, or has one that is not of it."""
    wanted = {image.path for image in images if image.sha256}
    found = {path for path in (run.path / IMAGES).glob("*/*.png") if path.name[0] != "."}
    for path in sorted(wanted - found)[:1]:
        raise damaged(run.path, f"{path} is missing")
    for path in sorted(found - wanted)[:1]:
        raise CheckpointError(f"{path} is no image of the run; remove it")
