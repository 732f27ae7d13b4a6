"""Where files live when the user does not say: a folder of work, with a folder for each backbone.

Below ``./tts-work``, or what ``TTS_WORK`` names, ``BACKBONE/model`` is a converted model, ``generated`` and
``real`` are the data of a scorer, ``scorer`` is the scorer, and ``samples/RUN`` are images. Every command
that is given no folder asks here, and so finds what an earlier one left.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tts.errors import UsageError

VARIABLE, USUAL = "TTS_WORK", "tts-work"

DEFAULT_BACKBONE = "var-digits"
"""The embedded model that commands are about when none is named."""

MANIFEST, RUN = "manifest.json", "run.json"
"""The records that end a data set and a run of samples."""


@dataclass(frozen=True)
class Place:
    """The folders of one backbone."""

    folder: Path

    @property
    def model(self) -> Path:
        """What ``tts convert`` makes."""
        return self.folder / "model"

    @property
    def scorer(self) -> Path:
        """What ``tts train-scorer`` makes."""
        return self.folder / "scorer"

    @property
    def tune(self) -> Path:
        """What ``tts tune`` makes."""
        return self.folder / "tune"

    @property
    def sweep(self) -> Path:
        """What ``tts sweep`` makes."""
        return self.folder / "sweep"

    def side(self, kind: str) -> Path:
        """What ``tts collect`` makes of ``generated`` or ``real`` images."""
        return self.folder / kind

    def has(self, kind: str) -> bool:
        """Whether a side of the data is whole."""
        return (self.side(kind) / MANIFEST).is_file()

    def samples(self, run: str) -> Path:
        """What ``tts sample`` makes with the settings that ``run`` stands for."""
        return self.folder / "samples" / run


def root() -> Path:
    """The work folder."""
    return Path(os.environ.get(VARIABLE) or USUAL)


def place_of(backbone: str) -> Place:
    """The place of a backbone by its own name (``flexvar-d24``, not ``flexvar``)."""
    return Place(root() / backbone)


def converted_model(text: str) -> Path | None:
    """The folder of a model in the work folder that a name stands for.

    A published model that was converted counts before the download cache; one that brings its own weights is
    never replaced.
    """
    from tts.manager import get_plugins
    from tts.registry import NAME

    if not NAME.fullmatch(text):
        return None
    known = [spec for spec, _ in get_plugins().backbones if text in (spec.name, *spec.aliases)]
    if known and not known[0].files:
        return None
    model = place_of(known[0].name if known else text).model
    return model if model.is_dir() else None


def others_with_data(backbone: str) -> list[str]:
    """Further backbones of which the work folder has whole data sets."""
    found = {path.parents[1].name for path in root().glob(f"*/*/{MANIFEST}")}
    return sorted(found - {backbone})


def finished_samples() -> list[Path]:
    """The runs of ``tts sample`` in the work folder, plain ones first; of one backbone, and one at least."""
    runs = [path.parent for path in root().glob(f"*/samples/*/{RUN}")]
    names = sorted({run.parents[1].name for run in runs})
    if not runs:
        raise UsageError(f"no finished runs in {root()}; make one with 'tts sample', or name folders")
    if len(names) > 1:
        one = root() / names[-1] / "samples" / "*"
        raise UsageError(f"{root()} has runs of {', '.join(names)}; give those of one model, like {one}")
    return sorted(runs, key=lambda run: (not run.name.startswith("plain"), str(run)))
