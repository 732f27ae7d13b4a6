"""What goes into a token data set: checked columns, and the manifest."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tts import __version__
from tts.data.manifest import BackboneIdentity, Kind, Manifest, Shard
from tts.data.store import _check_range, _columns
from tts.errors import RunError, ShapeError
from tts.io import load_tensors, sha256_file, write_json

MANIFEST = "manifest.json"


def columns(identity: BackboneIdentity, tokens: Tensor, labels: Tensor, seeds: Tensor) -> dict[str, Tensor]:
    """Tokens (n, L), labels (n,) and seeds (n,) as they are stored, copied to the CPU and checked."""
    shapes, items = (tuple(tokens.shape), tuple(labels.shape), tuple(seeds.shape)), len(tokens)
    expected = ((items, identity.tokens), (items,), (items,))
    if shapes != expected:
        raise ShapeError(f"tokens, labels and seeds have shapes {shapes}, expected {expected}")
    fault = _check_range("token", tokens, identity.codebook_size)
    fault = fault or _check_range("label", labels, identity.classes)
    if fault:
        raise RunError(f"{fault} of {identity.name}; check the backbone's encode and sampling")
    given = {"tokens": tokens, "labels": labels, "seeds": seeds}
    types = _columns(identity)
    return {key: given[key].detach().to("cpu", types[key], copy=True) for key in types}


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
        labels = load_tensors(path)[0]["labels"]
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
    write_json(folder / MANIFEST, manifest.to_json())
    return manifest
