"""Token maps of real and generated images, of the same classes, for the analysis of scorers.

Axis letters: N images, L tokens of all scales, S pixels a side.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tts.building import Model
from tts.config import SearchSettings
from tts.data.collect import Generated
from tts.data.collect_config import CollectConfig, resolved_settings
from tts.data.digits import load_digits_split
from tts.errors import UsageError
from tts.evaluation.image_source import ImageSource
from tts.fitting import Fit
from tts.noise_streams import Stream
from tts.pipeline import Generator, Item, default_batch
from tts.resolve import build_selector

MOST_REAL = 2000
LEAST_GENERATED = 1000
FIRST_SEED = 2**40
"""Seeds from here on are no training data's, whose numbers begin at 0."""

GAP = 32
"""Files that lie nearer to each other than this are read in one go."""

DIGITS = ("train", "heldout", "all")


@dataclass(frozen=True)
class Maps:
    """Token maps (N, L), int64, scales concatenated, and labels (N,)."""

    tokens: Tensor
    labels: Tensor

    def __len__(self) -> int:
        """Number of images N."""
        return len(self.labels)


def real_maps(reference: str, model: Model) -> Maps:
    """Maps of a sweep's reference: at most ``MOST_REAL``, as many of each class as there can be.

    Of the digits these are the held-out scans, which no scorer was trained on. A reference without labels, or
    with images of another size, is a ``UsageError``.
    """
    info = model.info
    if reference in DIGITS:
        scans, labels = load_digits_split("heldout", info.image_size)
        return Maps(_encoded(model, scans.split(_batch(model))), labels)
    from tts.evaluation.sources import open_source

    source = open_source(Path(reference))
    if source.labels is None:
        why = source.label_fault or f"{reference} has no labels"
        raise UsageError(f"{why}; scorers judge images of a class, give labelled images")
    labels = torch.from_numpy(source.labels)
    if source.size != info.image_size or not 0 <= int(labels.min()) <= int(labels.max()) < info.classes:
        raise UsageError(
            f"{reference} has images of {source.size}x{source.size} with labels up to {int(labels.max())},"
            f" {info.name} makes {info.image_size}x{info.image_size} of {info.classes} classes"
        )
    rows = choose(labels, MOST_REAL)
    images = (part.float() / 255 for part in _read(source, rows, _batch(model)))
    return Maps(_encoded(model, images), labels[rows])


def generated_maps(labels: Tensor, model: Model, guidance: str | None = None) -> tuple[Maps, SearchSettings]:
    """Maps of the plain model for the classes of real images (N,), repeated until there are enough.

    They are drawn as ``tts collect`` draws the generated side, with seeds that it does not reach.
    """
    info = model.info
    asked = CollectConfig(backbone=info.name, guidance=guidance)
    found = resolved_settings(asked, model.spec, info)
    settings = SearchSettings(
        candidates=(1,) * info.scales,
        cfg=found["cfg"],
        top_k=found["top_k"],
        top_p=found["top_p"],
        stream=Stream.COLLECT,
        decode=False,
    )
    times = max(1, -(-LEAST_GENERATED // len(labels)))
    wanted = labels.sort().values.repeat(times)
    items = [Item(label, FIRST_SEED + i) for i, label in enumerate(wanted.tolist())]
    generator = Generator(model.backbone, None, build_selector("random", 1, 1.0), settings, model.device)
    parts = [made.tokens.cpu() for made in Generated(generator, Fit(_batch(model))).maps(items)]
    return Maps(torch.cat(parts), wanted), settings


def choose(labels: Tensor, most: int) -> Tensor:
    """Indices, sorted, of at most ``most`` items (N,): the first ones of each class, equally many of each.

    With more classes than ``most`` only the first classes have one.
    """
    order = labels.argsort(stable=True)
    counts = labels.bincount()
    starts = counts.cumsum(0) - counts
    place = torch.arange(len(labels)) - starts[labels[order]]  # number within the class
    return order[place.argsort(stable=True)[:most]].sort().values


def _batch(model: Model) -> int:
    return default_batch(model.info.tokens)


@torch.inference_mode()
def _encoded(model: Model, batches: Iterable[Tensor]) -> Tensor:
    """Token maps (N, L) of batches of images (n, 3, S, S) in [0, 1]."""
    return torch.cat([model.backbone.encode(images.to(model.device)).cpu() for images in batches])


def _read(source: ImageSource, rows: Tensor, size: int) -> Iterator[Tensor]:
    """The images (n, 3, S, S) of some rows, sorted; rows that lie close together are read in one go."""
    cuts = (rows.diff() > GAP).nonzero().flatten() + 1
    for some in rows.tensor_split(cuts.tolist()):
        first, last = int(some[0]), int(some[-1])
        wanted = set(some.tolist())
        for start, images in zip(
            itertools.count(first, size), source.batches(range(first, last + 1), size), strict=False
        ):
            yield images[[i for i in range(len(images)) if start + i in wanted]]
