"""What generated images are compared with: real digits, a reference file of the ADM evaluation, or images.

Axis letters: N images, D pooled features, E spatial features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tts.errors import UsageError
from tts.evaluation.crew import Crew
from tts.evaluation.digits_source import PARTS, open_digits
from tts.evaluation.extract import BATCH, Progress, extract_source, share_source, silent
from tts.evaluation.features import FeatureExtractor, Features
from tts.evaluation.figures import Reference
from tts.evaluation.image_source import ImageSource
from tts.evaluation.sources import open_source


def load_reference(
    text: str, extractor: FeatureExtractor, batch: int = BATCH, progress: Progress = silent
) -> Reference:
    """The reference that ``text`` names: ``heldout``, ``train`` or ``all`` digits, or a path.

    The path is an npz, whose stored ``mu``, ``sigma``, ``mu_s``, ``sigma_s`` serve FID and sFID where it has
    them, a folder of ``tts sample`` or an image folder.
    """
    found = open_reference(text).load(extractor, Crew(), batch, progress)
    assert found is not None
    return found


def reference_features(
    text: str, extractor: FeatureExtractor, batch: int = BATCH, progress: Progress = silent
) -> Features:
    """Features of a reference's images, with their labels where known."""
    source = open_reference(text).source
    if source is None:
        raise UsageError(f"reference {text} holds statistics only; give one with images")
    return extract_source(source, extractor, batch, progress)


def split_reference(features: Features, seed: int = 0) -> tuple[Reference, Reference]:
    """Two references of half of the images each, drawn within each label, or among all if labels are unknown.

    The halves of a label, and those of all, differ by one image at most.
    """
    if len(features) < 4:
        raise UsageError(f"a reference to split needs at least 4 images, got {len(features)}; give more")
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
    if features.labels is not None:
        order = order[features.labels[order].argsort(stable=True)]  # label by label, random within each
    return Reference.of(features.rows(order[0::2])), Reference.of(features.rows(order[1::2]))


def describe_reference(text: str) -> dict[str, Any]:
    """A reference's identity for records, without features."""
    return open_reference(text).describe()


def open_reference(text: str) -> OpenReference:
    """Open a reference; a part of the digits wins over a file of its name, which ``./NAME`` is."""
    if text in PARTS:
        return OpenReference(text, open_digits(text))
    if not Path(text).exists():
        raise UsageError(
            f"unknown reference {text!r}; use {', '.join(PARTS)} for real digits, or the path of an npz or a"
            " folder of images"
        )
    return OpenReference(text, open_source(text))


@dataclass(frozen=True)
class OpenReference:
    """A reference whose features are not made yet."""

    text: str
    source: ImageSource | None

    def load(
        self, extractor: FeatureExtractor, crew: Crew, batch: int = BATCH, progress: Progress = silent
    ) -> Reference | None:
        """The reference, in rank 0 of a crew."""
        assert self.source is not None
        found = share_source(self.source, extractor, crew, batch, progress)
        return None if found is None else Reference.of(found)

    def describe(self) -> dict[str, Any]:
        """Its identity: text, number of images, hash, and where its statistics come from."""
        source = self.source
        return {
            "text": self.text,
            "images": source.count if source else 0,
            "sha256": source.sha256() if source else None,
            "statistics": "computed",
        }
