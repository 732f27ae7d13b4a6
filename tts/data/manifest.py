"""What a token data set says about itself: the backbone's identity, how it was made, and what it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from msgspec import Meta

from tts import limits
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
    schedule: limits.Schedule
    classes: limits.Classes
    codebook_size: limits.Codes
    channels: limits.Width
    grid: limits.Side
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

    name: Annotated[str, Meta(pattern=r"^shard-\d{5,9}\.safetensors$")]
    items: limits.Count
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """How a data set was made and what it holds; ``per_class[c]`` counts the items of class c.

    ``plan`` is the id of the plan that ``tts collect`` carried out.
    """

    kind: Kind
    identity: BackboneIdentity
    settings: dict[str, Any]
    items: limits.Count
    per_class: tuple[limits.Count, ...]
    shards: tuple[Shard, ...]
    versions: dict[str, str]
    plan: str | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that do not agree,."""
        if len(self.per_class) != self.identity.classes:
            raise ValueError(f"{len(self.per_class)} class counts for {self.identity.classes} classes")
        in_shards = sum(shard.items for shard in self.shards)
        if not self.items == sum(self.per_class) == in_shards:
            raise ValueError(f"{self.items} items, but the shards hold {in_shards}")
