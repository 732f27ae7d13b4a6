"""What ``tts eval`` finds, and its record as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tts.evaluation.figures import Figures, MetricOptions

FORMAT = "scalewise-tts-eval-1"


@dataclass(frozen=True)
class RunFigures:
    """Figures of one set of images: ``run`` is its name, ``path`` its place.

    ``warnings`` and ``notes`` concern it alone.
    ``images_per_second`` is as recorded by the run, ``overhead`` the extra time over the first run.
    """

    run: str
    path: str
    figures: Figures
    uint8_rule: str | None
    images_per_second: float | None
    overhead: float | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """One flat record, the figures by their names."""
        own = {"run": self.run, "path": self.path}
        speed = {"images_per_second": self.images_per_second, "overhead": self.overhead}
        rest = {"uint8_rule": self.uint8_rule, "warnings": list(self.warnings)}
        rest["notes"] = list(self.notes)
        return {**own, **asdict(self.figures), **speed, **rest}


@dataclass(frozen=True)
class Evaluation:
    """Figures of all sets, with everything that they depend on.

    ``title`` names the Frechet distance of the features; ``features`` and ``reference`` are identities for
    records, ``versions`` are those of all that can change a number. ``resize`` is how images of other sizes
    were made alike; ``notes`` say what was chosen and how labels were found.
    """

    title: str
    features: dict[str, Any]
    reference: dict[str, Any]
    options: MetricOptions
    runs: tuple[RunFigures, ...]
    warnings: tuple[str, ...]
    versions: dict[str, Any]
    resize: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The record of ``--json``."""
        return {
            "format": FORMAT,
            "title": self.title,
            "features": self.features,
            "reference": self.reference,
            "options": asdict(self.options),
            "runs": [run.to_json() for run in self.runs],
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "resize": self.resize,
            "versions": self.versions,
        }


def run_names(paths: Sequence[Path]) -> list[str]:
    """What the sets are called: their last name, or the whole path where several have the same."""
    short = [path.resolve().name for path in paths]
    return [str(path) if short.count(name) > 1 else name for path, name in zip(paths, short, strict=True)]
