"""Token data sets on disk: the one place that knows their file names.

A data set is a folder with ``shard-00000.safetensors`` and so on, and ``manifest.json``, written last.
Axis letters: N items of the set, n of a batch or shard, L tokens of an image (all scales concatenated).
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from tts import __version__
from tts.data.manifest import FORMAT_VERSION, BackboneIdentity, Kind, Manifest, Shard
from tts.errors import CheckpointError, RunError, ShapeError, UsageError
from tts.io import ensure_writable_dir, load_tensors, read_json, save_tensors, sha256_file, write_json

__all__ = ["BackboneIdentity", "Kind", "Manifest", "Shard", "StoreWriter", "TokenStore", "existing"]

_MANIFEST = "manifest.json"
_SHARD = re.compile(r"shard-(\d{5,})\.safetensors")


def existing(folder: Path | str) -> Manifest | None:
    """The manifest of the data set in a folder, or ``None`` if there is none."""
    path = Path(folder) / _MANIFEST
    if not path.exists():
        return None
    record = read_json(path)
    version = record.get("format") if isinstance(record, dict) else None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format {version}, this version reads format {FORMAT_VERSION}; collect the data again"
        )
    try:
        manifest = Manifest.from_json(record)
        if strangers := [shard.name for shard in manifest.shards if not _SHARD.fullmatch(shard.name)]:
            raise ValueError(f"{strangers[0]!r} is not a shard's name")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        fault = f"no field {error}" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(f"{path} is not a valid manifest ({fault}); collect the data again") from error
    return manifest


def _columns(identity: BackboneIdentity) -> dict[str, torch.dtype]:
    """The tensors of a shard; the smallest token type that all codes fit in."""
    tokens = torch.int32 if identity.codebook_size > 32767 else torch.int16
    return {"tokens": tokens, "labels": torch.int32, "seeds": torch.int64}


def _check_range(what: str, values: Tensor, limit: int) -> str | None:
    """In words, what is wrong with values that must lie in [0, limit)."""
    if not values.numel():
        return None
    low, high = (int(value) for value in values.aminmax())
    if low >= 0 and high < limit:
        return None
    return f"{what} {low if low < 0 else high} is outside 0 to {limit - 1}"


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
        taken = (self.folder / _MANIFEST).exists()
        if taken and not overwrite:
            raise UsageError(f"{self.folder} already holds a data set; choose another folder or overwrite it")
        self._next = max(_shard_numbers(self.folder), default=-1) + 1 if taken else 0
        self._kind, self._identity = kind, identity
        self._settings = json.loads(json.dumps(dict(settings)))  # fails now rather than after the run
        self._shard_items = shard_items
        self._pending: list[dict[str, Tensor]] = []
        self._pending_items = 0
        self._shards: list[Shard] = []
        self._per_class = torch.zeros(identity.classes, dtype=torch.int64)

    def append(self, tokens: Tensor, labels: Tensor, seeds: Tensor) -> None:
        """Add items: tokens (n, L), labels (n,), seeds (n,)."""
        shapes, items = (tuple(tokens.shape), tuple(labels.shape), tuple(seeds.shape)), len(tokens)
        expected = ((items, self._identity.tokens), (items,), (items,))
        if shapes != expected:
            raise ShapeError(f"tokens, labels and seeds have shapes {shapes}, expected {expected}")
        fault = _check_range("token", tokens, self._identity.codebook_size)
        fault = fault or _check_range("label", labels, self._identity.classes)
        if fault:
            raise RunError(f"{fault} of {self._identity.name}; check the backbone's encode and sampling")
        given = {"tokens": tokens, "labels": labels, "seeds": seeds}
        types = _columns(self._identity)
        self._pending.append({key: given[key].detach().to("cpu", types[key], copy=True) for key in types})
        self._pending_items += items
        self._per_class += labels.detach().cpu().to(torch.int64).bincount(minlength=self._identity.classes)
        while self._pending_items >= self._shard_items:
            self._write_shard(self._shard_items)

    def _write_shard(self, items: int) -> None:
        joined = {key: torch.cat([part[key] for part in self._pending]) for key in _columns(self._identity)}
        path = self.folder / f"shard-{self._next:05d}.safetensors"
        save_tensors(path, {key: column[:items] for key, column in joined.items()}, {"kind": self._kind})
        self._shards.append(Shard(path.name, items, sha256_file(path)))
        self._next += 1
        self._pending = [{key: column[items:].clone() for key, column in joined.items()}]
        self._pending_items -= items

    def note(self, name: str, value: Any) -> None:
        """Add to the settings what is known only at the end."""
        self._settings[name] = value

    def close(self) -> Manifest:
        """Write what is left, then the manifest, then remove shards that it does not list."""
        if self._pending_items:
            self._write_shard(self._pending_items)
        manifest = Manifest(
            kind=self._kind,
            identity=self._identity,
            settings=self._settings,
            items=sum(shard.items for shard in self._shards),
            per_class=tuple(self._per_class.tolist()),
            shards=tuple(self._shards),
            versions={
                "scalewise-tts": __version__,
                "torch": str(torch.__version__),
                "python": platform.python_version(),
            },
        )
        write_json(self.folder / _MANIFEST, manifest.to_json())
        listed = {shard.name for shard in self._shards}
        for path in self.folder.iterdir():
            if _SHARD.fullmatch(path.name) and path.name not in listed:
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
    return [int(match[1]) for path in folder.iterdir() if (match := _SHARD.fullmatch(path.name))]


class TokenStore:
    """A data set opened for reading, as compact as on disk: whole columns on first use, or single rows."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Take a manifest that was read from ``folder``; use ``open``."""
        self.folder, self.manifest = folder, manifest
        self.identity = manifest.identity
        self._ends = torch.tensor([shard.items for shard in manifest.shards], dtype=torch.int64).cumsum(0)
        self._mapped: dict[int, Tensor] = {}

    @classmethod
    def open(cls, folder: Path | str) -> TokenStore:
        """Open a data set; refuses missing, truncated or misshapen files, and wrong codes on first use."""
        manifest = existing(folder)
        if manifest is None:
            raise CheckpointError(f"{folder} holds no finished data set (no {_MANIFEST}); run tts collect")
        store = cls(Path(folder), manifest)
        for shard in manifest.shards:
            store._shard(shard)
        return store

    def __len__(self) -> int:
        """Number of items N."""
        return self.manifest.items

    @cached_property
    def tokens(self) -> Tensor:
        """Token maps (N, L), int16 or int32, all inside the codebook."""
        return self._column("tokens", self.identity.codebook_size)

    @cached_property
    def labels(self) -> Tensor:
        """Classes (N,), int32."""
        return self._column("labels", self.identity.classes)

    @cached_property
    def seeds(self) -> Tensor:
        """Seeds (N,), int64; for real data the item's number."""
        return self._column("seeds", None)

    def rows(self, index: Tensor) -> Tensor:
        """Token maps (n, L) of the items (n,), int16 or int32, all inside the codebook.

        Only these are read: a shard is mapped from disk when it is first needed and stays mapped, so that
        its pages are the system's to keep or to drop.
        """
        index = index.to(torch.int64)
        if len(index) and not 0 <= int(index.min()) <= int(index.max()) < len(self):
            raise IndexError(f"items {int(index.min())} to {int(index.max())} of {len(self)}")
        out = torch.empty((len(index), self.identity.tokens), dtype=_columns(self.identity)["tokens"])
        number = torch.searchsorted(self._ends, index, right=True)  # shard of each item
        order = number.argsort()
        shards, counts = number[order].unique_consecutive(return_counts=True)
        for shard, chosen in zip(shards.tolist(), order.split(counts.tolist()), strict=True):
            start = int(self._ends[shard]) - self.manifest.shards[shard].items
            out[chosen] = self._map(shard)[index[chosen] - start]
        if _check_range("token", out, self.identity.codebook_size):
            self._blame(out, number)
        return out

    def _map(self, number: int) -> Tensor:
        """The tokens of a shard, mapped from disk."""
        if number not in self._mapped:
            self._mapped[number] = self._shard(self.manifest.shards[number])["tokens"]
        return self._mapped[number]

    def _blame(self, tokens: Tensor, shards: Tensor) -> None:
        """Refuse tokens (n, L), of which some are outside the codebook, by the name of their shard."""
        for row, shard in zip(tokens, shards.tolist(), strict=True):
            self._refuse(self.manifest.shards[shard], _check_range("token", row, self.identity.codebook_size))

    def _refuse(self, shard: Shard, fault: str | None) -> None:
        if fault:
            raise CheckpointError(f"{self.folder / shard.name}: {fault}; collect the data again")

    def verify(self) -> None:
        """Compare each shard's checksum with the manifest's."""
        for shard in self.manifest.shards:
            if sha256_file(self.folder / shard.name) != shard.sha256:
                raise CheckpointError(
                    f"{self.folder / shard.name} has changed, its checksum must be {shard.sha256[:12]}; "
                    "fetch or collect the data again"
                )

    def _shard(self, shard: Shard) -> dict[str, Tensor]:
        """The tensors of a shard, mapped from disk, with the shapes and types that the manifest implies."""
        path = self.folder / shard.name
        tensors, _ = load_tensors(path)
        got = {key: (tensor.dtype, tuple(tensor.shape)) for key, tensor in tensors.items()}
        for key, dtype in _columns(self.identity).items():
            shape = (shard.items, self.identity.tokens) if key == "tokens" else (shard.items,)
            if got.get(key) != (dtype, shape):
                raise CheckpointError(
                    f"{path} has {key} {got.get(key)}, the manifest needs {(dtype, shape)}; "
                    "collect the data again"
                )
        return tensors

    def _column(self, key: str, limit: int | None) -> Tensor:
        """One tensor over all shards, copied into memory of its own; ``limit`` bounds its values."""
        trailing = (self.identity.tokens,) if key == "tokens" else ()
        column = torch.empty((len(self), *trailing), dtype=_columns(self.identity)[key])
        start = 0
        for shard in self.manifest.shards:
            part = column[start : start + shard.items]
            part.copy_(self._shard(shard)[key])
            start += shard.items
            self._refuse(shard, _check_range(key.removesuffix("s"), part, limit) if limit else None)
        return column
