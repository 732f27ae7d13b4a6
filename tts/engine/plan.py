"""The plan of a run: which items it makes, cut into fixed shards, from its arguments alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from tts import limits
from tts.errors import UsageError
from tts.io import write_json
from tts.pipeline import Item
from tts.records import digest, plain, read_record, tagged

PLAN_FILE = "plan.json"
FORMAT_VERSION = 1
SHARD_ITEMS = 512
"""Items of a shard, and so the most that a killed process loses."""


@dataclass(frozen=True)
class Segment:
    """Items that were asked for together: the fields that chose them, their number and a fingerprint."""

    choice: dict[str, Any]
    items: limits.Items
    fingerprint: str


@dataclass(frozen=True)
class ShardRange:
    """``count`` items from number ``first`` of the plan; the shard's file carries the id ``plan``."""

    number: int
    first: int
    count: int
    plan: str


@dataclass(frozen=True)
class Share:
    """Shards number i, i + n, i + 2 n and so on, counted from 1, of n shares."""

    part: int
    parts: int

    @classmethod
    def parse(cls, text: str) -> Share:
        """Read ``i/n``."""
        part, slash, parts = text.partition("/")
        which, of = limits.whole(part), limits.whole(parts)
        if not (slash and which and of and 1 <= which <= of):
            raise UsageError(f"shard {limits.brief(text)!r} must be i/n with i from 1 to n; for example 2/8")
        if of > limits.SHARDS:
            raise UsageError(
                f"shard {limits.brief(text)!r} has too many shares; {limits.SHARDS} are the most"
            )
        return cls(which, of)

    def __contains__(self, number: object) -> bool:
        """Whether a shard, counted from 0, belongs to the share."""
        return isinstance(number, int) and number % self.parts == self.part - 1


@dataclass(frozen=True)
class Plan:
    """What a run makes. Shards never cross segments, so that adding items leaves finished shards alone.

    ``settings`` decide how an item comes out and ``identity`` holds hashes of what makes it.
    """

    kind: str
    settings: dict[str, Any]
    identity: dict[str, Any]
    shard_items: Annotated[int, Meta(ge=1)]
    segments: Annotated[tuple[Segment, ...], Meta(min_length=1)]

    @property
    def items(self) -> int:
        """Number of items in all."""
        return sum(segment.items for segment in self.segments)

    @property
    def id(self) -> str:
        """A hash of everything that the plan says."""
        return digest(tagged(FORMAT_VERSION, self))

    def shards(self) -> list[ShardRange]:
        """All shards in order."""
        found: list[ShardRange] = []
        start = 0
        for i, segment in enumerate(self.segments):
            # the id of the plan as it was with this segment as its last: extending changes no shard
            owner = replace(self, segments=self.segments[: i + 1]).id
            for first in range(start, start + segment.items, self.shard_items):
                count = min(self.shard_items, start + segment.items - first)
                found.append(ShardRange(len(found), first, count, owner))
            start += segment.items
        return found

    def differences(self, other: Plan) -> list[str]:
        """Names of the settings or, if these agree, of the identities, in which another plan differs."""
        names = _differing(self.settings, other.settings) or _differing(self.identity, other.identity)
        names = names or (["kind"] if self.kind != other.kind else [])
        return names + (["shard_items"] if self.shard_items != other.shard_items else [])

    def __post_init__(self) -> None:
        """Refuse what no run could make."""
        if self.items > limits.ITEMS:
            raise UsageError(f"{self.items} images, a run makes at most {limits.ITEMS}; make several runs")
        if sum(-(-segment.items // self.shard_items) for segment in self.segments) > limits.SHARDS:
            raise UsageError(
                f"{self.items} images in shards of {self.shard_items} make more than {limits.SHARDS} shards;"
                " pass a larger --shard-items"
            )

    def save(self, folder: Path) -> None:
        """Write ``plan.json``."""
        write_json(folder / PLAN_FILE, tagged(FORMAT_VERSION, self))

    @classmethod
    def load(cls, folder: Path) -> Plan | None:
        """The plan of a folder, or ``None`` if there is none."""
        path = folder / PLAN_FILE
        if not path.exists():
            return None
        way_out = "choose another --out or pass --overwrite"
        return read_record(path, cls, "plan", way_out, FORMAT_VERSION, own=True)


@dataclass(frozen=True)
class Request:
    """What a command asks for: a plan of one segment, and the items (label, seed) of its arguments.

    ``any_size`` says that no size of shards was asked for.
    """

    plan: Plan
    items: Sequence[Item]
    any_size: bool = True

    @classmethod
    def of(
        cls,
        kind: str,
        settings: Mapping[str, Any],
        identity: Mapping[str, Any],
        choice: Mapping[str, Any],
        items: Sequence[Item],
        shard_items: int | None = None,
    ) -> Request:
        """Build a request; all fields must be such that JSON gives them back unchanged."""
        if not items:
            raise UsageError("the run has no items; ask for at least one image")
        segment = Segment(plain(choice), len(items), fingerprint(items))
        size = SHARD_ITEMS if shard_items is None else shard_items
        if size < 1:
            raise UsageError(f"shard-items {size} must be at least 1; the default is {SHARD_ITEMS}")
        if size > limits.ITEMS:
            raise UsageError(f"shard-items {limits.brief(size)} must be at most {limits.ITEMS}")
        plan = Plan(kind, plain(settings), plain(identity), size, (segment,))
        return cls(plan, items, any_size=shard_items is None)

    @property
    def choice(self) -> dict[str, Any]:
        """The fields that chose the items."""
        return self.plan.segments[0].choice


def fingerprint(items: Iterable[Item]) -> str:
    """A hash of the items in their order."""
    digest = hashlib.sha256()
    for block in _blocks(items):
        digest.update(block.tobytes())
    return digest.hexdigest()


def same_items(a: Sequence[Item], b: Sequence[Item]) -> bool:
    """Whether both hold the same items, in any order."""
    return len(a) == len(b) and set(a) == set(b)


def _blocks(items: Iterable[Item]) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
    """Labels and seeds (n, 2) of so many items at a time."""
    block: list[tuple[int, int]] = []
    for item in items:
        block.append((item.label, item.seed))
        if len(block) == 1 << 16:
            yield np.asarray(block, dtype="<i8")
            block = []
    yield np.asarray(block, dtype="<i8")


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in {*a, *b} if a.get(key) != b.get(key))
