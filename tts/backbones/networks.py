"""Networks within whatever a checkpoint holds, found by one tensor that each network of a kind has.

Where that tensor lies, among wrappers and prefixes, there lie the others, so that no names are built in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

MAX_DEPTH = 8
"""Levels of wrappers that are looked into."""


@dataclass(frozen=True)
class Kind:
    """A kind of network, and the tensor that it is known by."""

    title: str
    anchor: str


TRANSFORMER = Kind("transformer", "class_emb.weight")
TOKENIZER = Kind("tokenizer", "quantize.embedding.weight")
SCORER = Kind("scorer", "class_label_embedding.weight")
INCEPTION = Kind("FID Inception", "Mixed_7c.branch1x1.conv.weight")
KINDS = (TRANSFORMER, TOKENIZER, SCORER, INCEPTION)


@dataclass(frozen=True)
class Part:
    """The tensors of a network within a checkpoint, under their own names; ``name`` says where they lay."""

    kind: Kind
    name: str
    state: dict[str, Tensor]
    left: tuple[str, ...]


def is_anchor(key: object, kind: Kind) -> bool:
    return isinstance(key, str) and (key == kind.anchor or key.endswith(f".{kind.anchor}"))


def find_parts(content: object) -> list[Part]:
    """Every network that a checkpoint holds, each with the names of what else there is."""
    levels = list(dictionaries(content))
    holding = [path for path, entries in levels if any(isinstance(v, Tensor) for v in entries.values())]
    parts = []
    for path, entries in levels:
        places = [
            (kind, str(key).removesuffix(kind.anchor))
            for key, value in entries.items()
            for kind in KINDS
            if isinstance(value, Tensor) and is_anchor(key, kind)
        ]
        for kind, prefix in places:
            deeper = tuple(other for _, other in places if other != prefix and other.startswith(prefix))
            inside: dict[str, Tensor] = {}
            outside: dict[str, Tensor] = {}
            for key, value in entries.items():
                if isinstance(value, Tensor):
                    own = str(key).startswith(prefix) and not (deeper and str(key).startswith(deeper))
                    own = own and not (value.ndim == 0 and "." not in str(key).removeprefix(prefix))
                    (inside if own else outside)[str(key)] = value
            state = {key.removeprefix(prefix): value for key, value in inside.items()}
            left = [*_beside(path, holding), *(".".join((*path, key.partition(".")[0])) for key in outside)]
            name = ".".join((*path, prefix.rstrip("."))).strip(".")
            parts.append(Part(kind, name, state, tuple(dict.fromkeys(left))))
    return [_without_others(part, parts) for part in parts]


def _without_others(part: Part, parts: list[Part]) -> Part:
    """A part whose ``left`` does not name networks of other kinds, which are no choice."""
    others = [other.name for other in parts if other.kind != part.kind]
    left = [name for name in part.left if not any(f"{other}.".startswith(f"{name}.") for other in others)]
    return replace(part, left=tuple(left))


def _beside(path: tuple[str, ...], holding: list[tuple[str, ...]]) -> Iterator[str]:
    """Where other tensors lie, named up to where their path leaves the one taken."""
    for other in holding:
        common = next((i for i, (a, b) in enumerate(zip(path, other)) if a != b), None)  # noqa: B905
        if common is not None:
            yield ".".join(other[: common + 1])


def dictionaries(
    content: object, path: tuple[str, ...] = (), seen: set[int] | None = None
) -> Iterator[tuple[tuple[str, ...], Mapping[object, object]]]:
    """Every dictionary within a content, outermost first, each once: a pickle may hold itself."""
    seen = set() if seen is None else seen
    if not isinstance(content, dict) or id(content) in seen or len(path) > MAX_DEPTH:
        return
    seen.add(id(content))
    yield path, content
    for key, value in content.items():
        yield from dictionaries(value, (*path, str(key)), seen)
