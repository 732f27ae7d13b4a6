"""The statistics of one's own images as a file in the layout of the ADM evaluation's references.

Axis letters: N images, n of a portion, S pixels a side.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tts import __version__
from tts.engine.launch import Launch
from tts.errors import UsageError
from tts.evaluation.crew import Crew
from tts.evaluation.extract import BATCH, share_source
from tts.evaluation.features import FeatureExtractor, Features
from tts.evaluation.frechet import FrechetStatistics
from tts.evaluation.image_source import ImageSource
from tts.evaluation.npz_source import LABELS, RECORD
from tts.evaluation.prepared import EvalConfig, Prepared, Warn, check_out
from tts.evaluation.resizing import Resize
from tts.evaluation.stored_statistics import POOL, SPATIAL
from tts.images import Pixels
from tts.outputs import ImagesWriter
from tts.packing import Bar, no_bar, shuffled

KEPT = 10_000
"""Images that the file holds for precision and recall, as many as ADM's references have."""


@dataclass(frozen=True)
class WrittenReference:
    """A file with statistics of ``images`` images, ``kept`` of which it holds."""

    path: Path
    images: int
    kept: int
    features: str
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The record of ``--json``."""
        return {**asdict(self), "path": str(self.path)}


def run_write_reference(
    config: EvalConfig,
    path: Path,
    launch: Launch | None = None,
    warn: Warn = lambda message: None,
    bar: Bar = no_bar,
) -> WrittenReference | None:
    """Write the statistics of one set of images, in rank 0 of the processes that share the work."""
    if len(config.samples) != 1:
        raise UsageError(
            f"a reference is made of one set of images, got {len(config.samples)}; run 'tts eval IMAGES"
            f" --write-reference {path}'"
        )
    check_out(path, config)
    with Crew(launch) as crew:
        batch, prepared = config.batch, Prepared.of(config, compared=False)
        source, extractor = prepared.sources[0], prepared.extractor
        doubts = [*source.set_doubts(extractor)]
        with bar(prepared.names[0], "images") as tell:
            found = share_source(source, extractor, crew, batch, tell)
        if found is None:
            return None
        doubts += source.image_doubts()
        if len(found) <= extractor.dimensions:
            doubts.append(
                f"{len(found)} images for {extractor.dimensions} features: their covariance is singular and"
                " the distance is biased upwards; use more images"
            )
        for doubt in doubts:
            warn(doubt)
        kept = write_reference(path, source, found, extractor, config.resize)
        notes = (*prepared.notes, *source.notes)
        return WrittenReference(path, len(found), kept, extractor.name, tuple(doubts), notes)


def write_reference(
    path: Path, source: ImageSource, found: Features, extractor: FeatureExtractor, resize: Resize | None
) -> int:
    """Write ``mu``, ``sigma``, ``mu_s``, ``sigma_s``, images ``arr_0`` and labels ``arr_1``, where known.

    With more than ``KEPT`` images these are drawn at random with a fixed seed; returns how many are kept.
    """
    if source.count < 2:
        raise UsageError(f"statistics need at least 2 images, {source.name} has {source.count}; give more")
    rows = np.sort(shuffled(source.count)[:KEPT])
    arrays: dict[str, NDArray[Any]] = dict(zip(POOL, _statistics(found.pool), strict=True))
    if found.spatial is not None:
        arrays.update(zip(SPATIAL, _statistics(found.spatial), strict=True))
    if source.labels is not None:
        arrays[LABELS] = source.labels[rows]
    arrays[RECORD] = np.array(json.dumps(_record(source, extractor, resize, len(rows)), sort_keys=True))
    with ImagesWriter(path, len(rows), source.size, arrays) as writer:
        for pixels in _chosen(source, rows):
            writer.append(pixels)
    return len(rows)


def _statistics(features: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    statistics = FrechetStatistics.of(features)
    return statistics.mean, statistics.covariance


def _chosen(source: ImageSource, rows: NDArray[np.int64]) -> Iterator[Pixels]:
    """The images (n, S, S, 3) of some stored rows, which are sorted."""
    first = 0
    for pixels in source.portions(range(source.count), BATCH):
        wanted = rows[(rows >= first) & (rows < first + len(pixels))] - first
        if len(wanted):
            yield pixels[wanted]
        first += len(pixels)


def _record(
    source: ImageSource, extractor: FeatureExtractor, resize: Resize | None, kept: int
) -> dict[str, Any]:
    """How the statistics were made."""
    return {
        "made_by": f"scalewise-tts {__version__}",
        "features": extractor.describe(),
        "images": source.count,
        "kept": kept,
        "source": {"name": source.name, "sha256": source.sha256()},
        "uint8": source.uint8_rule,
        "family": source.family,
        "resize": resize.describe() if resize else None,
        "notes": list(source.notes),
    }
