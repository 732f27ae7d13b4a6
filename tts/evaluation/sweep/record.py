"""What a sweep's folder says of itself: ``sweep.json`` and one file a point and seed set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tts import limits
from tts.evaluation.cost import Cost
from tts.evaluation.figures import Figures

FORMAT = "scalewise-tts-sweep-1"

Record = dict[str, Any]


@dataclass(frozen=True)
class SweepRecord:
    """What was asked for, over all commands that worked in a folder.

    ``base`` holds the fields of ``SampleConfig``, ``grids`` texts, ``points`` ids. ``shared`` are the values
    of what all points share: settings, hashes of weights, features, reference, options of the metrics.
    ``judges`` are the identities of scorers and image scorers, by the text that names them.
    """

    command: str
    base: Record
    grids: tuple[str, ...]
    images: limits.Items
    seed_sets: tuple[limits.Seed, ...]
    features: Record
    features_title: str
    reference: Record
    metrics: Record
    backbone: Record
    judges: Record
    shared: Record
    points: tuple[str, ...]

    def differences(self, other: SweepRecord) -> list[str]:
        """Names of what does not agree, so that the figures of both may not stand side by side."""
        if self.backbone["backbone"] != other.backbone["backbone"]:
            return ["backbone"]
        mine, others = self._fixed(), other._fixed()
        names = [name for name in {**mine, **others} if mine.get(name) != others.get(name)]
        both = self.judges.keys() & other.judges.keys()
        return names + [name for name in sorted(both) if self.judges[name] != other.judges[name]]

    def _fixed(self) -> Record:
        return {**self.shared, **self.backbone, **self.comparable()}

    def comparable(self) -> Record:
        """What must agree wherever figures are compared: they are of one kind, and their images are pairs."""
        reference = {key: value for key, value in self.reference.items() if key != "text"}
        kind = {"images": self.images, "features": self.features, "reference": reference}
        return {**kind, "classes": self.backbone["classes"], **self.metrics}

    def joined(self, earlier: SweepRecord) -> SweepRecord:
        """This record with all that an earlier one has."""
        return replace(
            self,
            grids=_union(earlier.grids, self.grids),
            seed_sets=tuple(sorted({*earlier.seed_sets, *self.seed_sets})),
            judges={**earlier.judges, **self.judges},
            points=_union(earlier.points, self.points),
        )


@dataclass(frozen=True)
class SetRecord:
    """What one seed set of a point gave; ``processes`` were at work at the same time.

    ``strip`` is a digest of its first images, where it has one.
    """

    figures: Figures
    cost: Cost
    environment: Record
    processes: limits.Count
    strip: str = ""


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))
