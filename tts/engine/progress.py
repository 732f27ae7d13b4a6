"""How far a run is, over all of its processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tts.engine.folder import RunFolder
from tts.engine.worker import Worker

INTERVAL = 1.0
"""Seconds between two looks at what the other processes do."""


@dataclass(frozen=True)
class Progress:
    """Finished and all shards and items (images), images a second since this process began, seconds left.

    ``processes`` counts those at work. Speed and time left are ``None`` before the first finished image.
    """

    shards_done: int
    shards: int
    items_done: int
    items: int
    processes: int = 1
    items_per_second: float | None = None
    seconds_left: float | None = None


Report = Callable[[Progress], None]


class Census:
    """Counts what all processes of a run have done, and reports it."""

    def __init__(self, run: RunFolder, worker: Worker, report: Report) -> None:
        self.run, self.worker, self.report = run, worker, report
        self.started = self.looked = time.perf_counter()
        self.done, self.elsewhere, self.processes = run.present(), 0, 1
        self.before = self._items_done()

    def look(self) -> set[int]:
        """Count again; the numbers of the shards that are there."""
        self.looked = time.perf_counter()
        self.done = self.run.present()
        others = self.worker.others()
        self.elsewhere, self.processes = sum(other.items for other in others), 1 + len(others)
        return self.done

    def glance(self) -> set[int]:
        """Look only now and then."""
        return self.look() if time.perf_counter() - self.looked >= INTERVAL else self.done

    def tell(self) -> None:
        """Report."""
        done = self._items_done()
        seconds = time.perf_counter() - self.started
        speed = (done - self.before) / seconds if done > self.before and seconds > 0 else None
        left = (self.run.plan.items - done) / speed if speed else None
        shards = self.run.shards
        self.report(
            Progress(len(self.done), len(shards), done, self.run.plan.items, self.processes, speed, left)
        )

    def complete(self) -> None:
        """Report the end."""
        items, shards = self.run.plan.items, len(self.run.shards)
        speed = (items - self.before) / (time.perf_counter() - self.started)
        self.report(Progress(shards, shards, items, items, self.processes, speed or None, 0.0))

    def _items_done(self) -> int:
        whole = sum(self.run.shards[number].count for number in self.done)
        return min(self.run.plan.items, whole + self.worker.items + self.elsewhere)
