"""Who is at work in a folder, read from outside: nothing is written or removed."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path

from tts.engine.claims import LEASE, Presence
from tts.engine.folder import WORK


def living(folder: Path, lease: float = LEASE) -> list[Presence]:
    """The processes that showed a sign of life in a run folder within the lease and are not gone."""
    found = []
    for path in sorted((folder / WORK).glob("worker-*.json")):
        with suppress(OSError, TypeError, ValueError):
            presence = Presence(**json.loads(path.read_text()))
            if not presence.gone() and time.time() - path.stat().st_mtime <= lease:
                found.append(presence)
    return found


def who(presences: list[Presence]) -> str:
    """Processes in words, as in ``process 17 on node3``."""
    return " and ".join(f"process {one.pid} on {one.host.partition(' ')[0]}" for one in presences)
