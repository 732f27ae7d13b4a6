"""Arrays of an npz that are read in part: the file is never as a whole in memory, and nothing is unpickled.

Axis letters: N rows of an array, n of a portion.
"""

from __future__ import annotations

import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tts.cache import known
from tts.errors import CheckpointError, reason

_SUFFIX = ".npy"
_CHUNK = 1 << 16
_LOCAL_HEADER = 30
"""Bytes of a zip member's own header before its name, whose length and that of what follows it ends with."""


_DEFLATED = 1040
"""Bytes that a byte of a zip can stand for at most."""
_DAMAGE = (
    *(EOFError, LookupError, MemoryError, OverflowError, RuntimeError, SyntaxError, TypeError, ValueError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""What zipfile and numpy raise at damaged files and at headers that are no headers."""


@dataclass(frozen=True)
class ArrayInfo:
    """An array of an npz: dtype and shape, and where its values begin in the member ``name``."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int


class NpzFile:
    """The arrays of an npz by name; ``CheckpointError`` for what is missing, cut short or damaged.

    An array is compared with its checksum before any of it is given; that of a large file is kept
    (``tts.cache``).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._checked: set[str] = set()
        with self._opened() as archive:
            names = [info.filename for info in archive.infolist() if info.filename.endswith(_SUFFIX)]
            if twice := sorted(name for name in {*names} if names.count(name) > 1):
                raise ValueError(f"it holds {twice[0]} twice")
            self.arrays = {name.removesuffix(_SUFFIX): self._header(archive, name) for name in names}

    def __contains__(self, name: str) -> bool:
        """Whether there is an array of this name."""
        return name in self.arrays

    def array(self, name: str) -> NDArray[Any]:
        """A whole array, for the small ones."""
        info = self._whole(name)
        with self._opened() as archive, archive.open(info.name) as member:
            return np.lib.format.read_array(member, allow_pickle=False)

    def rows(self, name: str, rows: range, size: int) -> Iterator[NDArray[Any]]:
        """Consecutive rows of an array, at most ``size`` at a time: arrays (n, ...) of their own."""
        info = self._whole(name)
        width = info.dtype.itemsize * int(np.prod(info.shape[1:], dtype=np.int64))
        with self._opened() as archive, self._at(archive, info, rows.start * width) as stream:
            for first in range(rows.start, rows.stop, size):
                count = min(size, rows.stop - first)
                data = bytearray(stream.read(count * width))
                if len(data) < count * width:
                    raise EOFError(f"{name} ends after {first + len(data) // width} rows")
                yield np.frombuffer(data, info.dtype).reshape(count, *info.shape[1:])

    def _whole(self, name: str) -> ArrayInfo:
        """Where an array lies, once it was compared with its checksum.

        ``zipfile`` compares only what is read from beginning to end without a jump.
        """
        info = self.arrays[name]

        def read_through(path: Path) -> str:
            with self._opened() as archive, archive.open(info.name) as member:
                while member.read(_CHUNK):
                    pass
            return "whole"

        if name not in self._checked:
            known([self.path], f"whole {name}", read_through)
            self._checked.add(name)
        return info

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        try:
            with self.path.open("rb") as file, zipfile.ZipFile(file) as archive:
                yield archive
        except _DAMAGE as error:
            raise CheckpointError(
                f"{self.path} is no complete npz ({reason(error)}); write or fetch it again"
            ) from error
        except OSError as error:
            raise CheckpointError(f"cannot read {self.path} ({reason(error)}); check the path") from error

    def _header(self, archive: zipfile.ZipFile, name: str) -> ArrayInfo:
        with archive.open(name) as member:
            version = np.lib.format.read_magic(member)
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"{name} has format {version}, this reads 1.0 and 2.0")
            old = version == (1, 0)
            read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
            shape, by_columns, dtype = read(member)
            if by_columns and len(shape) > 1 and dtype == np.uint8:
                raise ValueError(f"{name} is stored column by column; save it in C order")
            _check_size(archive, name, shape, dtype, member.tell())
            return ArrayInfo(name, dtype, shape, member.tell())

    @contextmanager
    def _at(self, archive: zipfile.ZipFile, info: ArrayInfo, offset: int) -> Iterator[IO[bytes]]:
        """A stream of the array's values from an offset in bytes, with a jump if the member is stored."""
        member = archive.getinfo(info.name)
        if offset and member.compress_type == zipfile.ZIP_STORED:
            with self.path.open("rb") as file:
                file.seek(member.header_offset)
                header = file.read(_LOCAL_HEADER)
                lengths = (header[i] | header[i + 1] << 8 for i in (26, 28))
                file.seek(member.header_offset + _LOCAL_HEADER + sum(lengths) + info.start + offset)
                yield file
            return
        with closing(archive.open(member)) as stream:
            stream.seek(info.start + offset)
            yield stream


def _check_size(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], start: int
) -> None:
    """Refuse an array that is not as long as its file says, before anything is made for it."""
    member = archive.getinfo(name)
    size = os.fstat(archive.fp.fileno()).st_size if archive.fp else 0
    if member.compress_size > size or member.file_size > _DEFLATED * (member.compress_size + 64):
        raise ValueError(f"{name} says it has {member.file_size} bytes, the file has {size}")
    needed = start + dtype.itemsize * math.prod(shape)
    if min(shape, default=0) < 0 or (not dtype.hasobject and member.file_size != needed):
        raise ValueError(f"{name} of shape {str(shape)[:80]} does not fit into {member.file_size} bytes")
