"""Checksums inside the files that the toolkit writes, compared whenever these are read for a result.

A safetensors file names in its metadata the SHA-256 of itself, its own 64 digits taken as zeros, so that no
byte of it can change unseen. A JSON record names on its first line the SHA-256 of the others.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

from tts.cache import known
from tts.errors import CheckpointError, reason

DIGEST = "content_sha256"
BLANK = "0" * 64

SEAL = "record_sha256"
_SEALED = re.compile(rb'\{\n  "%s": "([0-9a-f]{64})",\n' % SEAL.encode())

_FIELD = re.compile(rb'"%s":"([0-9a-f]{64})"' % DIGEST.encode())
_LONGEST = 100_000_000
"""Bytes of a header at most, as safetensors has it."""

_CHUNK = 1 << 16
_SHIPPED = Path(__file__).parent / "embedded" / "SHA256SUMS"


def sha256_file(path: Path | str) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    return _hash(Path(path), 0)


def seal_tensors(path: Path) -> None:
    """Put the checksum in its place in a safetensors file whose metadata has ``BLANK`` there."""
    place = _place(path)
    if place is None:
        raise CheckpointError(f"{path} has no place for a checksum; write it again")
    digest = sha256_file(path)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(digest.encode())


def stated_digest(path: Path) -> str | None:
    """The checksum that a safetensors file names, readable also where its tensors are cut short."""
    place = _place(path)
    if place is None:
        return None
    with path.open("rb") as file:
        file.seek(place)
        return file.read(len(BLANK)).decode()


def check_tensors(*paths: Path | str, own: bool = False) -> None:
    """Compare safetensors files with the checksums that they name; ``CheckpointError`` if they differ.

    A file without one is refused where it is the toolkit's ``own``, which always has one, unless it is a copy
    of one that is shipped. Checks of large files, which then are of one folder, are kept (``tts.cache``).
    """
    stated = {Path(path): stated_digest(Path(path)) for path in paths}
    for path, digest in stated.items():
        if digest is None and own and sha256_file(path) not in shipped():
            raise CheckpointError(f"{path} has lost its checksum, which the toolkit writes; make it again")
    files = [path for path, digest in stated.items() if digest is not None]
    for path, found in zip(files, known(files, "contents", _without_digest), strict=True):
        if found != stated[path]:
            raise CheckpointError(
                f"{path} does not match its checksum {str(stated[path])[:12]}; make or fetch it again"
            )


@cache
def shipped() -> frozenset[str]:
    """Checksums of the files inside the package, in the form of ``sha256sum``."""
    return frozenset(line.split()[0] for line in _SHIPPED.read_text(encoding="utf-8").splitlines())


def sealed(record: bytes) -> bytes:
    """An indented JSON object with its checksum, in place of an older one; other JSON stays as it is."""
    record = _SEALED.sub(b"{\n", record, count=1) if _SEALED.match(record) else record
    if not record.startswith(b"{\n"):
        return record
    rest = record.removeprefix(b"{\n")
    return b'{\n  "%s": "%s",\n' % (SEAL.encode(), hashlib.sha256(rest).hexdigest().encode()) + rest


def check_seal(path: Path | str, record: bytes, content: object, own: bool = False) -> None:
    """Compare JSON with its checksum, and take it out of the ``content``.

    What has none is refused where it is the toolkit's ``own``, which always has one.
    """
    if not isinstance(content, dict) or not content:
        return
    if SEAL not in content:
        if own:
            raise CheckpointError(f"{path} has lost its checksum, which the toolkit writes; make it again")
        return
    found = _SEALED.match(record)
    if not found or hashlib.sha256(record[found.end() :]).hexdigest().encode() != found[1]:
        raise CheckpointError(f"{path} does not match its checksum: it was changed; make it again")
    del content[SEAL]


def _without_digest(path: Path) -> str:
    """The checksum that a file should name."""
    place = _place(path)
    if place is None:
        raise CheckpointError(f"{path} has lost its checksum while it was read; make it again")
    return _hash(path, place)


def _hash(path: Path, blank: int) -> str:
    """SHA-256 of a file; from a position ``blank``, if that is not 0, 64 bytes are taken as zeros."""
    total = hashlib.sha256()
    try:
        with path.open("rb") as file:
            if blank:
                total.update(file.read(blank) + BLANK.encode())
                file.seek(blank + len(BLANK))
            while chunk := file.read(_CHUNK):
                total.update(chunk)
    except OSError as error:
        raise CheckpointError(f"cannot read {path} ({reason(error)}); check the path") from error
    return total.hexdigest()


def _place(path: Path) -> int | None:
    """Where in a safetensors file the digits of its checksum begin."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            found = _FIELD.search(file.read(size)) if size <= _LONGEST else None
    except OSError as error:
        raise CheckpointError(f"cannot read {path} ({reason(error)}); check the path") from error
    return 8 + found.start(1) if found else None


def damaged(folder: Path, fault: object) -> CheckpointError:
    """What is wrong in a run or data set, with the way to mend it."""
    return CheckpointError(
        f"{str(fault).partition('; ')[0]}; mend it with 'tts data verify {folder} --repair'"
    )
