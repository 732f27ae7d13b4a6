"""One process at work on a sweep: it takes seed sets, measures them, and waits for those of others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tts.engine.stopping import Stop
from tts.engine.worker import Worker
from tts.errors import RunError
from tts.evaluation.figures import Reference
from tts.evaluation.references import load_reference
from tts.evaluation.sweep.config import SweepConfig
from tts.evaluation.sweep.lab import Lab
from tts.evaluation.sweep.record import SetRecord
from tts.evaluation.sweep.store import Store, side_by_side
from tts.evaluation.sweep.tally import Job, Tally
from tts.io import pixels_digest
from tts.runinfo import environment

POLL = 0.3
"""Seconds between two looks for seed sets that other processes may have left."""

Say = Callable[[str], None]


def is_done(store: Store, keep_images: bool, job: Job) -> bool:
    """Whether a seed set is measured, and its images are there if they are to be kept."""
    kept = not keep_images or store.images_path(job.point.id, job.number).exists()
    return kept and store.has(job.point.id, job.number)


@dataclass
class Shift:
    """One process's time at work on a sweep."""

    config: SweepConfig
    store: Store
    lab: Lab
    worker: Worker
    stop: Stop
    tally: Tally
    warn: Say
    reference: Reference | None = None

    def work(self) -> int:
        """Measure seed sets until none is left, and wait for those of others; the number of its own."""
        with self.worker.holding("check") as first:
            for done in self.tally.jobs if first else ():
                if self.store.has(done.point.id, done.number):
                    self._check_file(done)
        made = 0
        self.tally.look()
        self.tally.tell()
        while left := self.tally.look():
            self.check()
            job = self._take(left)
            if job is None:
                self._wait()
                continue
            try:
                self._measure(job)
                made += 1
            finally:
                self.worker.items = 0
                self.worker.release(job.name)
        self.tally.tell()
        return made

    def check(self) -> None:
        """Stop here if a signal asked for it."""
        done, sets = len(self.tally.jobs) - len(self.tally.left), len(self.tally.jobs)
        self.stop.check(
            f"{done} of {sets} seed sets are measured,"
            " run the same command to go on, or without --grid to sum up"
        )

    def _check_file(self, job: Job) -> None:
        if fault := self.store.remove_damaged(job.point.id, job.number):
            self.warn(f"{fault}; it is measured again")

    def _take(self, left: list[Job]) -> Job | None:
        """The first seed set that no other process has in hand."""
        for job in left:
            if self.worker.take(job.name):
                if not self.tally.is_done(job):
                    return job
                self.worker.release(job.name)  # measured since we looked
        return None

    def _wait(self) -> None:
        self.tally.tell()
        time.sleep(POLL)
        if self.store.record() is None:
            raise RunError(f"{self.store.folder} was removed while it was in use; start the sweep again")

    def _measure(self, job: Job) -> None:
        config, point, images = self.config, job.point, self.config.images
        reference = self._reference()
        keep = self.store.images_path(point.id, job.number) if config.keep_images else None

        def after_batch(done: int) -> None:
            self.worker.items = done
            self.tally.tell()
            if done < images:
                self.check()

        self.tally.begin(job)
        measured = self.lab.measure(point.point.config, job.number, images, reference, after_batch, keep)
        self.tally.end()
        processes = 1 + len(self.worker.others())
        strip = pixels_digest(side_by_side(measured.strip))
        record = SetRecord(measured.figures, measured.cost, environment(self.lab.device), processes, strip)
        self.store.write_set(point.id, job.number, measured, record)

    def _reference(self) -> Reference:
        """What figures compare with, loaded for the first seed set."""
        if self.reference is None:
            self.reference = load_reference(
                self.config.reference,
                self.lab.extractor,
                progress=lambda done, total: self.check(),
                say=self.warn,
            )
        return self.reference
