"""Which class a folder of images is: one rule for every command.

Where all folders are named by whole numbers, these are the labels. Else a folder's label is its place among
the names sorted as text, as in torchvision's ``ImageFolder``, by which the published models were trained.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tts.errors import UsageError
from tts.images import printable

LARGEST = 2**31 - 1
"""Labels are stored as int32."""

_NUMBER = re.compile(r"[0-9]+")
_ENDS_IN_NUMBER = re.compile(r"(.*?)([0-9]+)", re.DOTALL)


@dataclass(frozen=True)
class Classes:
    """Class folders in the order of their labels; ``by_number`` says that their names are the labels."""

    names: tuple[str, ...]
    labels: tuple[int, ...]
    by_number: bool

    @classmethod
    def of(cls, folders: Iterable[str]) -> Classes:
        """The labels of folders by the rule; ``UsageError`` where their names contradict each other."""
        names = sorted(folders)
        numbered = [name for name in names if _NUMBER.fullmatch(name)]
        if not numbered:
            return cls(tuple(names), tuple(range(len(names))), False)
        if len(numbered) < len(names):
            other = next(name for name in names if name not in numbered)
            raise UsageError(
                f"some class folders are named by a number, like {numbered[0][:20]}, others are not, like"
                f" {_shown(other)}; name all by their labels, or none"
            )
        for name in names:
            if len(name.lstrip("0")) > 10 or int(name) > LARGEST:
                raise UsageError(f"class folder {name[:20]} is no label up to {LARGEST}; rename it")
        pairs = sorted((int(name), name) for name in names)
        for (label, name), (following, twin) in pairwise(pairs):
            if label == following:
                raise UsageError(f"class folders {name} and {twin} are both label {label}; merge them")
        return cls(tuple(name for _, name in pairs), tuple(label for label, _ in pairs), True)

    def __str__(self) -> str:
        """The rule in words, for the screen and records."""
        if not self.names:
            return "no class folders"
        first, last = self.labels[0], self.labels[-1]
        if self.by_number:
            return f"labels are the numbers that the class folders are named by, {first} to {last}"
        names = f"{_shown(self.names[0])} to {_shown(self.names[-1])}"
        return f"labels {first} to {last} are the places of the class folders' names sorted as text, {names}"

    def check(self, root: Path, classes: int) -> None:
        """Refuse folders that are not those of a model with so many classes."""
        if not self.by_number and len(self.names) != classes:
            raise UsageError(
                f"{root} has {len(self.names)} class folders, the backbone has {classes} classes; give one"
                " sub-folder a class in the order of their names, an empty one for a class without images, or"
                " name the folders by their labels"
            )
        if self.by_number and self.labels[-1] >= classes:
            counted = ", and these seem to count from 1" if self.labels[0] == 1 else ""
            raise UsageError(
                f"{root}: class folder {self.names[-1]} is no class of the backbone, whose labels are 0 to"
                f" {classes - 1}{counted}; rename the folders"
            )

    def doubts(self, known: tuple[str, str] | None = None, classes: int = 0) -> Iterator[str]:
        """One line for each thing that makes the labels doubtful.

        ``known`` are the names of a model's first and last class, ``classes`` is their number, if known.
        """
        if not self.names:
            return
        if self.by_number:
            lacking = sorted({*range(classes)} - {*self.labels})
            if lacking:
                some = ", ".join(map(str, lacking[:3])) + (", …" if len(lacking) > 3 else "")
                yield f"there is no class folder for {len(lacking)} of {classes} classes ({some})"
            return
        numbers = self._last_numbers()
        if numbers != sorted(numbers):
            place = next(i for i, (one, two) in enumerate(pairwise(numbers)) if two < one)
            yield (
                f"class folders are sorted as text, so {_shown(self.names[place])} is class {place} and"
                f" {_shown(self.names[place + 1])} is class {place + 1}; if their numbers are the labels,"
                " name them by these alone"
            )
        elif known and numbers != [*self.labels] and (self.names[0], self.names[-1]) != known:
            place = 0 if self.names[0] != known[0] else -1
            yield (
                f"class folder {_shown(self.names[place])} is taken for class {self.labels[place]}, which the"
                f" model's training data call {known[place]!r}; check that the folders, sorted as text, are"
                " in the order of the model's classes, or name them by their labels"
            )

    def _last_numbers(self) -> list[int]:
        """The numbers that the names end in, if they are equal before them; none otherwise."""
        found = [_ENDS_IN_NUMBER.fullmatch(name) for name in self.names]
        alike = all(found) and len({match[1] for match in found if match}) == 1
        return [int(match[2][-18:]) for match in found if match] if alike else []


def _shown(name: str) -> str:
    return repr(printable(name)[:60])
