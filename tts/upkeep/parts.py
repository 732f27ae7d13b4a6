"""Copying the shards of one plan from the several folders that they were made in."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from tts.data.collect import LISTING
from tts.engine.folder import WORK, RunFolder
from tts.engine.plan import ShardRange
from tts.engine.verifying import Fault, Finding, recorded_digest, verify_shard
from tts.errors import CheckpointError, RunError, reason
from tts.io import atomic_path, make_folder
from tts.outputs import image_path
from tts.run_images import PNG, items_of
from tts.upkeep.found import Found
from tts.upkeep.sample_files import image_faults

Say = Callable[[str], None]


def copy_parts(parts: Sequence[Found], out: Path, tell: Callable[[int, int], None], note: Say) -> RunFolder:
    """Copy all shards that any part has, and what belongs to them, checked on the way; gives the new run."""
    plan = parts[0].plan
    assert plan is not None
    run = RunFolder(out, out, parts[0].layout, plan, ())
    for listing in [part.folder / LISTING for part in parts if (part.folder / LISTING).exists()][:1]:
        _copy(listing, out / LISTING)
    plan.save(out)
    for shard in run.shards:
        found = [part.run for part in parts if part.run and part.run.shard_path(shard.number).exists()]
        findings = [_checked(part, shard) for part in found]
        paths = [part.shard_path(shard.number) for part in found]
        if len({recorded_digest(path, shard) for path in paths}) > 1:
            note(f"{paths[0]} and {paths[1]} differ, as on different devices; the first is taken")
        if found:
            _copy_shard(found[0], run, findings[0])
        tell(shard.number + 1, len(run.shards))
    return run


def _checked(part: RunFolder, shard: ShardRange) -> Finding:
    """A shard and its images, read and compared with their checksums; faults are refused by name."""
    finding = verify_shard(part, shard, ended=True)
    faults = [finding.fault] if finding.fault else []
    if finding.rows is not None:
        faults += image_faults(part.path, shard, finding.rows)
    if faults:
        raise _refusal(part.path, faults[0])
    return finding


def _refusal(folder: Path, fault: Fault) -> CheckpointError:
    return CheckpointError(f"{folder}: {fault}; run 'tts data verify {folder} --repair', then merge again")


def _copy_shard(source: RunFolder, target: RunFolder, finding: Finding) -> None:
    """Copy images first, then the shard, as the engine writes them; and how long it took, if known."""
    number = finding.shard.number
    if finding.rows is not None and PNG in finding.rows.tensors:
        for item in items_of(finding.rows):
            _copy(image_path(source.path, item), image_path(target.path, item))
    _copy(source.shard_path(number), target.shard_path(number))
    seconds = source.path / WORK / f"time-{number:05d}.json"
    if seconds.exists():
        _copy(seconds, target.path / WORK / seconds.name)


def _copy(source: Path, target: Path) -> None:
    make_folder(target.parent)
    with atomic_path(target) as temporary:
        try:
            shutil.copyfile(source, temporary)
        except OSError as error:  # which names the source, whichever side failed
            raise RunError(
                f"cannot copy {source} to {target} ({reason(error)}); check the space and the rights there"
            ) from error
