"""Features of a set of images, by one process or by several that share the set.

Axis letters: N images, n of a batch, S pixels a side, D features.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor

from tts.errors import UsageError
from tts.evaluation.ahead import ahead
from tts.evaluation.crew import Crew
from tts.evaluation.features import FeatureExtractor, Features, check_features
from tts.evaluation.image_source import ImageSource
from tts.fitting import Fit, fitting
from tts.images import Tally

BATCH = 100
"""Images at once unless the user says otherwise."""

Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Show no progress."""


def extract_source(
    source: ImageSource,
    extractor: FeatureExtractor,
    batch: int = BATCH,
    progress: Progress = silent,
) -> Features:
    """Features of all images of a source, with labels where known, in the order in which figures take them.

    Memory holds the features and a few batches of images. ``progress`` hears how many images are done of how
    many.
    """
    found = share_source(source, extractor, Crew(), batch, progress)
    assert found is not None
    return found


def share_source(
    source: ImageSource,
    extractor: FeatureExtractor,
    crew: Crew,
    batch: int = BATCH,
    progress: Progress = silent,
) -> Features | None:
    """The same by the processes of a crew, each of which takes its part; rank 0 gets the features."""
    check_size(source, extractor)
    rows = crew.part(source.count)
    table = _Table(_positions(source), range(source.count) if crew.main else rows)
    for part, found in _features(source, extractor, rows, batch):
        crew.check()
        table.put(part, found)
        progress((part.stop - rows.start) * source.count // len(rows), source.count)
    _gather(table, source.count, crew)
    _gather_remarks(source, crew)
    if not crew.main:
        return None
    labels = source.ordered_labels()
    return table.features(None if labels is None else torch.from_numpy(labels))


def check_size(source: ImageSource, extractor: FeatureExtractor) -> None:
    """Refuse images of a size that the extractor does not take."""
    if extractor.image_size not in (None, source.size):
        raise UsageError(
            f"{source.name} has images of {source.size}x{source.size}, features {extractor.name!r} are for"
            f" {extractor.image_size}x{extractor.image_size}; choose other"
            f" --features or pass --resize {extractor.image_size}"
        )


def _features(
    source: ImageSource, extractor: FeatureExtractor, rows: range, batch: int
) -> Iterator[tuple[range, Features]]:
    """Features of consecutive rows, batch by batch, which shrink if the device runs out of memory."""
    fit, first = Fit(batch), rows.start
    for images in ahead(source.batches(rows, batch)):

        def extract(part: slice, images: Tensor = images) -> Features:
            found = extractor.extract(images[part])
            check_features(found, extractor, len(images[part]))
            return found

        for found in fitting(len(images), fit, 1, extract):
            yield range(first, first + len(found)), found
            first += len(found)


def _positions(source: ImageSource) -> Tensor:
    """Where (N,) in the order of figures each stored image stands."""
    positions = torch.arange(source.count)
    if source.order is None:
        return positions
    inverse = torch.empty_like(positions)
    inverse[torch.from_numpy(np.asarray(source.order))] = positions
    return inverse


class _Table:
    """Features of some stored rows of a set, at their place in the order of figures if these are all."""

    def __init__(self, positions: Tensor, rows: range) -> None:
        self.rows = rows
        self.positions = positions if len(rows) == len(positions) else None
        self.columns: list[Tensor | None] | None = None

    def put(self, rows: range, found: Features) -> None:
        """Keep the features of consecutive stored rows; the first ones decide about widths."""
        parts = (found.pool, found.spatial, found.logits)
        if self.columns is None:
            self.columns = [
                None if part is None else torch.empty(len(self.rows), part.shape[1]) for part in parts
            ]
        for column, part in zip(self.columns, parts, strict=True):
            if column is not None and part is not None:
                self._write(column, rows, part)

    def put_column(self, number: int, rows: range, values: Tensor) -> None:
        """Keep one column of consecutive stored rows."""
        assert self.columns is not None
        column = self.columns[number]
        assert column is not None
        self._write(column, rows, values)

    def _write(self, column: Tensor, rows: range, values: Tensor) -> None:
        if self.positions is None:
            column[rows.start - self.rows.start : rows.stop - self.rows.start] = values
        else:
            column[self.positions[rows.start : rows.stop]] = values

    def features(self, labels: Tensor | None) -> Features:
        """All of it."""
        assert self.columns is not None
        pool, spatial, logits = self.columns
        assert pool is not None
        return Features(pool, spatial, logits, labels)


def _gather(table: _Table, count: int, crew: Crew) -> None:
    """Bring the parts of all processes to rank 0, one after the other."""
    crew.wait()
    columns = table.columns or []
    if not crew.main:
        for column in columns:
            if column is not None:
                crew.send(column)
        return
    for rank in range(1, crew.launch.world):
        rows = crew.part(count, rank)
        for number, column in enumerate(columns if rows else []):
            if column is not None:
                values = torch.empty(len(rows), column.shape[1])
                crew.receive(values, rank)
                table.put_column(number, rows, values)


def _gather_remarks(source: ImageSource, crew: Crew) -> None:
    """Add what all processes have to say of the images to what rank 0 has."""
    mine = json.dumps({kind: asdict(tally) for kind, tally in source.remarked.items()}).encode()
    if not crew.main:
        crew.send(torch.tensor([len(mine)]))
        crew.send(torch.frombuffer(bytearray(mine), dtype=torch.uint8))
        return
    for rank in range(1, crew.launch.world):
        length = torch.zeros(1, dtype=torch.int64)
        crew.receive(length, rank)
        text = torch.zeros(int(length), dtype=torch.uint8)
        crew.receive(text, rank)
        for kind, tally in json.loads(bytes(text.tolist())).items():
            source.remarked.setdefault(kind, Tally()).join(Tally(**tally))
