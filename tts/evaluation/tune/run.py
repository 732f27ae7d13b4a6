"""The work of ``tts tune``: from a configuration to settings that are confirmed, or a word that none are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts.engine.folder import remove_leftovers
from tts.engine.launch import Launch
from tts.engine.stopping import Stop
from tts.engine.worker import Worker, who
from tts.errors import UsageError
from tts.evaluation.references import reference_features, split_reference
from tts.evaluation.tune.bench import LabBench
from tts.evaluation.tune.budget import Clock
from tts.evaluation.tune.config import Asked, TuneConfig
from tts.evaluation.tune.confirm import Finding, Plan, confirm, judge
from tts.evaluation.tune.desk import GO_ON, Desk, Half
from tts.evaluation.tune.halving import Limit
from tts.evaluation.tune.records import Ledger, Trial, expected, made
from tts.evaluation.tune.search import Search
from tts.evaluation.tune.setup import Setup, set_up
from tts.evaluation.tune.speeds import probe_arms
from tts.evaluation.tune.store import (
    BASELINE_FILE,
    SETTINGS_FILE,
    TUNE,
    WINNER_FILE,
    TuneStore,
    full_record,
    read_tune,
)
from tts.evaluation.tune.summary import Summary
from tts.io import ensure_writable_dir
from tts.runinfo import environment
from tts.settings_file import write_settings
from tts.workspace import place_of

SEED_SETS = 1000
"""Seed sets of a tune's seed: the first ones are searched with, those from ``CONFIRMING`` on confirm."""

CONFIRMING = 100

Say = Callable[[str], None]
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class TuneSummary:
    """What a tune found, in its folder; ``finished_before`` where nothing was left to do."""

    out: Path
    summary: Summary
    record: dict[str, Any]
    finished_before: bool
    remarks: tuple[str, ...]


def run_tune(
    config: TuneConfig, report: Report = lambda done, total: None, warn: Say = lambda message: None
) -> TuneSummary:
    """Search, confirm and write; what the folder holds of the same tune is not measured again."""
    world = Launch.from_environment().world
    if world > 1:
        raise UsageError(f"tune is the work of one process, got {world}; start it without torchrun")
    asked, clock = config.parse(), Clock()
    setup = set_up(config, asked, warn)
    config = setup.config
    store = TuneStore(ensure_writable_dir(Path(config.out) if config.out else place_of(setup.name).tune))
    with Worker(store.work) as worker, Stop() as stop:
        if not worker.take("tune"):
            raise UsageError(f"{store.folder} is in use by {who(worker.others())}; choose another --out")
        remove_leftovers(store.folder)
        ledger = store.open(setup.record, config.overwrite)
        clock.spent = ledger.spent
        return _Session(config, asked, setup, store, ledger, clock, stop, report).run()


@dataclass(frozen=True)
class _Session:
    """One process's work on a tune."""

    config: TuneConfig
    asked: Asked
    setup: Setup
    store: TuneStore
    ledger: Ledger
    clock: Clock
    stop: Stop
    report: Report

    def run(self) -> TuneSummary:
        """Do what is left to do, and write what came of it."""
        setup, ledger = self.setup, self.ledger
        if ledger.trial is not None and ledger.trial.closed and (self.store.folder / SETTINGS_FILE).exists():
            return self._finished(ledger.trial)
        features = reference_features(
            self.config.reference,
            setup.lab.extractor,
            progress=lambda done, total: self.stop.check(GO_ON),
            say=setup.lab.say,
        )
        halves = dict(zip(Half, split_reference(features, self.config.seed), strict=True))
        sizes = {half.value: len(half_of.features or ()) for half, half_of in halves.items()}
        made_by = environment(setup.lab.device)

        def save(ledger: Ledger) -> None:
            self.store.write(full_record(setup.record, self.asked.budget, ledger, sizes, made_by))
            self.report(made(ledger), expected(ledger))

        bench = LabBench(setup.lab, self.config.base, halves, self.stop)
        desk = Desk(bench, self.asked.objective, ledger, self.clock, self.asked.budget, self.stop, save)
        if ledger.probes:  # the first measurement of a process is slower than those that follow
            bench.measure(probe_arms(setup.space)[0], self._first_set, setup.floor, Half.SEARCH)
        finding = self._tune(desk)
        record = full_record(setup.record, self.asked.budget, ledger, sizes, made_by, finding)
        self._write(finding, record)
        return self._result(finding, record, False)

    def _finished(self, trial: Trial) -> TuneSummary:
        """What was found before."""
        finding = judge(trial, self.asked.objective)
        return self._result(finding, read_tune(self.store.folder / TUNE, dict[str, Any]), True)

    def _tune(self, desk: Desk) -> Finding:
        """Search with some seed sets and confirm with others."""
        setup, first = self.setup, self._first_set
        limit = Limit(self.config.max_overhead)
        search = Search(setup.space, limit, setup.floor, setup.classes, self.config.seed, first)
        winner, baselines = search.run(desk)
        plan = Plan(setup.floor, setup.classes, first + CONFIRMING)
        return confirm(desk, setup.space, winner, baselines, plan)

    @property
    def _first_set(self) -> int:
        """The first seed set of this tune's seed; those below are left to other commands."""
        return SEED_SETS * (self.config.seed + 1)

    def _write(self, finding: Finding, record: dict[str, Any]) -> None:
        """Write what was found; the recommended settings, which say that the tune is finished, come last."""
        text = self._summary(finding).markdown(self.setup.record.command, str(self.store.folder))
        self.store.write_summary(text)
        self.store.write(record)
        for name, arm in (
            (WINNER_FILE, finding.winner),
            (BASELINE_FILE, finding.baseline),
            (SETTINGS_FILE, finding.recommended),
        ):
            notes = {"tune": {"verdict": finding.verdict.value, "setting": arm.label}}
            write_settings(self.store.folder / name, self.config.settings(arm), notes)

    def _summary(self, finding: Finding) -> Summary:
        return Summary(self.setup.record.features_title, self.asked.objective, finding, self.ledger)

    def _result(self, finding: Finding, record: dict[str, Any], before: bool) -> TuneSummary:
        return TuneSummary(
            self.store.folder, self._summary(finding), record, before, self.setup.remarks(record["halves"])
        )
