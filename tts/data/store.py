"""Token data sets on disk, and how they are read; the one place that knows their file names.

A data set is a folder with ``shard-00000.safetensors`` and so on, and ``manifest.json``, written last.
Axis letters: N items of the set, n of a batch or shard, L tokens of an image (all scales concatenated).
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from tts.cache import known
from tts.contents import damaged
from tts.data.columns import check_range, column_types
from tts.data.manifest import FORMAT_VERSION, Manifest, Shard
from tts.errors import CheckpointError
from tts.io import map_tensors, sha256_file
from tts.records import read_record

MANIFEST = "manifest.json"
SHARD = re.compile(r"shard-(\d{5,})\.safetensors")


def existing(folder: Path | str) -> Manifest | None:
    """The manifest of the data set in a folder, or ``None`` if there is none."""
    path = Path(folder) / MANIFEST
    if not path.exists():
        return None
    return read_record(path, Manifest, "manifest", "collect the data again", FORMAT_VERSION, own=True)


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
        """Open a data set; refuses missing, misshapen or changed files, and wrong codes on first use.

        Every file is compared with its checksum, a large set's once and again when sizes or times change
        (``tts.cache``).
        """
        manifest = existing(folder)
        if manifest is None:
            raise CheckpointError(f"{folder} holds no finished data set (no {MANIFEST}); run tts collect")
        store = cls(Path(folder), manifest)
        for shard in manifest.shards:
            if not (store.folder / shard.name).is_file():
                raise damaged(store.folder, f"{store.folder / shard.name} is missing")
            store._shard(shard)
        store.verify()
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
        out = torch.empty((len(index), self.identity.tokens), dtype=column_types(self.identity)["tokens"])
        number = torch.searchsorted(self._ends, index, right=True)  # shard of each item
        order = number.argsort()
        shards, counts = number[order].unique_consecutive(return_counts=True)
        for shard, chosen in zip(shards.tolist(), order.split(counts.tolist()), strict=True):
            start = int(self._ends[shard]) - self.manifest.shards[shard].items
            out[chosen] = self._map(shard)[index[chosen] - start]
        if check_range("token", out, self.identity.codebook_size):
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
            self._refuse(self.manifest.shards[shard], check_range("token", row, self.identity.codebook_size))

    def _refuse(self, shard: Shard, fault: str | None) -> None:
        if fault:
            raise CheckpointError(f"{self.folder / shard.name}: {fault}; collect the data again")

    def verify(self) -> None:
        """Compare each shard's checksum with the manifest's."""
        shards = self.manifest.shards
        found = known([self.folder / shard.name for shard in shards], "sha256", sha256_file)
        for shard, digest in zip(shards, found, strict=True):
            if digest != shard.sha256:
                fault = f"{self.folder / shard.name} does not match its checksum {shard.sha256[:12]}"
                raise damaged(self.folder, fault)

    def _shard(self, shard: Shard) -> dict[str, Tensor]:
        """The tensors of a shard, mapped from disk, with the shapes and types that the manifest implies."""
        path = self.folder / shard.name
        tensors, _ = map_tensors(path)
        got = {key: (tensor.dtype, tuple(tensor.shape)) for key, tensor in tensors.items()}
        for key, dtype in column_types(self.identity).items():
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
        column = torch.empty((len(self), *trailing), dtype=column_types(self.identity)[key])
        start = 0
        for shard in self.manifest.shards:
            part = column[start : start + shard.items]
            part.copy_(self._shard(shard)[key])
            start += shard.items
            self._refuse(shard, check_range(key.removesuffix("s"), part, limit) if limit else None)
        return column
