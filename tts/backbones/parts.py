"""The one reader of weights: a network's tensors of a file, an index or a folder, and what was taken."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tts.backbones.contents import Foreign
from tts.backbones.networks import Kind, Part, dictionaries, find_parts, is_anchor
from tts.backbones.sources import files_of, open_source, sources
from tts.backbones.weights import DERIVED
from tts.errors import CheckpointError

SHOWN = 5
BESIDE = ("opt", "sched", "scaler", "rng", "callback", "loop")
"""Parts of names of what training keeps beside a network."""


@dataclass(frozen=True)
class Weights:
    """The tensors of one network, the files they came from, and what was taken of them.

    ``path`` is what was asked for, ``source`` the file or index in it. ``part`` is empty where a file holds
    nothing else, ``left`` names what else there is. ``shipped`` ones are as the package has them.
    """

    path: Path
    source: Path
    files: tuple[Path, ...]
    part: str
    state: dict[str, Tensor]
    left: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    shipped: bool = False

    def __deepcopy__(self, memo: object) -> Weights:
        """Itself: it says where weights came from, whatever a copy of a network is for."""
        return self

    @property
    def taken(self) -> str:
        """What was taken and left, in words."""
        part = f" {self.part!r} of" if self.part else ""
        left = f", left {', '.join(map(repr, self.left[:SHOWN]))}" if self.left else ""
        more = f" and {len(self.left) - SHOWN} more" if len(self.left) > SHOWN else ""
        return f"{part} {self.source.name}{left}{more}".strip()

    @property
    def rounded(self) -> str | None:
        """The type of weights that are no float32, ``None`` where all are."""
        kinds = {value.dtype for value in self.state.values() if value.is_floating_point()}
        others = sorted(str(kind).removeprefix("torch.") for kind in kinds if kind != torch.float32)
        return " and ".join(others) or None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a user should know who did not choose it."""
        nets = [name for name in self.left if not any(word in name.lower() for word in BESIDE)]
        said = [f"took {self.taken}"] if nets else []
        if self.rounded and not self.shipped:
            said.append(f"the weights in {self.source.name} are {self.rounded}, not float32")
        return (*self.notes, *said)

    def check_finite(self) -> None:
        """Refuse tensors with values that no image can come from."""
        values = {key: tensor for key, tensor in self.state.items() if not key.endswith(DERIVED)}
        for key, tensor in values.items():
            if tensor.is_floating_point() and not tensor.float().isfinite().all():
                raise CheckpointError(
                    f"{str(self.source)!r} holds {key} with values that are not finite; give another file"
                )

    def digest(self) -> str:
        """SHA-256 over the tensors that are loaded, whatever file and wrapper they lie in."""
        total = hashlib.sha256()
        for key in sorted(key for key in self.state if not key.endswith(DERIVED)):
            tensor = self.state[key].detach().contiguous()
            total.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
            total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
        return total.hexdigest()


def read_weights(path: Path, kind: Kind, part: str | None = None) -> Weights:
    """The tensors of a network in a file, an index of shards or a folder.

    ``part`` chooses where there are several. Raises ``CheckpointError`` that names what there is.
    """
    found = find_weights(path, kind, part)
    if found is None:
        raise CheckpointError(_nothing(path, kind))
    return found


def find_weights(path: Path, kind: Kind, part: str | None = None) -> Weights | None:
    """As ``read_weights``; ``None`` where there are none of the kind."""
    having: dict[Path, list[Part]] = {}
    places, failed = sources(path), None
    for source in places:
        try:
            parts = [own for own in find_parts(open_source(source)) if own.kind == kind]
        except CheckpointError as error:
            if len(places) == 1:
                raise
            failed = error
            continue
        if parts:
            having[source] = parts
    if not having and failed:
        raise failed
    if len(having) > 1:
        names = ", ".join(source.name for source in having)
        raise CheckpointError(f"{str(path)!r} holds a {kind.title} in several files ({names}); give one")
    for source, parts in having.items():
        chosen, notes = _choose(source, parts, part)
        return _taken(path, source, chosen, notes)
    return None


def _taken(path: Path, source: Path, chosen: Part, notes: tuple[str, ...]) -> Weights:
    hollow = [key for key, value in chosen.state.items() if value.is_meta]
    if hollow:
        raise CheckpointError(f"{str(source)!r} holds {hollow[0]} without its values; save it from the CPU")
    files = files_of(source)
    room = sum(file.stat().st_size for file in files)
    large = [key for key, value in chosen.state.items() if value.numel() * value.element_size() > room]
    if large:
        raise CheckpointError(f"{str(source)!r} is smaller than its {large[0]}; save it with clone() there")
    return Weights(path, source, files, chosen.name, chosen.state, chosen.left, notes)


def _choose(source: Path, parts: list[Part], wanted: str | None) -> tuple[Part, tuple[str, ...]]:
    title = parts[0].kind.title
    names = ", ".join(part.name or "(top level)" for part in parts)
    if wanted is None:
        if len(parts) > 1:
            raise CheckpointError(
                f"{str(source)!r} holds {len(parts)} sets of {title} weights; pass --part, one of {names}"
            )
        return parts[0], ()
    exact = [part for part in parts if part.name == wanted]
    fitting = exact or [part for part in parts if wanted in part.name.split(".")]
    if len(fitting) == 1:
        return fitting[0], ()
    if len(parts) == 1 and not parts[0].name:
        return parts[0], ()
    if len(parts) == 1:
        return parts[0], (f"{source.name} holds no {title} part {wanted!r}; took its only one, {names}",)
    raise CheckpointError(
        f"no single {title} part {wanted!r} in {str(source)!r}; pass --part, one of {names}"
    )


def _nothing(path: Path, kind: Kind) -> str:
    """Why a path has no network of a kind, and what it has instead."""
    kinds, keys = [], []
    for source in sources(path):
        content = open_source(source)
        kinds += [part.kind.title for part in find_parts(content)]
        for _, tensors in dictionaries(content):
            value = next((v for k, v in tensors.items() if is_anchor(k, kind)), None)
            if isinstance(value, Foreign):
                return (
                    f"{str(path)!r} holds the {kind.title} as objects of {value.origin}, which are not"
                    " loaded; save {key: torch.as_tensor(value)} of it with torch.save and give that file"
                )
        keys += sorted(map(str, content)) if isinstance(content, dict) else [type(content).__name__]
    if kinds:
        return f"{str(path)!r} holds a {kinds[0]}, no {kind.title}; give the {kind.title}'s file"
    found = ", ".join(key[:60] for key in keys[:SHOWN])
    return (
        f"{str(path)!r} holds no state dict of a {kind.title} (no {kind.anchor}; found: {found});"
        f" give the {kind.title}'s file"
    )
