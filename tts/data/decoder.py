"""Image decoding in worker processes, ahead of who needs the images; nothing here imports torch."""

from __future__ import annotations

import atexit
import os
import pickle
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any

from tts.data.decode import Crop, check_crop, decode
from tts.errors import RunError, UsageError, reason
from tts.images import ImageError, Picture

Decoded = tuple[int, Picture | ImageError]
"""An image's number, and its picture (size, size, 3) or why there is none."""

CHUNK = 8
"""Images that a worker process decodes at a time."""
AHEAD = 4
"""Chunks in flight for each worker: 6 MB at 256 pixels, 25 MB at 512."""
WORTHWHILE = 1000
"""Fewer images than this are decoded before worker processes would pay."""
MOST_WORKERS = 8

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def default_workers(images: int, local_processes: int = 1) -> int:
    """Worker processes for each of ``local_processes`` on this machine: its share of the cores, less one."""
    if images < WORTHWHILE:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, max(1, cores // local_processes - 1))


@dataclass(frozen=True)
class Recipe:
    """How images are prepared."""

    size: int
    crop: Crop
    seed: int
    upright: bool = False

    def tried(self, item: int, path: Path) -> Decoded:
        """Decode one image; what cannot be read is a result, too."""
        try:
            return item, decode(path, self.size, self.crop, self.seed, item, self.upright)
        except ImageError as error:
            return item, error.with_traceback(None)


class Decoder:
    """Decodes images in order, in ``workers`` processes that live until the end of the ``with`` block.

    With ``workers=0`` this process decodes. The processes start on first use.
    """

    def __init__(
        self, workers: int, size: int, crop: Crop = "center", seed: int = 0, upright: bool = False
    ) -> None:
        if workers < 0:
            raise UsageError(f"workers {workers} must be at least 0; 0 decodes without worker processes")
        check_crop(crop)
        self.workers, self.recipe = workers, Recipe(size, crop, seed, upright)
        self._pool: _Pool | None = None

    def __enter__(self) -> Decoder:
        """Start nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the worker processes, whatever they are doing."""
        self.close()

    def close(self) -> None:
        """End the worker processes, whatever they are doing."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def images(self, paths: Iterable[tuple[int, Path]]) -> Iterator[Decoded]:
        """Decode (number, path) pairs, in order, at most ``AHEAD`` chunks a worker ahead of the caller."""
        if self.workers == 0:
            for item, path in paths:
                yield self.recipe.tried(item, path)
            return
        if self._pool is None:
            self._pool = _Pool(self.workers, self.recipe)
        source, ahead = iter(paths), deque[Future[list[Decoded]]]()
        try:
            while chunk := list(islice(source, CHUNK)):
                ahead.append(self._pool.submit(chunk))
                if len(ahead) == AHEAD * self.workers:
                    yield from ahead.popleft().result()
            while ahead:
                yield from ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


class _Pool:
    """Worker processes, each with a pipe and with a thread here that waits for it.

    ``ProcessPoolExecutor`` has one pipe for all results and waits for ever when a process is killed while it
    writes there. With a pipe each, a process that dies ends its pipe, and so does this process if it dies.
    """

    def __init__(self, workers: int, recipe: Recipe) -> None:
        self._workers: list[_Worker] = []
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        atexit.register(self.close)
        try:
            with _signals_held():
                for _ in range(workers):
                    self._workers.append(_Worker.start(recipe))
                    self._idle.put(self._workers[-1])
        except OSError as error:
            self.close()
            raise RunError(
                f"cannot start {workers} image worker processes ({reason(error)}); pass fewer --workers or 0"
            ) from error

    def submit(self, chunk: Sequence[tuple[int, Path]]) -> Future[list[Decoded]]:
        """Have the next idle process decode a chunk."""
        return self._threads.submit(self._ask, chunk)

    def _ask(self, chunk: Sequence[tuple[int, Path]]) -> list[Decoded]:
        worker = self._idle.get()
        try:
            return worker.ask(chunk)
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """Kill the processes, which hold nothing of value; that ends the threads' waiting."""
        atexit.unregister(self.close)
        for worker in self._workers:
            worker.process.kill()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.link.close()
            worker.process.join()


@dataclass(frozen=True)
class _Worker:
    """A process and this side of its pipe."""

    process: SpawnProcess
    link: Connection

    @classmethod
    def start(cls, recipe: Recipe) -> _Worker:
        """Start a process; 'spawn', because a fork of a process with threads may dead-lock."""
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, recipe), daemon=True)
        process.start()
        theirs.close()
        return cls(process, ours)

    def ask(self, chunk: Sequence[tuple[int, Path]]) -> list[Decoded]:
        """Have a chunk decoded and wait for it."""
        try:
            _send(self.link, chunk)
            answer: list[Decoded] = _receive(self.link)
            return answer
        except (EOFError, OSError) as error:
            self.process.join(5.0)
            raise RunError(
                f"an image worker process died (exit code {self.process.exitcode}), perhaps for want of "
                "memory; free some, or pass fewer --workers or 0"
            ) from error


def _serve(link: Connection, recipe: Recipe) -> None:
    """The work of a process: decode chunks until its pipe ends, because the other process closed it or died.

    Signals that a terminal or torchrun sends to the whole group are the other process's to answer.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    with suppress(EOFError, OSError):
        while True:
            _send(link, [recipe.tried(item, path) for item, path in _receive(link)])


def _send(link: Connection, value: object) -> None:
    """Send bytes: the connection's own ``send`` would pickle to a ``BytesIO`` and send a view of it.

    If that fails, the error keeps the view, and garbage collection may close the ``BytesIO`` before it, which
    is an error of its own that nobody can catch.
    """
    link.send_bytes(pickle.dumps(value))


def _receive(link: Connection) -> Any:
    return pickle.loads(link.recv_bytes())


@contextmanager
def _signals_held() -> Iterator[None]:
    """Hold signals back; a process that starts meanwhile inherits that, until it ignores them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # its start, which comes with the first process, would let them through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
