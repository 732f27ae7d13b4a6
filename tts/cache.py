"""The user's cache folder, and checksums kept there so that large files are not read in full every time.

The folder is the one that ``TTS_CACHE`` names, else ``scalewise-tts`` in ``XDG_CACHE_HOME``, which is
``~/.cache`` where it is not set.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from tts.errors import CheckpointError, reason

SMALL = 64 << 20
"""Bytes that are read in full every time: that takes a tenth of a second."""

SETTLED = 2.0
"""Seconds that a file must be unchanged before its times tell a change: clocks of file systems are coarse."""

THREADS = 8

Stamp = list[int]
Digest = Callable[[Path], str]


class _Mode:
    in_full = False


def cache_folder() -> Path:
    """Where fetched weights and checksums lie."""
    if own := os.environ.get("TTS_CACHE"):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "scalewise-tts"


@contextmanager
def rechecking() -> Iterator[None]:
    """Read every file in full, even where its size and times are those of the last check."""
    before, _Mode.in_full = _Mode.in_full, True
    try:
        yield
    finally:
        _Mode.in_full = before


def known(paths: Sequence[Path], what: str, digest: Digest) -> list[str]:
    """What ``digest`` gives for files of one folder, kept in the cache under the name ``what``.

    A file whose size, times and place are those of an earlier call is not read again. Nothing is kept of
    little data, or where the cache cannot be written.
    """
    stamps = [_stamp(path) for path in paths]
    if not paths:
        return []
    with ThreadPoolExecutor(THREADS) as threads:
        if sum(stamp[0] for stamp in stamps) < SMALL:
            return list(threads.map(digest, paths))
        store = _Store.of(paths[0].resolve().parent, what)
        before = {} if _Mode.in_full else store.read()
        new = [path for path, stamp in zip(paths, stamps, strict=True) if not _same(before, path, stamp)]
        made = dict(zip(new, threads.map(digest, new), strict=True))
    found = [made[path] if path in made else str(before[path.name][1]) for path in paths]
    if made:
        settled = time.time_ns() - int(SETTLED * 1e9)
        kept = {
            path.name: (stamp, value)
            for path, stamp, value in zip(paths, stamps, found, strict=True)
            if max(stamp[1:3]) < settled and _stamp(path) == stamp
        }
        store.write({**before, **kept})
    return found


class _Store:
    """The file of the cache with the checksums of one folder's files: name -> (stamp, checksum)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, folder: Path, what: str) -> _Store:
        """The file for a folder."""
        name = hashlib.sha256(os.fsencode(folder) + b"\n" + os.fsencode(what)).hexdigest()[:32]
        return cls(cache_folder() / "checked" / f"{name}.json")

    def read(self) -> dict[str, tuple[Stamp, str]]:
        """What is kept; nothing where it cannot be read."""
        try:
            content = json.loads(self.path.read_bytes())
            return {str(name): (list(stamp), str(value)) for name, (stamp, value) in content.items()}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return {}

    def write(self, content: dict[str, tuple[Stamp, str]]) -> None:
        """Keep this; a cache that cannot be written is none."""
        temporary = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:12]}.tmp")
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(content), encoding="utf-8")
            temporary.replace(self.path)


def _same(before: dict[str, tuple[Stamp, str]], path: Path, stamp: Stamp) -> bool:
    return path.name in before and before[path.name][0] == stamp


def _stamp(path: Path) -> Stamp:
    """Size of a file, when its contents and when its description changed (nanoseconds), and its place."""
    try:
        found = path.stat()
    except OSError as error:
        raise CheckpointError(f"cannot read {path} ({reason(error)}); check the path") from error
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]
