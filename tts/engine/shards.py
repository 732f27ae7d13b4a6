"""Shard files: tensors that carry the plan that they belong to, beside their checksum.

A file is written to a temporary name and renamed, so under its own name it is whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tts import limits
from tts.engine.plan import ShardRange
from tts.errors import CheckpointError
from tts.io import load_tensors, map_tensors, read_metadata, save_tensors
from tts.records import parse_record


@dataclass(frozen=True)
class Rows:
    """Finished items: tensors with a row an item, without the ``skipped`` ones, which are named.

    ``taken`` counts the items of the plan that these are, skipped ones included. ``remarks`` are what is to
    be said of some of them, 'kind name'.
    """

    tensors: dict[str, Tensor]
    taken: int
    skipped: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def items(self) -> int:
        """Number of rows."""
        return len(next(iter(self.tensors.values())))

    @classmethod
    def join(cls, parts: list[Rows]) -> Rows:
        """One after another."""
        names = parts[0].tensors
        return cls(
            {name: torch.cat([part.tensors[name] for part in parts]) for name in names},
            sum(part.taken for part in parts),
            tuple(name for part in parts for name in part.skipped),
            tuple(remark for part in parts for remark in part.remarks),
        )


def shard_name(number: int) -> str:
    """``shard-00000.safetensors`` and so on."""
    return f"shard-{number:05d}.safetensors"


def write_shard(path: Path, rows: Rows, owner: ShardRange, notes: Mapping[str, str] = {}) -> None:
    """Write the rows of a shard, or the first of them."""
    metadata = {
        "plan": owner.plan,
        "shard": str(owner.number),
        "taken": str(rows.taken),
        "skipped": json.dumps(rows.skipped),
        **({"remarks": json.dumps(rows.remarks)} if rows.remarks else {}),
        **notes,
    }
    save_tensors(path, rows.tensors, metadata)


def read_shard(
    path: Path, owner: ShardRange, whole: bool = True, checked: bool = False
) -> tuple[Rows, dict[str, str]]:
    """Rows and metadata of a shard's file, compared with its checksum unless it was ``checked`` before.

    ``CheckpointError`` says what is wrong: not readable, changed, of another plan, or, if it must be
    ``whole``, with fewer items than the plan has.
    """
    tensors, metadata = map_tensors(path) if checked else load_tensors(path, own=True)
    if fault := _foreign(metadata, owner, whole):
        raise CheckpointError(f"{path} {fault}")
    taken = limits.whole(metadata.get("taken", ""))
    if taken is None:
        raise CheckpointError(f"{path} does not say how many items it holds")
    return Rows(tensors, taken, skipped_of(path, metadata), remarks_of(path, metadata)), metadata


def glance(path: Path, owner: ShardRange) -> str | None:
    """What is wrong with a shard's file as far as its header and length tell; ``None`` if nothing."""
    try:
        fault = _foreign(read_metadata(path), owner, whole=True)
        skipped_in(path)
    except CheckpointError as error:
        return str(error)
    return f"{path} {fault}" if fault else None


def skipped_in(path: Path) -> tuple[str, ...]:
    """The items that a shard names as skipped."""
    return skipped_of(path, read_metadata(path))


def remarks_in(path: Path) -> tuple[str, ...]:
    """What a shard remarks on its items."""
    return remarks_of(path, read_metadata(path))


def skipped_of(path: Path, metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The items that a shard's metadata name as skipped."""
    text = metadata.get("skipped", "")
    return parse_record(
        text, tuple[str, ...], str(path), "list of the items that it leaves out", "make it anew"
    )


def remarks_of(path: Path, metadata: Mapping[str, str]) -> tuple[str, ...]:
    """What a shard's metadata remark on its items, each as 'kind name'."""
    return skipped_of(path, {"skipped": metadata.get("remarks", "[]")})


def _foreign(metadata: Mapping[str, str], owner: ShardRange, whole: bool) -> str | None:
    if (metadata.get("plan"), metadata.get("shard")) != (owner.plan, str(owner.number)):
        return "belongs to another plan"
    if whole and metadata.get("taken") != str(owner.count):
        return f"holds {metadata.get('taken')} items of {owner.count}"
    return None
