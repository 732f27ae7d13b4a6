"""Progress on stderr: a bar on a terminal, plain lines elsewhere, JSON lines where asked for.

``TTS_PROGRESS_SECONDS`` is the time between two lines: 0 for a line at every step, ``inf`` for none.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tts.engine.progress import Progress

INTERVAL = "TTS_PROGRESS_SECONDS"
"""Environment variable of the seconds between two lines where stderr is no terminal; 10 unless it is set."""


@contextmanager
def progress_bar(what: str, unit: str = "images") -> Iterator[Callable[[int, int], None]]:
    """Gives a function that takes the finished and the whole number of ``unit``."""
    if not sys.stderr.isatty():
        yield _plain(what, unit)
        return
    speed_of = _Speed()
    with _bar(unit) as (bar, task):

        def update(done: int, total: int) -> None:
            speed = speed_of(done)
            bar.update(task, description=what, completed=done, total=total, speed=speed)

        yield update


@dataclass(frozen=True)
class RunLog:
    """Where a run says how far it is and what goes wrong: for all of its processes, on the first one."""

    report: Callable[[Progress], None]
    warn: Callable[[str], None]


@contextmanager
def run_log(what: str, as_json: bool, parts: str = "shards") -> Iterator[RunLog]:
    """Progress and warnings of a run of many processes; of those of one launch only the first shows it.

    ``parts`` is what people call the run's shards.
    """
    from tts.engine.launch import Launch

    main = Launch.from_environment().main
    if as_json:
        with _json_errors():
            report = _json_lines(what) if main else _silent
            yield RunLog(report, lambda text: say_json("warning", message=text))
    elif not main:
        yield RunLog(_silent, lambda text: say(f"warning: {text}"))
    elif not sys.stderr.isatty():
        yield RunLog(_plain_lines(what, parts), lambda text: say(f"warning: {text}"))
    else:
        with _bar("images") as (bar, task):
            yield RunLog(
                lambda now: bar.update(
                    task,
                    description=f"{what}, {now.shards_done}/{now.shards} {parts}",
                    completed=now.items_done,
                    total=now.items,
                    speed=now.items_per_second or 0.0,
                ),
                lambda text: bar.console.print(f"warning: {text}", markup=False, soft_wrap=True),
            )


@contextmanager
def _json_errors() -> Iterator[None]:
    """Say errors that the user can mend as events, and leave their exit codes."""
    from tts.errors import PeerError, TtsError
    from tts.manager import get_plugins
    from tts.owners import naming

    try:
        with naming(lambda: get_plugins().code()):
            yield
    except TtsError as error:
        if str(error):
            say_json("error", message=str(error), exit_code=error.exit_code)
        raise PeerError(error.exit_code) from error


def say(message: str) -> None:
    """Print a remark on stderr."""
    print(message, file=sys.stderr)


def say_note(message: str, as_json: bool = False) -> None:
    """Print what the user should know of a result on stderr."""
    if as_json:
        say_json("note", message=message)
    else:
        say(f"note: {message}")


def say_json(event: str, **fields: Any) -> None:
    """Print an event as one line of JSON on stderr."""
    print(json.dumps({"event": event, "time": time.time(), **fields}), file=sys.stderr, flush=True)


@contextmanager
def _bar(unit: str) -> Iterator[tuple[Any, Any]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} " + unit),
        TextColumn("{task.fields[speed]:.1f} " + unit + "/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield bar, bar.add_task("", total=1, speed=0.0)


def _plain(what: str, unit: str) -> Callable[[int, int], None]:
    """A line every few seconds and none for what is over before that."""
    speed_of, due = _Speed(), _Due()

    def update(done: int, total: int) -> None:
        speed = speed_of(done)
        if due():
            say(f"{what}: {done}/{total} {unit}, {speed:.1f} {unit}/s")

    return update


def _plain_lines(what: str, parts: str) -> Callable[[Progress], None]:
    due = _Due()

    def report(now: Progress) -> None:
        if due():
            speed = "" if now.items_per_second is None else f", {now.items_per_second:.1f} images/s"
            left = "" if now.seconds_left is None else f", {_duration(now.seconds_left)} left"
            done = f"{now.shards_done}/{now.shards} {parts}, {now.items_done}/{now.items} images"
            say(f"{what}: {done}, {now.processes} processes{speed}{left}")

    return report


def _json_lines(what: str) -> Callable[[Progress], None]:
    due, ended = _Due(), False

    def report(now: Progress) -> None:
        nonlocal ended
        last = now.shards_done == now.shards and not ended  # said once, however long others still take
        if due() or last:
            say_json("progress", what=what, **asdict(now))
        ended = ended or last

    return report


def _silent(now: Progress) -> None:
    """Another process reports."""


class _Speed:
    """What is done a second since the first report, so that a resumed run does not count what it found."""

    def __init__(self) -> None:
        self.first: tuple[float, int] | None = None

    def __call__(self, done: int) -> float:
        now = time.perf_counter()
        started, before = self.first = self.first or (now, done)
        return (done - before) / max(1e-9, now - started)


class _Due:
    """True once in every interval."""

    def __init__(self) -> None:
        self.interval = _interval()
        self.last = time.perf_counter()

    def __call__(self) -> bool:
        now = time.perf_counter()
        if now - self.last < self.interval:
            return False
        self.last = now
        return True


def _interval() -> float:
    text = os.environ.get(INTERVAL) or "10"
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if seconds >= 0:  # which NaN is not
        return seconds
    from tts.errors import UsageError

    raise UsageError(f"{INTERVAL} {text!r} must be a number of seconds from 0 to inf; unset it for 10")


def _duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
