"""Progress on stderr: a bar with images/s on a terminal, and nothing that disturbs a log elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERVAL = 10.0
"""Seconds between two plain lines where stderr is no terminal."""


@contextmanager
def progress_bar(what: str, unit: str = "images") -> Iterator[Callable[[int, int], None]]:
    """Gives a function that takes the finished and the whole number of ``unit``."""
    if not sys.stderr.isatty():
        yield _plain(what, unit)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} " + unit),
        TextColumn("{task.fields[speed]:.1f} " + unit + "/s"),
        TimeRemainingColumn(),
    )
    started = time.perf_counter()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=1, speed=0.0)

        def update(done: int, total: int) -> None:
            speed = done / max(1e-9, time.perf_counter() - started)
            bar.update(task, completed=done, total=total, speed=speed)

        yield update


def _plain(what: str, unit: str) -> Callable[[int, int], None]:
    """A line every few seconds and none for what is over before that."""
    started = last = time.perf_counter()

    def update(done: int, total: int) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last >= INTERVAL:
            last = now
            speed = done / (now - started)
            print(f"{what}: {done}/{total} {unit}, {speed:.1f} {unit}/s", file=sys.stderr)

    return update


def say(message: str) -> None:
    """Print a remark on stderr."""
    print(message, file=sys.stderr)
