"""Records, the JSON that the toolkit writes, become objects of the classes that they describe.

``msgspec`` checks types and the bounds in their annotations (``tts.limits``). Size, depth and the digits of
numbers are bounded before anything is built, so that no record costs more than a moment.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from tts.contents import SEAL, check_seal
from tts.errors import CheckpointError, TtsError, UsageError, reason

T = TypeVar("T")

SIZE = 16 << 20
DEPTH = 64
DIGITS = 40
"""What a record may have at most: bytes, brackets in brackets, digits of a number."""


class _Tag(msgspec.Struct):
    format: str | int | None = None


def read_record(
    path: Path | str,
    kind: type[T],
    what: str,
    remedy: str,
    tag: str | int | None = None,
    own: bool = False,
) -> T:
    """Read a JSON file as a ``kind``; a ``CheckpointError`` with the ``remedy`` if it is no valid ``what``.

    With a ``tag`` the record's ``format`` must be that one. Its checksum must match; the toolkit's ``own``
    must have one.
    """
    data = _content(Path(path), what, remedy)
    found = parse_record(data, kind, str(path), what, remedy, tag)
    check_seal(path, data, parse_record(data, object, str(path), what, remedy), own)
    if isinstance(found, dict):
        found.pop(SEAL, None)
    return found


def parse_record(
    text: bytes | str, kind: type[T], where: str, what: str, remedy: str, tag: str | int | None = None
) -> T:
    """Read JSON as a ``kind``; ``where`` it stands is how an error begins."""
    data = text.encode(errors="replace") if isinstance(text, str) else text
    try:
        _check_bounds(data)
        if tag is not None and (stated := msgspec.json.decode(data, type=_Tag).format) != tag:
            raise ValueError(f"its format is {stated!r:.80}, this version reads {tag!r}")
        found = msgspec.json.decode(data, type=kind)
        json.loads(data, object_pairs_hook=_unique)
        return found
    except (msgspec.MsgspecError, TtsError, ValueError, RecursionError) as error:
        fault = reason(error).partition("; ")[0][:300]
        raise CheckpointError(f"{where} is not a valid {what} ({fault}); {remedy}") from error


def encode(record: object) -> str:
    """A record as JSON on one line."""
    return _encoded(record).decode()


def encode_lines(record: object) -> str:
    """A record as indented JSON."""
    return msgspec.json.format(_encoded(record), indent=2).decode() + "\n"


def digest(record: object) -> str:
    """SHA-256 of a record, whatever the order of its keys."""
    sorted_keys = msgspec.json.encode(plain(record), order="sorted")
    return hashlib.sha256(sorted_keys).hexdigest()


def plain(record: object) -> Any:
    """A record as JSON gives it back: dictionaries, lists, texts, numbers."""
    return msgspec.json.decode(_encoded(record))


def tagged(tag: str | int, record: object) -> dict[str, Any]:
    """A record whose ``format`` says how to read it."""
    return {"format": tag, **msgspec.to_builtins(record, enc_hook=_plain, str_keys=True)}


def _encoded(record: object) -> bytes:
    """The bytes of a record; ``UsageError`` for a name that no UTF-8 stands for."""
    try:
        return msgspec.json.encode(record, enc_hook=_plain)
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the name {error.object!a} is not UTF-8 and cannot be recorded; rename it"
        ) from error


def _content(path: Path, what: str, remedy: str) -> bytes:
    """The bytes of a file, if there are not too many."""
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a pipe would be waited for
            raise OSError("it is no regular file")
        with path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size  # more would be allocated, whatever comes
            data = file.read(min(length, SIZE) + 1)
    except OSError as error:
        raise CheckpointError(f"cannot read {path} ({reason(error)}); check the path") from error
    if len(data) > SIZE:
        raise CheckpointError(f"{path} is not a valid {what} (more than {SIZE >> 20} MiB); {remedy}")
    return data


def _check_bounds(data: bytes) -> None:
    """Refuse what would be costly to build or to work with: ``ValueError`` says what."""
    if len(data) > SIZE:
        raise ValueError(f"more than {SIZE >> 20} MiB")
    bare = re.sub(rb'"[^"]*"', b"", data.replace(b"\\\\", b"").replace(b'\\"', b""))
    if re.search(rb"\d{%d}" % (DIGITS + 1), bare):
        raise ValueError(f"a number has more than {DIGITS} digits")
    signs = np.frombuffer(bare, np.uint8)
    steps = np.isin(signs, list(b"[{")).astype(np.int8) - np.isin(signs, list(b"]}")).astype(np.int8)
    if len(steps) and int(steps.cumsum(dtype=np.int32).max()) > DEPTH:
        raise ValueError(f"nested deeper than {DEPTH} levels")


def _unique(pairs: list[tuple[str, Any]]) -> None:
    """Refuse an object with a key twice, of which a reader would take one and forget the other."""
    for (key, _), (following, _) in pairwise(sorted(pairs, key=itemgetter(0))):
        if key == following:
            raise ValueError(f"{key[:80]!r} stands there twice")


def _plain(value: object) -> object:
    """What JSON has no type for, but records hold: numpy's numbers, paths."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a record holds a {type(value).__name__}, which JSON has no type for")
