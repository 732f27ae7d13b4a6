"""Where the weights of a path lie: one file, the shards of an index, or the files of a folder."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from tts.backbones.contents import read_content
from tts.errors import CheckpointError
from tts.io import read_json

INDEX = ".index.json"
ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
_SHARD = re.compile(r"-\d{5}-of-(?!0*1$)\d{5}$")
MAX_INDEX = 64 << 20
"""Bytes of an index; real ones have less than a megabyte."""


def sources(path: Path) -> list[Path]:
    """The path itself, or what a folder holds of weights: an index in place of its shards."""
    if not path.is_dir():
        return [path]
    names = sorted(entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith("."))
    if any(entry.suffix == ".distcp" for entry in names):
        raise CheckpointError(
            f"{str(path)!r} is a distributed checkpoint; join it with"
            f" 'python -m torch.distributed.checkpoint.format_utils dcp_to_torch {path} weights.pth'"
        )
    indices = [entry for entry in names if entry.name.endswith(INDEX)]
    shards = {shard for index in indices for shard in shards_of(index)}
    files = [entry for entry in names if entry.suffix.lower() in ENDINGS and entry not in shards]
    stray = next((entry for entry in files if _SHARD.search(entry.stem)), None)
    if stray:
        raise CheckpointError(
            f"{stray} is one of several shards, of which no *{INDEX} lies there; fetch it, too"
        )
    if not indices and not files:
        raise CheckpointError(
            f"no weights file in folder {str(path)!r} (looked for {', '.join(ENDINGS)} and *{INDEX});"
            " give the folder or the file that has them"
        )
    return [*indices, *files]


def files_of(source: Path) -> tuple[Path, ...]:
    """The files of a source."""
    return shards_of(source) if source.name.endswith(INDEX) else (source,)


def open_source(source: Path) -> object:
    """What a source holds; shards are joined as their index says."""
    if not source.name.endswith(INDEX):
        return read_content(source)
    names = _weight_map(source)
    contents = {shard: read_content(shard) for shard in shards_of(source)}
    joined: dict[str, Any] = {}
    for key, name in names.items():
        content = contents[source.parent / name]
        if not isinstance(content, dict) or key not in content:
            raise CheckpointError(f"{name} has no tensor {key!r:.80}, which {source} says; fetch both again")
        joined[key] = content.pop(key)
    left = (key for content in contents.values() if isinstance(content, dict) for key in content)
    beyond = next(left, None)
    if beyond is not None:
        raise CheckpointError(
            f"{source} does not name the tensor {beyond!r:.80} of its shards; fetch both again"
        )
    return joined


def shards_of(index: Path) -> tuple[Path, ...]:
    """The files that an index names, all beside it or below."""
    return tuple(index.parent / name for name in sorted(set(_weight_map(index).values())))


def _weight_map(index: Path) -> dict[str, str]:
    if index.is_file() and index.stat().st_size > MAX_INDEX:
        raise CheckpointError(f"{index} is too large for an index of shards; give the shards' own index")
    content = read_json(index)
    found = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(found, dict) or not found or not all(isinstance(v, str) for v in found.values()):
        raise CheckpointError(f"{index} has no weight_map of tensors to files; fetch it again")
    for name in set(found.values()):
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts or "\\" in name or not name:
            raise CheckpointError(f"{index} names the file {name!r:.80} outside its folder, refused unread")
    return found
