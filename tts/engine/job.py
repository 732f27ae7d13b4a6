"""What the engine asks of a job, and the time that its items took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

from msgspec import Meta

from tts import limits
from tts.engine.folder import RunFolder
from tts.engine.shards import Rows
from tts.errors import CheckpointError
from tts.pipeline import Item
from tts.records import read_record


@dataclass(frozen=True)
class Timing:
    """Seconds spent making ``items`` items, summed over the processes, as far as they are known.

    They are those that passed while items were made, also where a shard was published at the same time.
    """

    seconds: Annotated[float, Meta(ge=0)] = 0.0
    items: limits.Count = 0

    @classmethod
    def of(cls, folder: Path) -> Timing:
        """The sum of the times that all processes left in a folder; what is none does not count."""
        seconds, items = 0.0, 0
        for path in sorted(folder.glob("time-*.json")):
            with suppress(CheckpointError):
                one = read_record(path, cls, "time", "leave it out")
                seconds, items = seconds + one.seconds, items + one.items
        return cls(seconds, items)


class Job(Protocol):
    """What a run makes of its items.

    ``overlaps`` says whether a shard is published while the next one is made: where making is the work of
    another device than publishing, it costs nothing.
    """

    @property
    def overlaps(self) -> bool:
        """Whether to publish beside making."""
        ...

    def make(self, items: Sequence[Item], first: int) -> Iterator[Rows]:
        """Make items, whose first has the number ``first`` in the plan, batch by batch in their order."""
        ...

    def publish(self, items: Sequence[Item], rows: Rows) -> tuple[Rows, Mapping[str, str]]:
        """Write files beside a whole shard before it appears; returns its rows and notes for its metadata.

        Called in a thread of its own, for one shard at a time.
        """
        ...

    def finish(self, run: RunFolder, timing: Timing) -> None:
        """Write what is made of all shards and, last, the record, whose ``plan`` is the plan's id."""
        ...
