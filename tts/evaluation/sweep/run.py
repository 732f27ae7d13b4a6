"""The work of ``tts sweep``: any number of processes measure the seed sets of its points, then sum up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from tts.engine.claims import Worker
from tts.engine.folder import clear_work, remove_leftovers
from tts.engine.launch import Launch, agree
from tts.engine.progress import Report
from tts.engine.stopping import Stop
from tts.errors import RunError, UsageError
from tts.evaluation.figures import Reference
from tts.evaluation.references import load_reference, open_reference
from tts.evaluation.sweep.against import Comparison, check_against, compare, write_comparison
from tts.evaluation.sweep.config import SweepConfig
from tts.evaluation.sweep.lab import Lab
from tts.evaluation.sweep.plan import Plan, make_plan
from tts.evaluation.sweep.reading import Results, read_results
from tts.evaluation.sweep.record import SetRecord
from tts.evaluation.sweep.store import Store
from tts.evaluation.sweep.summing import sum_up
from tts.evaluation.sweep.tally import Job, Tally, jobs_of
from tts.io import ensure_writable_dir
from tts.resolve import torch_device
from tts.runinfo import environment

POLL = 0.3
"""Seconds between two looks for seed sets that other processes may have left."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class SweepSummary:
    """What a command asked for, what this process measured of it, and all that the folder holds now."""

    points: int
    seed_sets: int
    made: int
    remarks: tuple[str, ...]
    results: Results
    comparison: Comparison | None


def run_sweep(
    config: SweepConfig, report: Report = lambda progress: None, warn: Say = lambda message: None
) -> SweepSummary:
    """Measure the points of all grids, together with other processes, and write what came out of it.

    Without grids the folder's results are only summed up, and compared.
    """
    launch = Launch.from_environment()
    store, once = Store(Path(config.out)), Once(warn)
    labs: list[Lab] = []  # rank 0 needs its own to check what is asked for
    plan = agree(launch, lambda: open_sweep(config, store, labs, once))
    set_threads(config.threads, launch)
    made = 0
    with Worker(store.work, config.lease) as worker, Stop() as stop:
        worker.begin()
        if plan.points:
            lab = labs[0] if labs else make_lab(config, once)
            done = partial(is_done, store, config.keep_images)
            tally = Tally(done, jobs_of(plan.points, plan.seed_sets), config.images, worker, report)
            made = _Shift(config, store, lab, worker, stop, tally, once).work()
        notes = sum_up(store, worker, torch_device(config.base.device))
        comparison = _compared(config, store) if launch.main else None
        if not worker.others():
            remove_leftovers(store.folder, {worker.presence.tag})
            clear_work(store.work)
    results = read_results(store.folder)
    remarks = (*plan.remarks, *notes)
    return SweepSummary(len(plan.points), len(plan.seed_sets), made, remarks, results, comparison)


class Once:
    """Passes every message on the first time only: what is true of one set is often true of all."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.said: set[str] = set()

    def __call__(self, message: str) -> None:
        """Say it, unless it was said."""
        if message not in self.said:
            self.said.add(message)
            self.say(message)


def set_threads(threads: int | None, launch: Launch) -> None:
    """Use so many threads; by default the processes of a launch share the cores of a machine."""
    if threads is not None:
        torch.set_num_threads(threads)
    elif launch.local_world > 1:
        torch.set_num_threads(max(1, cores() // launch.local_world))


def cores() -> int:
    """Cores that this process may use, as far as the system says."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def make_lab(config: SweepConfig, say: Say) -> Lab:
    """What measures, once the reference is found to exist."""
    reference = open_reference(config.reference)
    lab = Lab(config.base, config.features_text, None, config.metrics, config.base.batch_size, say)
    reference.check(lab.extractor)
    return lab


def open_sweep(config: SweepConfig, store: Store, labs: list[Lab], say: Say) -> Plan:
    """The plan, checked and added to what the folder holds; without grids it has no points."""
    config.check()
    store.check()
    if config.grids or config.further:
        config.parse()
        labs.append(make_lab(config, say))
        plan = make_plan(config, labs[0])
    elif (record := store.record()) is not None:
        plan = Plan((), (), record, ())
    else:
        raise UsageError(f"{store.folder} holds no sweep yet; pass --grid, like --grid candidates=1,2,4")
    if config.against is not None:
        check_against(config.against, plan.record)
    if plan.points:
        ensure_writable_dir(store.folder)
        with Worker(store.work, config.lease) as opener:
            opener.wait_for("open")
            store.open(plan.record, [point.named for point in plan.points])
            opener.release("open")
    return plan


def is_done(store: Store, keep_images: bool, job: Job) -> bool:
    """Whether a seed set is measured, and its images are there if they are to be kept."""
    kept = not keep_images or store.images_path(job.point.id, job.number).exists()
    return kept and store.has(job.point.id, job.number)


def _compared(config: SweepConfig, store: Store) -> Comparison | None:
    if config.against is None:
        return None
    comparison = compare(store.folder, config.against)
    write_comparison(store.folder, comparison)
    return comparison


@dataclass
class _Shift:
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
        while left := self.tally.look():
            self.check()
            job = self._claim(left)
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
        self.stop.check(f"{done} of {sets} seed sets are measured, run the same command to go on")

    def _check_file(self, job: Job) -> None:
        if fault := self.store.remove_damaged(job.point.id, job.number):
            self.warn(f"{fault}; it is measured again")

    def _claim(self, left: list[Job]) -> Job | None:
        """The first seed set that no living process has."""
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
        record = SetRecord(measured.figures, measured.cost, environment(self.lab.device), processes)
        self.store.write_set(point.id, job.number, measured, record)

    def _reference(self) -> Reference:
        """What figures compare with, loaded for the first seed set."""
        if self.reference is None:
            self.reference = load_reference(
                self.config.reference, self.lab.extractor, progress=lambda done, total: self.check()
            )
        return self.reference
