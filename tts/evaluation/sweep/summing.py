"""The end of a sweep: one of its processes writes the results and draws them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tts.engine.worker import Worker
from tts.errors import CheckpointError, RunError
from tts.evaluation.sweep.record import FORMAT, Record, SweepRecord
from tts.evaluation.sweep.results import JSON_FILE, write_results
from tts.evaluation.sweep.store import Store
from tts.records import plain, read_record, tagged


@dataclass(frozen=True)
class _Measured:
    id: str
    sets: dict[int, Any]


@dataclass(frozen=True)
class _Results:
    sweep: Record
    points: tuple[_Measured, ...]


def sum_up(store: Store, worker: Worker, device: torch.device) -> tuple[str, ...]:
    """Write ``results.json``, ``results.csv``, tables and plots unless another process has; returns notes."""
    worker.wait_for("finish")
    try:
        record = store.record()
        if record is None:
            raise RunError(f"{store.folder} was removed while it was in use; start the sweep again")
        if not _fresh(store, record):
            write_results(store, record, device)
        return _drawn(store.folder)
    finally:
        worker.release("finish")


def _fresh(store: Store, record: SweepRecord) -> bool:
    """Whether the results hold exactly what is measured."""
    path = store.folder / JSON_FILE
    if not path.exists():
        return False
    try:
        content = read_record(path, _Results, "file of results", "sweep again", own=True)
    except CheckpointError:
        return False
    listed = {point.id: list(point.sets) for point in content.points}
    measured = {id_: numbers for id_ in record.points if (numbers := store.numbers(id_))}
    return content.sweep == plain(tagged(FORMAT, record)) and listed == measured


def _drawn(folder: Path) -> tuple[str, ...]:
    """Make tables, plots and grids where they are not those of the results; the notes say what is missing."""
    from tts.evaluation.sweep.figures import lacks_plots, outdated, write_figures

    notes: list[str] = []
    if outdated(folder) or lacks_plots(folder):  # plots can be drawn only now, if matplotlib was missing
        write_figures(folder, notes.append)
    return tuple(notes)
