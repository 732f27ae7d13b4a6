"""How token data sets are written: shard by shard by one process, and the manifest of any shards."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from tts import __version__
from tts.data.columns import column_types, columns
from tts.data.manifest import FORMAT_VERSION, BackboneIdentity, Kind, Manifest, Shard
from tts.data.store import MANIFEST, SHARD
from tts.errors import UsageError
from tts.io import ensure_writable_dir, map_tensors, save_tensors, sha256_file, write_json
from tts.records import plain, tagged


def write_manifest(
    folder: Path,
    kind: Kind,
    identity: BackboneIdentity,
    settings: Mapping[str, Any],
    paths: Sequence[Path],
    plan: str | None = None,
) -> Manifest:
    """Count what the shards hold and write the manifest, which makes them a data set."""
    per_class = torch.zeros(identity.classes, dtype=torch.int64)
    shards = []
    for path in paths:
        labels = map_tensors(path)[0]["labels"]
        per_class += labels.to(torch.int64).bincount(minlength=identity.classes)
        shards.append(Shard(path.name, len(labels), sha256_file(path)))
    manifest = Manifest(
        kind=kind,
        identity=identity,
        settings=dict(settings),
        items=sum(shard.items for shard in shards),
        per_class=tuple(per_class.tolist()),
        shards=tuple(shards),
        versions={
            "scalewise-tts": __version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
        plan=plan,
    )
    write_json(folder / MANIFEST, tagged(FORMAT_VERSION, manifest))
    return manifest


class StoreWriter:
    """Writes a data set shard by shard; ``close`` adds the manifest, without which nothing counts.

    With ``overwrite`` the new shards take free numbers and the old data set stays whole until ``close`` has
    put the new manifest in its place; only then are the old shards removed. Leaving a ``with`` block by an
    exception does not close.
    """

    def __init__(
        self,
        folder: Path | str,
        kind: Kind,
        identity: BackboneIdentity,
        settings: Mapping[str, Any],
        shard_items: int = 10_000,
        overwrite: bool = False,
    ) -> None:
        """Make the folder ready; refuse one that holds a data set unless ``overwrite``."""
        self.folder = ensure_writable_dir(folder)
        taken = (self.folder / MANIFEST).exists()
        if taken and not overwrite:
            raise UsageError(f"{self.folder} already holds a data set; choose another folder or overwrite it")
        self._next = max(_shard_numbers(self.folder), default=-1) + 1 if taken else 0
        self._kind, self._identity = kind, identity
        self._settings = plain(dict(settings))  # fails now rather than after the run
        self._shard_items = shard_items
        self._pending: list[dict[str, Tensor]] = []
        self._pending_items = 0
        self._paths: list[Path] = []

    def append(self, tokens: Tensor, labels: Tensor, seeds: Tensor) -> None:
        """Add items: tokens (n, L), labels (n,), seeds (n,)."""
        self._pending.append(columns(self._identity, tokens, labels, seeds))
        self._pending_items += len(tokens)
        while self._pending_items >= self._shard_items:
            self._write_shard(self._shard_items)

    def _write_shard(self, items: int) -> None:
        joined = {
            key: torch.cat([part[key] for part in self._pending]) for key in column_types(self._identity)
        }
        path = self.folder / f"shard-{self._next:05d}.safetensors"
        save_tensors(path, {key: column[:items] for key, column in joined.items()}, {"kind": self._kind})
        self._paths.append(path)
        self._next += 1
        self._pending = [{key: column[items:].clone() for key, column in joined.items()}]
        self._pending_items -= items

    def close(self) -> Manifest:
        """Write what is left, then the manifest, then remove shards that it does not list."""
        if self._pending_items:
            self._write_shard(self._pending_items)
        manifest = write_manifest(self.folder, self._kind, self._identity, self._settings, self._paths)
        listed = {path.name for path in self._paths}
        for path in self.folder.iterdir():
            if SHARD.fullmatch(path.name) and path.name not in listed:
                path.unlink()
        return manifest

    def __enter__(self) -> StoreWriter:
        """Write inside a ``with`` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close unless an exception ended the block."""
        if kind is None:
            self.close()


def _shard_numbers(folder: Path) -> list[int]:
    return [int(match[1]) for path in folder.iterdir() if (match := SHARD.fullmatch(path.name))]
