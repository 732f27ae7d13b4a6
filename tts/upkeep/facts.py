"""What ``tts data info`` says of a folder; nothing is changed, and no backbone is built."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts.data.folders import left_out_line
from tts.data.manifest import Manifest
from tts.engine.folder import RunFolder
from tts.engine.plan import Plan
from tts.engine.shards import remarks_of, skipped_of
from tts.engine.worker import at_work, who
from tts.errors import CheckpointError
from tts.images import Tally, remark_lines, tally_remarks
from tts.io import map_tensors
from tts.records import parse_record
from tts.upkeep.command import command_of
from tts.upkeep.found import Found, find

ENVIRONMENT = ("environment", "timing", "skipped", "remarks", "folder", "merged")
"""Settings of a manifest that say how it came about."""


@dataclass(frozen=True)
class Balance:
    """Images a class: of how many classes, and the least and most frequent of them."""

    classes: int
    lowest: int
    lowest_class: int
    highest: int
    highest_class: int

    @classmethod
    def of(cls, counts: dict[int, int]) -> Balance | None:
        """From the numbers of images; ``None`` without classes."""
        if not counts:
            return None
        low, high = min(counts, key=lambda c: (counts[c], c)), min(counts, key=lambda c: (-counts[c], c))
        return cls(len(counts), counts[low], low, counts[high], high)


@dataclass(frozen=True)
class Facts:
    """What a folder holds. ``skipped`` names unreadable images, ``unreadable`` shards that cannot be read.

    ``remarks`` are lines on images taken otherwise than they look, and on files that were left out.
    ``choices`` are what each segment asked for; ``go_on`` is the command for an unfinished run; ``at_work``
    are processes in words; ``replacement`` is the run that ``--overwrite`` is making inside.
    """

    folder: str
    kind: str
    backbone: dict[str, Any]
    settings: dict[str, Any]
    choices: list[dict[str, Any]]
    images: int
    images_planned: int
    shards: int
    shards_planned: int
    balance: Balance | None
    skipped: int
    skipped_names: tuple[str, ...]
    remarks: tuple[str, ...]
    unreadable: tuple[str, ...]
    faults: tuple[str, ...]
    finished: bool
    go_on: str | None
    at_work: str | None
    bytes: int
    plan: str | None
    replacement: str | None


@dataclass
class Census:
    """Counts of the shards that are there."""

    shards: int = 0
    images: int = 0

    def __post_init__(self) -> None:
        self.classes: Counter[int] = Counter()
        self.skipped: list[str] = []
        self.remarks: list[str] = []
        self.unreadable: list[str] = []

    def add(self, path: Path) -> None:
        """Count a shard, of which only labels and metadata are read."""
        self.shards += 1
        try:
            tensors, metadata = map_tensors(path)
            labels = tensors["labels"].tolist()
            self.skipped += skipped_of(path, metadata) if "skipped" in metadata else ()
            self.remarks += remarks_of(path, metadata)
        except (CheckpointError, KeyError):
            self.unreadable.append(path.name)
            return
        self.images += len(labels)
        self.classes.update(labels)


def gather(folder: Path) -> Facts:
    """Look at a folder."""
    found = find(folder)
    census = Census()
    for path in _shards(found):
        census.add(path)
    if found.kind != "sample":  # classes without images count
        for label in range(_classes(found)):
            census.classes.setdefault(label, 0)
    plan, manifest = found.plan, found.manifest
    finished = found.ended and not found.faults
    return Facts(
        folder=str(folder),
        kind=found.kind,
        backbone=_backbone(found),
        settings=_settings(plan, manifest),
        choices=[segment.choice for segment in plan.segments] if plan else [],
        images=census.images,
        images_planned=plan.items if plan else manifest.items if manifest else 0,
        shards=census.shards,
        shards_planned=len(found.run.shards) if found.run else len(manifest.shards) if manifest else 0,
        balance=Balance.of(census.classes),
        skipped=len(census.skipped),
        skipped_names=tuple(census.skipped),
        remarks=tuple(_remarks(census, manifest)),
        unreadable=tuple(census.unreadable),
        faults=tuple(map(str, found.faults)),
        finished=finished,
        go_on=command_of(plan, folder) if plan and not finished else None,
        at_work=who(at_work(folder)) or None,
        bytes=_size(folder),
        plan=plan.id if plan else manifest.plan if manifest else None,
        replacement=_replacement(found),
    )


def _remarks(census: Census, manifest: Manifest | None) -> Iterator[str]:
    """What was remarked on images, and what a folder of images held besides."""
    yield from remark_lines(tally_remarks(census.remarks), census.images + len(census.skipped))
    recorded = manifest.settings.get("folder") if manifest else None
    if isinstance(recorded, dict) and recorded.get("left_out"):
        text = json.dumps(recorded["left_out"])
        left_out = parse_record(text, Tally, "the manifest", "count of files", "collect again")
        if left_out.count:
            yield left_out_line(left_out)


def _shards(found: Found) -> Iterable[Path]:
    """The shards that are there."""
    if found.run is not None:
        return [found.run.shard_path(number) for number in sorted(found.run.present())]
    names = [shard.name for shard in found.manifest.shards] if found.manifest else []
    return [found.folder / name for name in names if (found.folder / name).exists()]


def _classes(found: Found) -> int:
    if found.manifest is not None:
        return found.manifest.identity.classes
    return int(found.plan.identity.get("classes", 0)) if found.plan else 0


def _backbone(found: Found) -> dict[str, Any]:
    """Name, schedule and weights' hash."""
    if found.manifest is not None:
        identity = found.manifest.identity
        return {"name": identity.name, "schedule": list(identity.schedule), "weights": identity.weights}
    assert found.plan is not None
    given = found.plan.identity
    name = given.get("name", found.plan.settings.get("backbone"))
    weights = given.get("weights", given.get("weights_sha256"))
    return {"name": name, "schedule": given.get("schedule"), "weights": weights}


def _settings(plan: Plan | None, manifest: Manifest | None) -> dict[str, Any]:
    """What decided how the images came out: as asked for, and as the backbone's defaults filled it in."""
    if plan is not None:
        known = {
            "weights_sha256",
            "schedule",
            "name",
            "classes",
            "codebook_size",
            "channels",
            "grid",
            "weights",
        }
        filled = {k: v for k, v in plan.identity.items() if k not in known} if plan.kind == "sample" else {}
        return {**plan.settings, **filled}
    recorded = manifest.settings if manifest else {}
    return {key: value for key, value in recorded.items() if key not in ENVIRONMENT}


def _replacement(found: Found) -> str | None:
    """How far the run in the folder inside is, in words."""
    if found.replaced is None:
        return None
    plan = Plan.load(found.replaced)
    if plan is None:
        return None
    run = RunFolder(found.folder, found.replaced, found.layout, plan, ())
    present = sum(run.shards[number].count for number in run.present())
    return f"{present} of {plan.items} images in {found.replaced}"


def _size(folder: Path) -> int:
    """Bytes of all files; some may vanish while we look."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total
