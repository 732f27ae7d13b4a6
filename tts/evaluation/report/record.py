"""JSON files of a folder, read with the file's name in every error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tts.errors import CheckpointError
from tts.records import read_record


class Record:
    """A JSON object of a file; ``remedy`` is what an error advises where the file lacks something."""

    def __init__(self, path: Path, values: object, remedy: str, place: str = "") -> None:
        self.path, self.remedy, self.place = path, remedy, place
        if not isinstance(values, dict):
            where = f" at {place.rstrip('.')!r}" if place else ""
            raise CheckpointError(f"{path} holds no JSON object{where}; {remedy}")
        self.values: dict[str, Any] = values

    @staticmethod
    def open(path: Path, remedy: str) -> Record:
        """Read a file."""
        return Record(path, read_record(path, dict[str, Any], "record", remedy, own=True), remedy)

    def __contains__(self, name: str) -> bool:
        """Whether there is something but null under a name."""
        return self.values.get(name) is not None

    def part(self, name: str) -> Record:
        """The object under a name; an empty one where there is none."""
        return Record(self.path, self.values.get(name) or {}, self.remedy, f"{self.place}{name}.")

    def need(self, name: str) -> Any:
        """The value under a name, which must be there."""
        if name not in self:
            raise CheckpointError(f"{self.path} lacks {self.place + name!r}; {self.remedy}")
        return self.values[name]

    def parts(self, name: str) -> Iterator[Record]:
        """The objects of a list."""
        values = self.need(name)
        if not isinstance(values, list):
            raise CheckpointError(f"{self.path} has no list at {self.place + name!r}; {self.remedy}")
        for position, value in enumerate(values):
            yield Record(self.path, value, self.remedy, f"{self.place}{name}.{position}.")

    def text(self, name: str, default: str = "") -> str:
        """The text under a name."""
        value = self.values.get(name)
        return default if value is None else str(value)

    def number(self, name: str) -> float | None:
        """The number under a name, if there is one."""
        value = self.values.get(name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def numbers(self, name: str) -> tuple[float, ...]:
        """The numbers under a name, which must be a list of them."""
        values = self.need(name)
        if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values):
            raise CheckpointError(f"{self.path} has no numbers at {self.place + name!r}; {self.remedy}")
        return tuple(values)
