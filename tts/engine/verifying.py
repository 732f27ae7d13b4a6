"""Verifying shards: each is read and compared with its checksum, and what is wrong is said in a few words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts.contents import stated_digest
from tts.engine.folder import RunFolder
from tts.engine.plan import ShardRange
from tts.engine.shards import Rows, read_shard
from tts.errors import CheckpointError, TtsError
from tts.records import SIZE, parse_record


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file of a run; ``shard`` is the one that must be made again to mend it."""

    name: str
    what: str
    shard: int | None = None

    def __str__(self) -> str:
        """``shard-00003.safetensors: missing``."""
        return f"{self.name}: {self.what}"


@dataclass(frozen=True)
class Finding:
    """A shard's rows, or its fault; neither if it is still to be made."""

    shard: ShardRange
    rows: Rows | None = None
    fault: Fault | None = None


def verify_shard(run: RunFolder, shard: ShardRange, ended: bool) -> Finding:
    """Read a shard; one that is not there is a fault only in a run that has ``ended``."""
    path = run.shard_path(shard.number)
    if not path.exists():
        return Finding(shard, fault=Fault(path.name, "missing", shard.number) if ended else None)
    try:
        rows, _ = read_shard(path, shard)
    except TtsError as error:
        return Finding(shard, fault=Fault(path.name, _cut_short(path) or brief(error, path), shard.number))
    return Finding(shard, rows)


def brief(error: TtsError, path: Path) -> str:
    """What an error says of a file, without the file's name and the advice."""
    text = str(error).replace(f"{path} ", "").replace(str(path), path.name)
    return text.partition("; ")[0]


def recorded_digest(path: Path, owner: ShardRange) -> str | None:
    """The checksum that the header of a shard names, readable even where the tensors are cut short.

    ``None`` if the file is not there or another shard's.
    """
    metadata = _header(path).get("__metadata__")
    if not isinstance(metadata, dict) or metadata.get("plan") != owner.plan:
        return None
    return stated_digest(path) if metadata.get("shard") == str(owner.number) else None


def _cut_short(path: Path) -> str | None:
    """Whether a safetensors file is shorter than its header says, in words."""
    header = _header(path)
    try:
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        with path.open("rb") as file:
            needed = 8 + int.from_bytes(file.read(8), "little") + max(ends, default=0)
        size = path.stat().st_size
    except (OSError, KeyError, TypeError, IndexError):
        return None
    return f"truncated, {size} of {needed} bytes" if header and size < needed else None


def _header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file as JSON; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            text = file.read(size) if size <= SIZE else b""
        return parse_record(text, dict[str, Any], str(path), "header", "make it anew")
    except (OSError, CheckpointError):
        return {}
