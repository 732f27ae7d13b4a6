"""Shards are published in a thread, while the next one is made."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType

from tts.engine.plan import ShardRange
from tts.engine.shards import Rows


@dataclass(frozen=True)
class Made:
    """A shard whose items are all made: its rows batch by batch, and the seconds that they took."""

    shard: ShardRange
    parts: list[Rows]
    seconds: float

    def joined(self) -> Rows:
        """All rows; the batches are not kept beside them."""
        rows = Rows.join(self.parts)
        self.parts.clear()
        return rows


class Publisher:
    """Publishes shards one after another in a thread; to be used in a ``with`` block around the work.

    One shard is in the thread's hands at most, so that no more than two are in memory: that one, and the one
    that is being made. What goes wrong in the thread is raised by the next call, as it is. The block ends
    when the thread has nothing left to do; an error that ends it goes before one of the thread.
    """

    def __init__(self, publish: Callable[[Made], None]) -> None:
        self.pending: ShardRange | None = None  # what is not known to be published yet
        self._publish = publish
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="publish")
        self._result: Future[None] | None = None

    def put(self, made: Made) -> None:
        """Give a shard to the thread, once it has published the one before."""
        self.settle()
        self.pending = made.shard
        self._result = self._pool.submit(self._publish, made)

    def check(self) -> None:
        """Raise what went wrong, if it is known by now."""
        if self._result is not None and self._result.done() and self._result.exception():
            self.settle()

    def settle(self) -> None:
        """Wait until nothing is left to publish, and raise what went wrong."""
        result, self._result, self.pending = self._result, None, None
        if result is not None:
            result.result()

    def __enter__(self) -> Publisher:
        """Be ready."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the thread."""
        if self._result is not None:
            wait([self._result])
        self._pool.shutdown()
        if kind is None:
            self.settle()
