"""What a folder holds: a run of ``tts sample``, or a data set of ``tts collect`` or of earlier versions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tts.data.collect import LAYOUT as DATA
from tts.data.manifest import Manifest
from tts.data.store import existing
from tts.engine.folder import MOVING, STAGING, WORK, Layout, RunFolder, plan_named_in, recorded_plan
from tts.engine.plan import PLAN_FILE, Plan
from tts.engine.verifying import Fault, brief
from tts.errors import CheckpointError, UsageError
from tts.outputs import read_run
from tts.sample_job import LAYOUT as SAMPLE

REPAIR = "repair.json"
"""File of a run's work folder while it is repaired, until all is made again."""


@dataclass(frozen=True)
class Found:
    """A folder's plan, ``None`` for data sets of earlier versions, and its manifest if it has a whole one.

    ``faults`` are those of the plan and of the record, ``manifest.json`` or ``run.json``.
    """

    folder: Path
    plan: Plan | None
    manifest: Manifest | None
    faults: tuple[Fault, ...] = ()

    @property
    def kind(self) -> str:
        """``sample``, ``generated`` or ``real``."""
        return self.plan.kind if self.plan else self.manifest.kind if self.manifest else ""

    @property
    def layout(self) -> Layout:
        """Where its files lie."""
        return SAMPLE if self.kind == "sample" else DATA

    @cached_property
    def run(self) -> RunFolder | None:
        """The run folder without its items, which nothing here needs."""
        return RunFolder(self.folder, self.folder, self.layout, self.plan, ()) if self.plan else None

    @property
    def ended(self) -> bool:
        """Whether all shards must be there: the record stands for the plan, is damaged or being repaired."""
        record = recorded_plan(self.folder, self.layout)
        if self.plan is not None and repair_begun(self.folder, self.plan):
            return True
        if record is None or self.plan is None:
            return record is not None
        return record == self.plan.id or any(fault.name == self.layout.record for fault in self.faults)

    @property
    def replaced(self) -> Path | None:
        """The folder inside in which ``--overwrite`` makes another run, if there is one."""
        staging = self.folder / STAGING
        return staging if staging.is_dir() else None


def find(folder: Path) -> Found:
    """Look at a folder; refuses what is neither a run nor a data set."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; give one of 'tts sample' or 'tts collect'")
    if (folder / STAGING / MOVING).exists():
        raise UsageError(f"{folder} is only half replaced; run the command that did so again")
    plan, plan_fault = _plan(folder)
    manifest, record_fault = _record(folder, plan)
    faults = tuple(fault for fault in (plan_fault, record_fault) if fault)
    if plan is None and manifest is None:
        if faults:
            raise CheckpointError(f"{folder} cannot be read: {faults[0]}; make it again")
        if (folder / SAMPLE.record).exists():
            raise UsageError(
                f"{folder} holds {SAMPLE.record} of an earlier version but no {PLAN_FILE}; sample it again"
            )
        raise UsageError(
            f"{folder} holds no {PLAN_FILE} and no {DATA.record};"
            " give a folder of 'tts sample' or 'tts collect'"
        )
    return Found(folder, plan, manifest, faults)


def repair_begun(folder: Path, plan: Plan) -> bool:
    """Whether a repair of a finished run began and did not end."""
    return plan_named_in(folder / WORK / REPAIR) == plan.id


def _plan(folder: Path) -> tuple[Plan | None, Fault | None]:
    path = folder / PLAN_FILE
    try:
        plan = Plan.load(folder)
    except CheckpointError as error:
        return None, Fault(PLAN_FILE, brief(error, path))
    if plan and plan.kind not in (*SAMPLE.kinds, *DATA.kinds):
        return None, Fault(PLAN_FILE, f"is of kind {plan.kind!r}, which this version does not know")
    return plan, None


def _record(folder: Path, plan: Plan | None) -> tuple[Manifest | None, Fault | None]:
    """The manifest of a data set, and what is wrong with the record."""
    layout = SAMPLE if plan and plan.kind == "sample" else DATA
    path = folder / layout.record
    if plan and repair_begun(folder, plan) and recorded_plan(folder, layout) != plan.id:
        return None, Fault(path.name, "was taken back by a repair that did not end")
    try:
        if layout is DATA:
            return existing(folder), None
        if path.exists():
            read_run(folder)
    except CheckpointError as error:
        return None, Fault(path.name, brief(error, path))
    return None, None
