"""Finished data sets of one backbone and equal settings become one, shard by shard.

Axis letters: N items of all sets, n of a shard, L tokens of an image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tts.data.store import TokenStore
from tts.data.writing import StoreWriter
from tts.errors import CheckpointError, UsageError
from tts.io import load_tensors

VARYING = ("per_class", "environment", "timing", "skipped", "remarks", "folder", "merged")
"""Settings that may differ, because they choose items or tell how these came about."""

PLACES = ("backbone", "weights")
"""Settings that say where the backbone was found; which one it is says the identity."""

ROWS = 4096
"""Duplicates that are compared at once."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class MergedSet:
    """Items of the new data set, and exact duplicates that were left out."""

    items: int
    dropped: int


def check_alike(stores: Sequence[TokenStore], images: Sequence[str | None]) -> None:
    """Refuse, by name, sets whose items cannot stand side by side.

    ``images`` are fingerprints of the listings that real sets number their items by, ``None`` if unknown.
    """
    first = stores[0]
    for store, listing in zip(stores[1:], images[1:], strict=True):
        between = f"{first.folder} and {store.folder}"
        mine, other = first.manifest, store.manifest
        if mine.kind != other.kind:
            raise UsageError(f"{between} are {mine.kind} and {other.kind} data; merge sets of one kind")
        if difference := first.identity.mismatch(store.identity):
            raise UsageError(
                f"{between} are of different backbones ({difference}); merge sets of one backbone"
            )
        names = {*mine.settings, *other.settings} - {*VARYING, *PLACES}
        differing = sorted(name for name in names if mine.settings.get(name) != other.settings.get(name))
        if listing and images[0] and listing != images[0]:
            differing.append("images")
        if differing:
            raise UsageError(
                f"{between} have other settings ({', '.join(differing)}); merge sets of equal settings"
            )


def distinct(stores: Sequence[TokenStore]) -> Tensor:
    """Which of all items (N,) are to be kept: of exact duplicates the first.

    An item, named by label and seed, that has other tokens in another place is refused.
    """
    labels = np.concatenate([store.labels.numpy() for store in stores])  # N
    seeds = np.concatenate([store.seeds.numpy() for store in stores])  # N
    order = np.lexsort((seeds, labels))  # stable: the first set's items come first
    same = (labels[order[1:]] == labels[order[:-1]]) & (seeds[order[1:]] == seeds[order[:-1]])
    again, before = torch.from_numpy(order[1:][same]), torch.from_numpy(order[:-1][same])
    for one, other in zip(before.split(ROWS), again.split(ROWS), strict=True):
        differing = (_tokens(stores, one) != _tokens(stores, other)).any(dim=1)
        if bool(differing.any()):
            row = int(differing.nonzero()[0, 0])
            here, there = (_place(stores, int(index[row])) for index in (one, other))
            raise CheckpointError(
                f"class {labels[one[row]]}, seed {seeds[one[row]]} has other tokens in {there} than in"
                f" {here}; collect one of them again"
            )
    keep = torch.ones(len(labels), dtype=torch.bool)
    keep[again] = False
    return keep


def write_merged(
    stores: Sequence[TokenStore], keep: Tensor, writer: StoreWriter, tell: Progress = lambda done, total: None
) -> MergedSet:
    """Append the kept items, reading a shard at a time."""
    first, done, total = 0, 0, sum(len(store.manifest.shards) for store in stores)
    for store in stores:
        for shard in store.manifest.shards:
            path = store.folder / shard.name
            kept = keep[first : first + shard.items]
            tensors = load_tensors(path, own=True)[0]
            writer.append(*(tensors[name][kept] for name in ("tokens", "labels", "seeds")))
            first, done = first + shard.items, done + 1
            tell(done, total)
    return MergedSet(int(keep.sum()), int((~keep).sum()))


def merged_settings(stores: Sequence[TokenStore]) -> dict[str, Any]:
    """The common settings, and of each set what is its own."""
    common = {key: value for key, value in stores[0].manifest.settings.items() if key not in VARYING}
    origins = []
    for store in stores:
        settings = store.manifest.settings
        own = {key: settings[key] for key in VARYING if key in settings}
        origins.append(
            {"folder": str(store.folder), "items": len(store), "plan": store.manifest.plan, "settings": own}
        )
    return {**common, "merged": origins}


def _tokens(stores: Sequence[TokenStore], index: Tensor) -> Tensor:
    """Token maps (n, L) of items numbered over all sets."""
    ends = torch.tensor([len(store) for store in stores]).cumsum(0)
    number = torch.searchsorted(ends, index, right=True)
    out = torch.empty((len(index), stores[0].identity.tokens), dtype=torch.int64)
    for which, store in enumerate(stores):
        rows = number == which
        out[rows] = store.rows(index[rows] - (int(ends[which]) - len(store))).to(torch.int64)
    return out


def _place(stores: Sequence[TokenStore], index: int) -> str:
    """The folder of an item numbered over all sets."""
    for store in stores:
        if index < len(store):
            return str(store.folder)
        index -= len(store)
    raise IndexError(index)
