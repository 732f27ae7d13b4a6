"""The work of ``tts sweep``: any number of processes measure the seed sets of its points, then sum up."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from tts.engine.folder import clear_work, remove_leftovers
from tts.engine.launch import Launch, agree
from tts.engine.progress import Report
from tts.engine.stopping import Stop
from tts.engine.worker import Worker, opening
from tts.errors import UsageError
from tts.evaluation.references import open_reference
from tts.evaluation.sweep.against import Comparison, check_against, compare, write_comparison
from tts.evaluation.sweep.config import SweepConfig
from tts.evaluation.sweep.lab import Lab
from tts.evaluation.sweep.plan import Plan, make_plan
from tts.evaluation.sweep.reading import Results, read_results
from tts.evaluation.sweep.record import SweepRecord
from tts.evaluation.sweep.shift import Say, Shift, is_done
from tts.evaluation.sweep.store import Store
from tts.evaluation.sweep.summing import sum_up
from tts.evaluation.sweep.tally import Tally, jobs_of
from tts.evaluation.sweep.timing import check_timing, time_points
from tts.io import ensure_writable_dir
from tts.resolve import find_backbone, torch_device
from tts.workspace import place_of


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

    Without grids the folder's points are timed, if that is asked for, summed up, and compared.
    """
    launch = Launch.from_environment()
    if config.out is None:
        name = find_backbone(config.base.backbone, config.base.weights)[0].name
        config = replace(config, out=str(place_of(name).sweep))
    store, once = Store(Path(str(config.out))), Once(warn)
    labs: list[Lab] = []  # rank 0 needs its own to check what is asked for
    plan = agree(launch, lambda: open_sweep(config, store, labs, once))
    set_threads(config.threads, launch)
    made = 0
    with Worker(store.work) as worker, Stop() as stop:
        time_points(config, store, worker, stop, report, once)
        if plan.points:
            lab = labs[0] if labs else make_lab(config, once)
            done = partial(is_done, store, config.keep_images)
            tally = Tally(done, jobs_of(plan.points, plan.seed_sets), config.images, worker, report)
            made = Shift(config, store, lab, worker, stop, tally, once).work()
        notes = sum_up(store, worker, torch_device(config.base.device))
        comparison = _compared(config, store) if launch.main else None
        with opening(store.folder):
            if not worker.others():
                remove_leftovers(store.folder)
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
    check_timing(config, Launch.from_environment())
    store.check()
    if config.grids or config.further:
        config.parse()
        labs.append(make_lab(config, say))
        plan = make_plan(config, labs[0])
    else:
        plan = Plan((), (), measured_record(store), ())
    if config.against is not None:
        check_against(config.against, plan.record)
    if plan.points:
        ensure_writable_dir(store.folder)
        with opening(store.folder):
            store.open(plan.record, [point.named for point in plan.points])
    return plan


def measured_record(store: Store) -> SweepRecord:
    """What was asked for in a folder that has a measured seed set at least."""
    record = store.record()
    if record is None or not any(map(store.numbers, record.points)):
        raise UsageError(f"{store.folder} holds no figures yet; pass --grid, like --grid candidates=1,2,4")
    return record


def _compared(config: SweepConfig, store: Store) -> Comparison | None:
    if config.against is None:
        return None
    comparison = compare(store.folder, config.against)
    write_comparison(store.folder, comparison)
    return comparison
