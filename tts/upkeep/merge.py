"""Merging folders: the parts of one plan into its run, or finished data sets into one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tts.data.manifest import Kind
from tts.data.merging import check_alike, distinct, merged_settings, write_merged
from tts.data.store import TokenStore
from tts.data.writing import StoreWriter
from tts.engine.folder import RunFolder
from tts.engine.progress import Report
from tts.engine.worker import at_work, who
from tts.errors import RunError, TtsError, UsageError
from tts.io import ensure_writable_dir
from tts.upkeep.command import command_of, config_of
from tts.upkeep.found import Found, find
from tts.upkeep.parts import copy_parts
from tts.upkeep.repair import carry_out, check_alone

Say = Callable[[str], None]
Bar = Callable[[str, str], AbstractContextManager[Callable[[int, int], None]]]


@dataclass(frozen=True)
class Merged:
    """What was merged: images, shards that are there and in all, and exact duplicates that were left out.

    ``run`` is that of the parts of one plan; where all of its shards are there, it is still to be finished.
    """

    out: Path
    kind: str
    images: int
    shards: int
    shards_planned: int
    dropped: int = 0
    run: RunFolder | None = None

    @property
    def complete(self) -> bool:
        """Whether all shards are there."""
        return self.shards == self.shards_planned

    @property
    def go_on(self) -> str | None:
        """The command that makes the shards that no part has."""
        return None if self.complete or self.run is None else command_of(self.run.plan, self.out)


def merge(folders: Sequence[Path], out: Path, bar: Bar, note: Say = lambda message: None) -> Merged:
    """Merge folders into a new one; a run whose parts are all there is left for ``finish``."""
    check_alone("merging")
    found = [_usable(folder) for folder in folders]
    check_folders(folders, out)
    plans = {one.plan.id if one.plan else None for one in found}
    if None not in plans and len(plans) == 1:
        return _merge_parts(found, out, bar, note)
    _check_sets(found)
    return _merge_sets(found, out, bar)


def finish(merged: Merged, device: str, report: Report, warn: Say) -> None:
    """Write what a run has beside its shards, and its record; needs the backbone."""
    assert merged.run is not None
    plan = merged.run.plan
    try:
        carry_out(config_of(plan, merged.out, device), merged.run, None, lambda opened: None, report, warn)
    except TtsError as error:
        raise RunError(
            f"all shards are in {merged.out}, but the run could not be finished there ({error});"
            f" finish it with: {command_of(plan, merged.out)}"
        ) from error


def check_folders(folders: Sequence[Path], out: Path) -> None:
    """Refuse a folder that is given twice, and an output folder that is not new."""
    if len(folders) < 2:
        raise UsageError(f"merging needs at least two folders, got {len(folders)}")
    seen: set[Path] = set()
    for folder in folders:
        if folder.resolve() in seen:
            raise UsageError(f"{folder} is given twice; give each folder once")
        seen.add(folder.resolve())
        if out.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"--out {out} is, or lies in, {folder}, which is merged; choose another --out")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"--out {out} is not an empty folder; remove it or choose another")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """An empty folder, which is empty or gone again after an exception."""
    made = not out.exists()
    ensure_writable_dir(out)
    try:
        yield out
    except BaseException:
        for path in out.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if made:
            out.rmdir()
        raise


def _usable(folder: Path) -> Found:
    """What a folder holds; it must be whole as far as its records tell, and at rest."""
    found = find(folder)
    if found.faults:
        raise UsageError(
            f"{folder}: {found.faults[0]}; run 'tts data verify {folder} --repair', then merge again"
        )
    if busy := at_work(folder):
        raise UsageError(f"{who(busy)} is at work in {folder}; wait for it, then merge")
    return found


def _merge_parts(parts: list[Found], out: Path, bar: Bar, note: Say) -> Merged:
    """The run of a plan whose shards were made in several places."""
    plan = parts[0].plan
    assert plan is not None
    config_of(plan, out)  # refuses the plan of another version before anything is copied
    with new_folder(out), bar("merging", "shards") as tell:
        run = copy_parts(parts, out, tell, note)
    present = run.present()
    images = sum(run.shards[number].count for number in present)
    return Merged(out, plan.kind, images, len(present), len(run.shards), run=run)


def _check_sets(found: Sequence[Found]) -> None:
    """Refuse what is neither parts of one plan nor finished data sets."""
    first = found[0]
    for one in found[1:]:
        if "sample" in (first.kind, one.kind):
            raise UsageError(
                f"{first.folder} and {one.folder} are not parts of one plan{_differences(first, one)};"
                " runs of 'tts sample' merge where one command made them with different --shard i/n"
            )
    for one, other in ((first, found[1]), *((one, first) for one in found[1:])):
        if not one.ended:
            raise UsageError(
                f"{one.folder} is unfinished, and no part of the same plan as {other.folder}"
                f"{_differences(one, other)}; finish it first, see 'tts data info {one.folder}'"
            )


def _differences(a: Found, b: Found) -> str:
    """In what two plans differ, in words."""
    if a.plan is None or b.plan is None:
        return ""
    names = a.plan.differences(b.plan) or ["items"]
    return f" (they differ in {', '.join(names)})"


def _merge_sets(found: Sequence[Found], out: Path, bar: Bar) -> Merged:
    """A new data set with the items of several."""
    stores = [TokenStore.open(one.folder) for one in found]
    check_alike(stores, [one.plan.identity.get("images") if one.plan else None for one in found])
    keep = distinct(stores)
    first = stores[0].manifest
    with new_folder(out), bar("merging", "shards") as tell:
        kind: Kind = "real" if first.kind == "real" else "generated"
        writer = StoreWriter(out, kind, first.identity, merged_settings(stores))
        done = write_merged(stores, keep, writer, tell)
        shards = len(writer.close().shards)
    return Merged(out, first.kind, done.items, shards, shards, dropped=done.dropped)
