"""Repairing a folder: broken shards are removed and made again, from nothing but its plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tts.data.collect import LISTING
from tts.data.collect_config import CollectConfig
from tts.data.collect_run import run_collect
from tts.data.manifest import Manifest
from tts.engine.folder import RunFolder
from tts.engine.launch import Launch
from tts.engine.progress import Report
from tts.engine.verifying import recorded_digest
from tts.engine.worker import at_work, who
from tts.errors import UsageError
from tts.io import atomic_path, sha256_file, write_json
from tts.records import read_record
from tts.sample_run import run_sample
from tts.upkeep.command import Config, config_of
from tts.upkeep.found import REPAIR, Found
from tts.upkeep.verify import Verdict

Say = Callable[[str], None]
Prepare = Callable[[RunFolder], None]


def silent(message: str) -> None:
    """Say nothing."""


def repair(
    verdict: Verdict,
    device: str = "auto",
    report: Report = lambda progress: None,
    warn: Say = silent,
    note: Say = silent,
) -> None:
    """Make again what a verdict found broken, and finish the run again if it was finished.

    No shard is removed before the backbone is there and the plan has proved to be its own. Where all shards
    come out as they were, the record stays what it was.
    """
    found = verdict.found
    check_repairable(found)
    assert found.plan is not None
    assert found.run is not None
    config = config_of(found.plan, found.folder, device)
    if any(fault.name == LISTING for fault in verdict.faults):
        (found.folder / LISTING).unlink(missing_ok=True)  # listed anew; other images are refused
    before = {number: _known_digest(found, number) for number in verdict.broken}
    record = found.folder / found.layout.record
    content = record.read_bytes() if found.ended and not _concerns(verdict, record.name) else None
    if not found.ended and _concerns(verdict, record.name):
        record.unlink()  # of the run that is being extended: it is written at the end

    def prepare(run: RunFolder) -> None:
        if found.ended:  # from here on the folder is to be repaired, whenever this process is killed
            write_json(run.work / REPAIR, {"plan": run.plan.id})
        for number in verdict.broken:
            run.shard_path(number).unlink(missing_ok=True)
        if found.ended:
            reopen(run, found)

    carry_out(config, found.run, None if found.ended else verdict.broken, prepare, report, warn)
    changed = [number for number, digest in before.items() if digest != _digest(found, number)]
    if content and not changed:
        with atomic_path(record) as temporary:
            temporary.write_bytes(content)
    names = [found.run.shard_path(number).name for number in changed if before[number] is not None]
    if names:
        which = ", ".join(names)
        note(
            f"{which} came out with another checksum, as on another machine or device; the rest is as it was"
        )


def check_repairable(found: Found) -> None:
    """Refuse to repair what has no plan or is in use."""
    folder = found.folder
    check_alone("repairing")
    if found.plan is None:
        fault = f" ({found.faults[0].what})" if found.faults else ""
        raise UsageError(
            f"{folder} has no plan.json to make its shards again from{fault}; fetch or collect the data again"
        )
    if busy := at_work(folder):
        raise UsageError(f"{who(busy)} is at work in {folder}; stop it before --repair, or wait for it")
    if found.replaced:
        raise UsageError(
            f"{found.replaced} holds a run that is to replace {folder}; finish or remove it before --repair"
        )


def check_alone(what: str) -> None:
    """Refuse to be one of several processes of a launch."""
    if Launch.from_environment().together:
        raise UsageError(f"{what} is the work of one process; start it without torchrun")


def carry_out(
    config: Config,
    run: RunFolder,
    only: list[int] | None,
    prepare: Prepare,
    report: Report = lambda progress: None,
    warn: Say = silent,
) -> None:
    """Let the engine make all shards of a folder that are not there, or ``only`` some."""
    count = len(run.shards)
    for share in [None] if only is None else [f"{number + 1}/{count}" for number in only]:
        one = replace(config, shard=share)
        if isinstance(one, CollectConfig):
            # unreadable images were accepted when the data set was made
            run_collect(replace(one, max_unreadable=1.0), report, warn, prepare)
        else:
            run_sample(one, report, warn, prepare)
        prepare = _nothing


def reopen(run: RunFolder, found: Found) -> None:
    """Take back that a run is finished; a sample run's record keeps the times that it has."""
    path = run.path / run.layout.record
    whole = not any(fault.name == path.name for fault in found.faults)
    if found.kind == "sample" and whole and path.exists():
        write_json(
            path,
            {**read_record(path, dict[str, Any], "record", "make it anew"), "finished": False, "plan": None},
        )
    else:
        path.unlink(missing_ok=True)


def _nothing(run: RunFolder) -> None:
    """Shards that are removed once need no more preparation."""


def _concerns(verdict: Verdict, record: str) -> bool:
    """Whether the record is among what is wrong."""
    return any(fault.name == record for fault in verdict.faults)


def _known_digest(found: Found, number: int) -> str | None:
    """What is known of a shard's checksum while it is broken."""
    assert found.run is not None
    path = found.run.shard_path(number)
    if found.manifest is not None:
        return _listed(found.manifest, path)
    return recorded_digest(path, found.run.shards[number])


def _digest(found: Found, number: int) -> str | None:
    """The checksum of the shard that was made again, of the same sort."""
    assert found.run is not None
    path = found.run.shard_path(number)
    if found.manifest is not None:
        return sha256_file(path) if path.exists() else None
    return recorded_digest(path, found.run.shards[number])


def _listed(manifest: Manifest, path: Path) -> str | None:
    return next((shard.sha256 for shard in manifest.shards if shard.name == path.name), None)
