"""What ``tts sample`` makes of its items: rows of shards, PNG files, and the files made of all shards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import pad

from tts.engine.folder import Layout, RunFolder
from tts.engine.job import Timing
from tts.engine.shards import Rows
from tts.errors import CheckpointError
from tts.fitting import Fit
from tts.images import Pixels
from tts.io import (
    make_folder,
    map_tensors,
    save_png,
    save_tensors,
    sha256_file,
    to_uint8,
    write_json,
)
from tts.outputs import GRID, IMAGES, NPZ, RECORD, TOKENS, TRACE, Grid, NpzWriter, image_path, read_run
from tts.pipeline import Batch, Generator, Item, Prefix
from tts.run_images import PIXELS, PNG, checked_shards, images_of, png_digests

SHARDS = "shards"
LAYOUT = Layout(RECORD, ("sample",), SHARDS, (IMAGES, TOKENS, TRACE, NPZ, GRID))
PNG_THREADS = 8
MAPS = ("tokens", "labels", "seeds", "winner_scores", "winner_index")


@dataclass(frozen=True)
class Wanted:
    """Which files a run writes, and the rule for its pixels.

    ``widths`` are the most candidates of an image at each scale, where images have different numbers.
    """

    formats: frozenset[str]
    tokens: bool
    trace: bool
    uint8: str
    metadata: dict[str, str]
    widths: tuple[int, ...] | None = None


@dataclass(frozen=True)
class SampleJob:
    """Generates images; ``folder`` takes the PNG files, ``record`` is what the run says of itself."""

    generator: Generator
    prefix: Prefix | None
    fit: Fit
    wanted: Wanted
    folder: Path
    record: dict[str, Any]

    @property
    def overlaps(self) -> bool:
        """Not on a CPU: there writing files takes time from generating, and would be timed as such."""
        return self.generator.device.type != "cpu"

    def make(self, items: Sequence[Item], first: int) -> Iterator[Rows]:
        """Generate items batch by batch."""
        prefix = self.prefix
        if prefix is not None:
            prefix = Prefix(prefix.tokens[first : first + len(items)], prefix.scales)
        for batch in self.generator.batches(items, self.fit, prefix):
            yield self._rows(batch)

    def _rows(self, batch: Batch) -> Rows:
        result = batch.result
        assert result.images is not None
        codes = self.generator.backbone.info.codebook_size
        scores = {f"scores.{scale + 1}": trace for scale, trace in self._trace(batch).items()}
        return Rows(
            {
                "tokens": result.tokens.to(torch.int32 if codes > 32767 else torch.int16),
                "labels": torch.tensor([item.label for item in batch.items]),
                "seeds": torch.tensor([item.seed for item in batch.items]),
                "winner_scores": result.winner_scores,
                "winner_index": result.winner_index.to(torch.int32),
                PIXELS: torch.from_numpy(to_uint8(result.images, self.wanted.uint8)),
                **scores,
            },
            len(batch.items),
        )

    def _trace(self, batch: Batch) -> dict[int, torch.Tensor]:
        """All scores, as wide in every batch where images have different numbers of candidates."""
        trace, widths = batch.result.trace, self.wanted.widths
        if not (self.wanted.trace and widths):
            return trace
        only = torch.full((len(batch.items), 1), torch.nan)  # one candidate is not scored
        given = self.prefix.scales if self.prefix else 0
        return {
            scale: pad(trace.get(scale, only), (0, width - trace.get(scale, only).shape[1]), value=-torch.inf)
            for scale, width in enumerate(widths)
            if width > 1 and scale >= given
        }

    def publish(self, items: Sequence[Item], rows: Rows) -> tuple[Rows, Mapping[str, str]]:
        """Write the PNG files; the shard keeps the pixels only if an npz is to be made of them."""
        tensors = dict(rows.tensors)
        pixels = tensors[PIXELS].numpy()
        if "png" in self.wanted.formats:
            paths = [image_path(self.folder, item) for item in items]
            for parent in {path.parent for path in paths}:
                make_folder(parent)
            with ThreadPoolExecutor(PNG_THREADS) as pool:
                list(pool.map(save_png, paths, pixels))
            tensors[PNG] = png_digests(self.folder, items)
        if "npz" not in self.wanted.formats:
            del tensors[PIXELS]
        return Rows(tensors, rows.taken, rows.skipped), {}

    def finish(self, run: RunFolder, timing: Timing) -> None:
        """Write the grid, the npz, the token maps, the trace and, last, the record."""
        if "npz" in self.wanted.formats:
            size = self.generator.backbone.info.image_size
            with NpzWriter(run.path / NPZ, run.items, size) as writer:
                for shard in run.shards:
                    writer.append(map_tensors(run.shard_path(shard.number))[0][PIXELS].numpy())
        save_png(run.path / GRID, _grid(run))
        if self.wanted.tokens:
            save_tensors(run.path / TOKENS, _joined(run, MAPS), self.wanted.metadata)
        if self.wanted.trace:
            save_tensors(run.path / TRACE, _joined(run, None), self.wanted.metadata)
        files = [name for name in (GRID, NPZ) if (run.path / name).is_file()]
        record = {
            "finished": True,
            "plan": run.plan.id,
            "images": run.plan.items,
            **self.record,
            "timing": _timing(run, timing, self.fit.batch),
            "files": {name: sha256_file(run.path / name) for name in files},
        }
        write_json(run.path / RECORD, record)


def _grid(run: RunFolder) -> Pixels:
    """The picture of the first images of the first classes, read from wherever they are."""
    grid = Grid()
    for shard in run.shards:
        wanted = [
            (row, item)
            for row, item in enumerate(run.items[shard.first : shard.first + shard.count])
            if grid.wants(item)
        ]
        for rows in checked_shards(run, [shard.number]) if wanted else ():
            images = images_of(run, rows)
            for row, item in wanted:
                grid.add(item, images[row].read().copy())
        if grid.full:
            break
    return grid.picture()


def _joined(run: RunFolder, names: Sequence[str] | None) -> dict[str, torch.Tensor]:
    """Columns of all shards; ``None`` means the scores of all candidates."""
    parts = [map_tensors(run.shard_path(shard.number))[0] for shard in run.shards]
    wanted = [name for name in parts[0] if name.startswith("scores.")] if names is None else names
    columns = {name: torch.cat([part[name] for part in parts]) for name in wanted}
    return {name: column if column.is_floating_point() else column.long() for name, column in columns.items()}


def _timing(run: RunFolder, timing: Timing, batch: int) -> dict[str, Any]:
    """Seconds of generation, summed over processes and with those of the run that this one extends."""
    seconds, images = timing.seconds, timing.items
    if (run.path / RECORD).is_file():
        with suppress(CheckpointError):  # a damaged record is only written anew
            before = read_run(run.path).timing
            seconds, images = seconds + before.generate_seconds, images + before.images
    return {
        "generate_seconds": seconds,
        "images": images,
        "images_per_second": images / seconds if seconds else None,
        "batch_size": batch,
    }
