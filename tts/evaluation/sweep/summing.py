"""The end of a sweep: one of its processes writes the results and draws them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tts.engine.worker import Worker
from tts.errors import CheckpointError, RunError
from tts.evaluation.sweep.record import SweepRecord
from tts.evaluation.sweep.results import JSON_FILE, write_results
from tts.evaluation.sweep.store import Store
from tts.evaluation.sweep.timed import TIMING
from tts.io import read_json

FIGURES_FILE = "figures.json"


def sum_up(store: Store, worker: Worker, device: torch.device) -> tuple[str, ...]:
    """Write ``results.json``, ``results.csv``, tables and plots unless another process has; returns notes."""
    worker.wait_for("finish")
    try:
        record = store.record()
        if record is None:
            raise RunError(f"{store.folder} was removed while it was in use; start the sweep again")
        if not _fresh(store, record):
            write_results(store, record, device)
        if _outdated(store.folder) or _lacks_plots(store.folder):
            return _draw(store.folder)
        return ()
    finally:
        worker.release("finish")


def _fresh(store: Store, record: SweepRecord) -> bool:
    """Whether the results hold exactly what is measured."""
    path = store.folder / JSON_FILE
    if not path.exists():
        return False
    try:
        content: Any = read_json(path, own=True)
        listed = {point["id"]: [int(number) for number in point["sets"]] for point in content["points"]}
        same = content["sweep"] == _as_read(record)
    except (CheckpointError, AttributeError, KeyError, TypeError, ValueError):
        return False
    measured = {id_: numbers for id_ in record.points if (numbers := store.numbers(id_))}
    return same and listed == measured


def _as_read(record: SweepRecord) -> Any:
    import json

    return json.loads(json.dumps(record.to_json()))


def _outdated(folder: Path) -> bool:
    """Whether the figures were not drawn since the results, or the times, were written."""
    figures, sources = folder / FIGURES_FILE, [folder / name for name in (JSON_FILE, TIMING)]
    if not figures.exists():
        return True
    drawn = figures.stat().st_mtime
    return any(drawn < source.stat().st_mtime for source in sources if source.exists())


def _lacks_plots(folder: Path) -> bool:
    """Whether plots can be drawn only now, since matplotlib was missing before."""
    from tts.evaluation.sweep.figures import lacks_plots

    return lacks_plots(folder)


def _draw(folder: Path) -> tuple[str, ...]:
    """Tables, plots and grids; the notes say what could not be made."""
    from tts.evaluation.sweep.figures import write_figures

    notes: list[str] = []
    write_figures(folder, notes.append)
    return tuple(notes)
