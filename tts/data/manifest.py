"""What a token data set says about itself: the backbone's identity, how it was made, and what it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from tts.interfaces import Backbone

Kind = Literal["generated", "real"]

FORMAT_VERSION = 1
_WORDS = {
    "name": "backbone",
    "schedule": "scale schedule",
    "codebook_size": "codebook size",
    "grid": "latent grid",
}


@dataclass(frozen=True)
class BackboneIdentity:
    """What must agree for tokens or scorers of one backbone to serve another; ``weights`` is a hash."""

    name: str
    schedule: tuple[int, ...]
    classes: int
    codebook_size: int
    channels: int
    grid: int
    weights: str

    @classmethod
    def from_backbone(cls, backbone: Backbone) -> BackboneIdentity:
        """The identity of a built backbone; hashes its weights."""
        info = backbone.info
        return cls(
            name=info.name,
            schedule=tuple(info.schedule),
            classes=info.classes,
            codebook_size=info.codebook_size,
            channels=info.channels,
            grid=info.grid,
            weights=backbone.weights_hash(),
        )

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> BackboneIdentity:
        """Read what ``to_json`` made; ``KeyError``, ``TypeError`` or ``ValueError`` if it is not that."""
        return cls(
            name=str(record["name"]),
            schedule=tuple(int(side) for side in record["schedule"]),
            classes=int(record["classes"]),
            codebook_size=int(record["codebook_size"]),
            channels=int(record["channels"]),
            grid=int(record["grid"]),
            weights=str(record["weights"]),
        )

    def to_json(self) -> dict[str, Any]:
        """A record for JSON."""
        return {**asdict(self), "schedule": list(self.schedule)}

    @property
    def tokens(self) -> int:
        """Number of tokens L of an image."""
        return sum(side * side for side in self.schedule)

    def mismatch(self, other: BackboneIdentity) -> str | None:
        """The first difference in words, as in ``codebook size 4096, got 256``; ``other`` is what was got."""
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            if mine != theirs:
                return f"{_WORDS.get(item.name, item.name)} {_brief(mine)}, got {_brief(theirs)}"
        return None


def _brief(value: object) -> str:
    """A field's value for a message: a schedule with dashes, the first 12 digits of a hash."""
    if isinstance(value, tuple):
        return "-".join(str(side) for side in value)
    return str(value)[:12] if re.fullmatch(r"[0-9a-f]{64}", str(value)) else str(value)


@dataclass(frozen=True)
class Shard:
    """A file of the data set."""

    name: str
    items: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """How a data set was made and what it holds; ``per_class[c]`` counts the items of class c.

    ``plan`` is the id of the plan that ``tts collect`` carried out.
    """

    kind: str
    identity: BackboneIdentity
    settings: dict[str, Any]
    items: int
    per_class: tuple[int, ...]
    shards: tuple[Shard, ...]
    versions: dict[str, str]
    plan: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A record for JSON."""
        return {"format": FORMAT_VERSION, **asdict(self), "identity": self.identity.to_json()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Manifest:
        """Read what ``to_json`` made; ``KeyError``, ``TypeError`` or ``ValueError`` if it is not that."""
        manifest = cls(
            kind=str(record["kind"]),
            identity=BackboneIdentity.from_json(record["identity"]),
            settings=dict(record["settings"]),
            items=int(record["items"]),
            per_class=tuple(int(count) for count in record["per_class"]),
            shards=tuple(Shard(str(s["name"]), int(s["items"]), str(s["sha256"])) for s in record["shards"]),
            versions=dict(record["versions"]),
            plan=record.get("plan"),
        )
        if manifest.kind not in ("generated", "real"):
            raise ValueError(f"kind {manifest.kind!r} is neither generated nor real")
        if len(manifest.per_class) != manifest.identity.classes:
            raise ValueError(
                f"{len(manifest.per_class)} class counts for {manifest.identity.classes} classes"
            )
        in_shards = sum(shard.items for shard in manifest.shards)
        if not manifest.items == sum(manifest.per_class) == in_shards:
            raise ValueError(f"{manifest.items} items, but the shards hold {in_shards}")
        return manifest
