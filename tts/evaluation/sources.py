"""From a path to the images that lie there: a run's folder, an npz or an image folder."""

from __future__ import annotations

from pathlib import Path

from tts.engine.plan import PLAN_FILE
from tts.errors import UsageError
from tts.evaluation.folder_source import open_folder
from tts.evaluation.image_source import ImageSource
from tts.evaluation.npz_source import open_npz
from tts.evaluation.reading import AS_STORED, Reading
from tts.evaluation.resized_source import resized
from tts.evaluation.run_source import open_run
from tts.outputs import RECORD

__all__ = ["ImageSource", "open_source"]


def open_source(path: Path | str, reading: Reading = AS_STORED) -> ImageSource:
    """Open the images of a finished run of ``tts sample``, of an npz or of an image folder.

    Only what says how many there are and how large is read. ``UsageError`` or ``CheckpointError`` say what is
    missing, unfinished or damaged.
    """
    place = Path(path)
    if not place.exists():
        raise UsageError(f"{place} does not exist; give a folder of 'tts sample', an npz or an image folder")
    return resized(_opened(place, reading), reading.resize)


def _opened(place: Path, reading: Reading) -> ImageSource:
    if place.is_file():
        return open_npz(place, square=reading.resize is None)
    if (place / PLAN_FILE).exists() or (place / RECORD).exists():
        return open_run(place)
    return open_folder(place, reading)
