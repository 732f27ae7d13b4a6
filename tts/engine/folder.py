"""Run folders: where a run keeps its plan, shards and record, and how one takes another's place.

While a run is at work its folder has ``plan.json`` and ``.work`` (locks, times); the record, such
as ``run.json``, is written last and ends it. A run that is to be overwritten stays whole until the new one,
in the folder ``.unfinished`` inside, is finished.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tts.engine.plan import PLAN_FILE, Plan, ShardRange
from tts.engine.shards import glance, shard_name
from tts.errors import CheckpointError
from tts.io import atomic_path, remove_path
from tts.locks import SUFFIX, Lock
from tts.pipeline import Item
from tts.records import read_record

STAGING = ".unfinished"
WORK = ".work"
MOVING = "moving"


@dataclass(frozen=True)
class Layout:
    """Where runs of some kinds keep their files: the record, shards in the folder ``shards``, and others."""

    record: str
    kinds: tuple[str, ...]
    shards: str = "."
    owns: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunFolder:
    """A run that is open for work: the folder that the user named, the one it is made in, plan and items."""

    out: Path
    path: Path
    layout: Layout
    plan: Plan
    items: Sequence[Item] = field(repr=False)

    @cached_property
    def shards(self) -> list[ShardRange]:
        """All shards of the plan."""
        return self.plan.shards()

    @property
    def work(self) -> Path:
        """Folder of locks and times."""
        return self.path / WORK

    def shard_path(self, number: int) -> Path:
        """Where a shard lies once it is whole."""
        return self.path / self.layout.shards / shard_name(number)

    def partial_path(self, number: int) -> Path:
        """Where a stopped process keeps the batches of a shard."""
        return self.work / f"partial-{number:05d}.safetensors"

    def present(self) -> set[int]:
        """Numbers of the shards that are there; each was whole when its name appeared."""
        folder = self.path / self.layout.shards
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        return {shard.number for shard in self.shards if shard_name(shard.number) in names}

    def finished(self) -> bool:
        """Whether the record stands for this plan, in its folder or, once it was moved, in the user's."""
        folder = self.path if (self.path / PLAN_FILE).exists() else self.out
        return recorded_plan(folder, self.layout) == self.plan.id

    def lost(self) -> bool:
        """Whether the folder was removed, or holds another run now."""
        plans = [Plan.load(folder) for folder in (self.path, self.out)]
        return self.plan.id not in [plan.id for plan in plans if plan]


@dataclass(frozen=True)
class _Stands:
    plan: str | None = None


def recorded_plan(folder: Path, layout: Layout) -> str | None:
    """The id of the plan that a folder's record stands for, "" if it names none; ``None`` without record."""
    return plan_named_in(folder / layout.record)


def plan_named_in(path: Path) -> str | None:
    """The id of the plan that a record names, "" if it names none; ``None`` without the file."""
    if not path.is_file():
        return None
    try:
        return read_record(path, _Stands, "record", "make it anew").plan or ""
    except CheckpointError:
        return ""


def remove_run(folder: Path, layout: Layout) -> None:
    """Remove a run's own files, the record first; files of others stay."""
    (folder / layout.record).unlink(missing_ok=True)
    for name in (PLAN_FILE, *layout.owns):
        remove_path(folder / name)
    shards = folder / layout.shards
    for path in shards.glob("shard-*.safetensors") if shards.is_dir() else ():
        path.unlink(missing_ok=True)
    clear_work(folder / WORK)


def replace_run(out: Path, staging: Path, layout: Layout) -> None:
    """Put the finished run of ``staging`` in the place of the one in ``out``; other files there stay.

    Only the process that is ``opening`` the folder ``out`` may do so. It may die in the middle: the next
    one goes on. Nothing is left to do where another one has done it.
    """
    moving = staging / MOVING
    if not moving.exists() and recorded_plan(staging, layout) is None:
        return
    if not moving.exists():
        remove_run(out, layout)
        with atomic_path(moving) as temporary:
            temporary.touch()
    last = staging / layout.record
    remove_path(staging / WORK)
    for path in sorted(staging.iterdir()):
        if path not in (moving, last, staging / WORK):
            _move(path, out)
    if last.exists():
        last.replace(out / last.name)
    shutil.rmtree(staging, ignore_errors=True)


def clear_work(work: Path) -> None:
    """Remove what an ended run needed, and the locks of dead processes."""
    for path in work.iterdir() if work.is_dir() else ():
        if path.suffix != SUFFIX or path.is_dir():
            remove_path(path)
        elif lock := Lock.take(path):
            lock.release()


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders of killed processes; only where no other is at work.

    Those of a run inside that is to replace this one stay.
    """
    for path in folder.rglob(".*.tmp"):
        if STAGING not in path.relative_to(folder).parts and re.search(r".\.[0-9a-f]{8}0?\.tmp$", path.name):
            remove_path(path)


def _move(path: Path, folder: Path) -> None:
    """Move a file or folder; a folder that is there already takes the contents."""
    target = folder / path.name
    if path.is_dir() and target.is_dir():
        for inner in sorted(path.iterdir()):
            _move(inner, target)
        path.rmdir()
    else:
        path.replace(target)


def broken_shards(run: RunFolder) -> list[str]:
    """What is wrong, as far as headers tell, with shards that are there; such shards are removed."""
    faults = []
    for number in sorted(run.present()):
        fault = glance(run.shard_path(number), run.shards[number])
        if fault:
            faults.append(fault)
            run.shard_path(number).unlink(missing_ok=True)
    return faults
