"""The folder of a sweep: what was asked for, one folder a point, one file a seed set.

A set's file appears by renaming when the set is measured: where it is, the set is done. Nothing is ever
removed but files that prove damaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tts.engine.folder import WORK
from tts.engine.plan import PLAN_FILE
from tts.errors import CheckpointError, UsageError
from tts.evaluation.sweep.lab import Measured
from tts.evaluation.sweep.names import Name
from tts.evaluation.sweep.point import Setting
from tts.evaluation.sweep.record import FORMAT, SetRecord, SweepRecord
from tts.images import Pixels
from tts.io import make_folder, save_png, write_json
from tts.outputs import RECORD
from tts.records import read_record, tagged

SWEEP, POINTS, POINT, STRIP_FILE = "sweep.json", "points", "point.json", "images.png"


@dataclass(frozen=True)
class Named:
    """A setting under its name."""

    name: Name
    setting: Setting

    @property
    def id(self) -> str:
        """The name of its folder."""
        return self.name.id


@dataclass(frozen=True)
class _PointRecord:
    id: str
    label: str
    setting: Setting


@dataclass(frozen=True)
class Store:
    """The files of a sweep."""

    folder: Path

    @property
    def work(self) -> Path:
        """Folder of locks."""
        return self.folder / WORK

    def check(self) -> None:
        """Refuse the folder of something else."""
        if not (self.folder / SWEEP).exists():
            for name in (PLAN_FILE, RECORD):
                if (self.folder / name).exists():
                    raise UsageError(f"{self.folder} holds a run of another command; choose another --out")

    def record(self) -> SweepRecord | None:
        """What was asked for so far; ``None`` in a new folder."""
        path = self.folder / SWEEP
        if not path.exists():
            return None
        return read_record(
            path, SweepRecord, "record of 'tts sweep'", "choose another --out", FORMAT, own=True
        )

    def open(self, asked: SweepRecord, points: list[Named]) -> None:
        """Add what is asked for to what the folder holds; refuses other figures by name.

        Only the process that is ``opening`` the folder may do so.
        """
        before = self.record()
        if before is not None:
            if names := asked.differences(before):
                raise UsageError(
                    f"{self.folder} holds a sweep with other settings ({', '.join(names)});"
                    " choose another --out"
                )
            asked = asked.joined(before)
        for point in points:
            self._write_point(point)
        write_json(self.folder / SWEEP, tagged(FORMAT, asked))

    def _write_point(self, point: Named) -> None:
        folder = self.point_folder(point.id)
        record = _PointRecord(point.id, point.name.label, point.setting)
        if (folder / POINT).exists():
            found = self.point(point.id)
            if found.setting != point.setting:
                raise CheckpointError(f"{folder} holds another setting; choose another --out")
            return
        make_folder(folder)
        write_json(folder / POINT, record)

    def point_folder(self, point: str) -> Path:
        """Folder of a point."""
        return self.folder / POINTS / point

    def point(self, point: str) -> Named:
        """A point that was asked for."""
        path = self.point_folder(point) / POINT
        found = read_record(path, _PointRecord, "record of a point", "choose another --out", own=True)
        return Named(Name(found.id, found.label), found.setting)

    def set_path(self, point: str, number: int) -> Path:
        """Where the figures of a seed set lie once it is measured."""
        return self.point_folder(point) / f"set-{number}.json"

    def has(self, point: str, number: int) -> bool:
        """Whether a seed set is measured."""
        return self.set_path(point, number).exists()

    def images_path(self, point: str, number: int) -> Path:
        """Where the images of a seed set lie if they are kept."""
        return self.point_folder(point) / f"set-{number}.npz"

    def write_set(self, point: str, number: int, measured: Measured, record: SetRecord) -> None:
        """Write what a seed set gave, the figures last; the lowest set of a point gives its picture."""
        if all(number <= other for other in self.numbers(point)):
            save_png(self.point_folder(point) / STRIP_FILE, side_by_side(measured.strip))
        write_json(self.set_path(point, number), record)

    def numbers(self, point: str) -> list[int]:
        """Numbers of the seed sets of a point that are measured, in order."""
        stems = [path.stem.removeprefix("set-") for path in self.point_folder(point).glob("set-*.json")]
        return sorted(int(stem) for stem in stems if stem.isdecimal())

    def read_set(self, point: str, number: int) -> SetRecord:
        """What a seed set gave."""
        path = self.set_path(point, number)
        return read_record(path, SetRecord, "record of a seed set", "remove it and sweep again", own=True)

    def remove_damaged(self, point: str, number: int) -> str | None:
        """Remove the file of a seed set that cannot be read, and say what was wrong."""
        try:
            self.read_set(point, number)
        except CheckpointError as error:
            self.set_path(point, number).unlink(missing_ok=True)
            return str(error).partition(";")[0]
        return None


def side_by_side(strip: Pixels) -> Pixels:
    """Images (n, S, S, 3) in one row (S, n S, 3)."""
    count, size = strip.shape[:2]
    return strip.transpose(1, 0, 2, 3).reshape(size, count * size, 3)
