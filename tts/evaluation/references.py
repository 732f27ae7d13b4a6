"""What generated images are compared with: real digits, a reference file of the ADM evaluation, or images.

Axis letters: N images, D pooled features, E spatial features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tts.cache import known
from tts.errors import UsageError
from tts.evaluation.crew import Crew
from tts.evaluation.digits_source import PARTS, open_digits
from tts.evaluation.extract import BATCH, Progress, check_size, extract_source, share_source, silent
from tts.evaluation.features import FeatureExtractor, Features
from tts.evaluation.figures import Reference
from tts.evaluation.image_source import ImageSource
from tts.evaluation.npz_file import NpzFile
from tts.evaluation.npz_source import IMAGES
from tts.evaluation.reading import AS_STORED, Reading
from tts.evaluation.resized_source import resized
from tts.evaluation.sources import open_source
from tts.evaluation.stored_statistics import StoredStatistics, read_statistics
from tts.io import sha256_file

Say = Callable[[str], None]


def unsaid(message: str) -> None:
    """Say nothing."""


def load_reference(
    text: str,
    extractor: FeatureExtractor,
    batch: int = BATCH,
    progress: Progress = silent,
    say: Say = unsaid,
) -> Reference:
    """The reference that ``text`` names: ``heldout``, ``train`` or ``all`` digits, or a path.

    The path is an npz, whose stored ``mu``, ``sigma``, ``mu_s``, ``sigma_s`` serve FID and sFID where it has
    them, a folder of ``tts sample`` or an image folder. ``say`` hears what is doubtful of its images.
    """
    opened = open_reference(text)
    found = opened.load(extractor, Crew(), batch, progress)
    assert found is not None
    _tell(opened.source, extractor, say)
    return found


def reference_features(
    text: str,
    extractor: FeatureExtractor,
    batch: int = BATCH,
    progress: Progress = silent,
    say: Say = unsaid,
) -> Features:
    """Features of a reference's images, with their labels where known; ``say`` hears what is doubtful."""
    source = open_reference(text).source
    if source is None:
        raise UsageError(f"reference {text} holds statistics only; give one with images")
    found = extract_source(source, extractor, batch, progress)
    _tell(source, extractor, say)
    return found


def _tell(source: ImageSource | None, extractor: FeatureExtractor, say: Say) -> None:
    """Say what is doubtful of a reference's images, which were read."""
    for doubt in () if source is None else (*source.set_doubts(extractor), *source.image_doubts()):
        say(f"reference: {doubt}")


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


def check_spatial(text: str, reference: Reference, features: Features, extractor: FeatureExtractor) -> None:
    """Refuse stored statistics of spatial features of another width than an extractor gives."""
    if reference.spatial is None or features.spatial is None:
        return
    stored, found = len(reference.spatial.mean), features.spatial.shape[1]
    if stored != found:
        raise UsageError(
            f"reference {text} has statistics of {stored} spatial features, {extractor.name!r} gives {found};"
            " choose other --features"
        )


def describe_reference(text: str) -> dict[str, Any]:
    """A reference's identity for records, without features."""
    return open_reference(text).describe()


def open_reference(text: str, reading: Reading = AS_STORED) -> OpenReference:
    """Open a reference; a part of the digits wins over a file of its name, which ``./NAME`` is."""
    if text in PARTS:
        return OpenReference(text, resized(open_digits(text), reading.resize))
    path = Path(text)
    if not text or not path.exists():
        raise UsageError(
            f"unknown reference {text!r}; use {', '.join(PARTS)} for real digits, or the path of an npz or a"
            " folder of images"
        )
    if not path.is_file():
        return OpenReference(text, open_source(path, reading))
    file = NpzFile(path)
    stored = read_statistics(file)
    has_images = IMAGES in file or stored is None
    return OpenReference(text, open_source(path, reading) if has_images else None, stored)


@dataclass(frozen=True)
class OpenReference:
    """A reference whose features are not made yet: images, stored statistics, or both."""

    text: str
    source: ImageSource | None
    stored: StoredStatistics | None = None

    def check(self, extractor: FeatureExtractor) -> None:
        """Refuse images and stored statistics that do not fit an extractor."""
        if self.source is not None:
            check_size(self.source, extractor)
        if self.stored is not None:
            self.stored.check_maker(self.text, extractor)
        if self.stored is not None and len(self.stored.pool.mean) != extractor.dimensions:
            raise UsageError(
                f"reference {self.text} has statistics of {len(self.stored.pool.mean)} features,"
                f" {extractor.name!r} gives {extractor.dimensions}; choose other --features"
            )

    def load(
        self,
        extractor: FeatureExtractor,
        crew: Crew,
        batch: int = BATCH,
        progress: Progress = silent,
        manifold: bool = True,
    ) -> Reference | None:
        """The reference, in rank 0 of a crew.

        Beside stored statistics the images serve precision and recall only: without ``manifold`` they are
        left alone.
        """
        self.check(extractor)
        found = None
        if self.source is not None and (manifold or self.stored is None):
            found = share_source(self.source, extractor, crew, batch, progress)
        if not crew.main:
            return None
        if self.stored is None:
            assert found is not None
            return Reference.of(found)
        reference = Reference(self.stored.pool, self.stored.spatial, found)
        if found is not None:
            check_spatial(self.text, reference, found, extractor)
        return reference

    def describe(self) -> dict[str, Any]:
        """Its identity: text, number of images, hash, and where the statistics for FID come from."""
        return {
            "text": self.text,
            "images": self.source.count if self.source else 0,
            "sha256": self.source.sha256()
            if self.source
            else known([Path(self.text)], "sha256", sha256_file)[0],
            "statistics": "stored" if self.stored else "computed",
        }
