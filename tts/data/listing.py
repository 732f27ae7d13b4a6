"""The images of a folder, compact enough for millions, and their list as a text file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, TextIO

import numpy as np
from numpy.typing import NDArray

from tts import limits
from tts.data.classes import Classes
from tts.errors import CheckpointError, UsageError, reason
from tts.images import Tally
from tts.io import atomic_path
from tts.records import SIZE, parse_record

FORMAT = "scalewise-tts images 2"
REMEDY = "delete it, it will be made again"
_LINES = 1 << 16


@dataclass(frozen=True)
class _Header:
    images: limits.Count
    fingerprint: str
    names: tuple[str, ...]
    left_out: Tally


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """Images below ``root``, class by class and sorted by name; ``labels[i]`` is the class of ``files[i]``.

    An image's number is its index here. ``files`` are 'class/file', and ``labels`` (N,) is int32. What else
    lies there is ``left_out``.
    """

    root: Path
    classes: Classes
    files: tuple[str, ...]
    labels: NDArray[np.int32]
    left_out: Tally = field(default_factory=Tally)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.files)

    def path(self, index: int) -> Path:
        """Where an image lies."""
        return self.root / self.files[index]

    def first(self, per_class: int | None) -> NDArray[np.int64]:
        """Numbers of the first ``per_class`` images of each class, of all for ``None``."""
        numbers = np.arange(len(self), dtype=np.int64)
        if per_class is None:
            return numbers
        starts = np.searchsorted(self.labels, self.labels)
        return numbers[numbers - starts < per_class]

    def fingerprint(self) -> str:
        """SHA-256 of the class names and the files' names in their order, as hexadecimal digits."""
        digest = hashlib.sha256()
        lines = iter((*self.classes.names, "", *self.files))
        while part := list(islice(lines, _LINES)):
            digest.update("".join(f"{line}\n" for line in part).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def save(self, file: Path | str) -> None:
        """Write the list as text: a line of JSON with the classes, then one image a line."""
        header = {
            "format": FORMAT,
            "images": len(self),
            "fingerprint": self.fingerprint(),
            "names": self.classes.names,
            "left_out": asdict(self.left_out),
        }
        with atomic_path(file) as temporary, _text(temporary, "w") as stream:
            stream.write(json.dumps(header) + "\n")
            stream.writelines(f"{name}\n" for name in self.files)

    @classmethod
    def load(cls, file: Path | str, root: Path | str) -> ImageFolder:
        """Read what ``save`` wrote; the folder itself is not looked at."""
        try:
            with _text(Path(file), "r") as stream:
                line = stream.readline(SIZE)
                header = parse_record(line, _Header, str(file), "list of images", REMEDY, FORMAT)
                files = tuple(stream.read().split("\n")[:-1])
            classes = Classes.of(header.names)
            folder = cls(Path(root), classes, files, _labels(classes, files), header.left_out)
            if header.images != len(files):
                raise ValueError(f"{len(files)} of {header.images} images")
            if (header.fingerprint, header.names) != (folder.fingerprint(), classes.names):
                raise ValueError("another fingerprint")
        except OSError as error:
            raise CheckpointError(f"cannot read {file} ({reason(error)}); check the path") from error
        except CheckpointError:
            raise
        except (ValueError, KeyError, UsageError) as error:
            raise CheckpointError(
                f"{file} is not a valid list of images ({reason(error)}); {REMEDY}"
            ) from error
        return folder


def _labels(classes: Classes, files: tuple[str, ...]) -> NDArray[np.int32]:
    """Class numbers (N,) of files named 'class/file'."""
    numbers = dict(zip(classes.names, classes.labels, strict=True))
    return np.fromiter((numbers[file.partition("/")[0]] for file in files), np.int32, len(files))


def _text(path: Path, mode: Literal["r", "w"]) -> TextIO:
    """Open a text file whose lines end with a line feed only, since names may hold all other characters."""
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="\n")
