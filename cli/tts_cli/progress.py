"""Progress on stderr: a bar on a terminal, plain lines elsewhere, JSON lines where asked for.

``TTS_PROGRESS=off`` leaves out bars and plain lines, so that only what needs attention is on stderr.
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

from tts_cli.output import echo, escaped

if TYPE_CHECKING:
    from tts.engine.progress import Progress

SHORT = 2.0
"""Seconds after which a step of a command, which is not what it is for, is worth a plain line."""

OFF = ("off", "0")
"""Values of ``TTS_PROGRESS`` that say nothing of progress."""


def loading(what: str, as_json: bool = False) -> None:
    """Say at once what the first seconds are spent on; nothing in JSON, nor in a launch's other processes."""
    from tts.engine.launch import Launch
    from tts.workspace import converted_model

    if _wanted() and not as_json and Launch.from_environment().main:
        found = converted_model(what)
        echo(f"loading {what}{f' from {found}' if found else ''} …", err=True)


@contextmanager
def progress_bar(what: str, unit: str = "images") -> Iterator[Callable[[int, int], None]]:
    """Gives a function that takes the finished and the whole number of ``unit``."""
    if not _wanted():
        yield lambda done, total: None
        return
    if not sys.stderr.isatty():
        yield _plain(what, unit)
        return
    speed_of = _Speed()
    with _bar(unit) as (bar, task):

        def update(done: int, total: int) -> None:
            speed = speed_of(done)
            bar.update(task, description=what, completed=done, total=total, speed=speed, visible=True)

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
    elif not main or not _wanted():
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
                    visible=True,
                ),
                lambda text: bar.console.print(f"warning: {escaped(text)}", markup=False, soft_wrap=True),
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
    echo(message, err=True)


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
        yield bar, bar.add_task("", total=1, speed=0.0, visible=False)  # until the total is known


def _wanted() -> bool:
    return os.environ.get("TTS_PROGRESS", "") not in OFF


def _plain(what: str, unit: str) -> Callable[[int, int], None]:
    speed_of, due, began = _Speed(), _Due(), time.perf_counter()

    def update(done: int, total: int) -> None:
        speed = speed_of(done)
        if time.perf_counter() - began >= SHORT and due(done, total):
            pace = f", {speed:.1f} {unit}/s" if speed else ""
            say(f"{what}: {done}/{total} {unit}{pace}")

    return update


def _plain_lines(what: str, parts: str) -> Callable[[Progress], None]:
    due = _Due()

    def report(now: Progress) -> None:
        if not _closing(now) and due(now.items_done, now.items):
            speed = "" if now.items_per_second is None else f", {now.items_per_second:.1f} images/s"
            left = "" if now.seconds_left is None else f", {_duration(now.seconds_left)} left"
            done = f"{now.shards_done}/{now.shards} {parts}, {now.items_done}/{now.items} images"
            many = f", {now.processes} processes" if now.processes > 1 else ""
            say(f"{what}: {done}{many}{speed}{left}")

    return report


def _json_lines(what: str) -> Callable[[Progress], None]:
    due = _Due()

    def report(now: Progress) -> None:
        if not _closing(now) and due(now.items_done, now.items):
            say_json("progress", what=what, **asdict(now))

    return report


def _closing(now: Progress) -> bool:
    """Whether all items are made, but not yet in whole shards: the end is said once, when they are."""
    return now.items_done == now.items and now.shards_done < now.shards


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
    """True at the first report, at 1, 2 and every 5 % of the work, and at its end, however fast that goes."""

    def __init__(self) -> None:
        self.reached = -1

    def __call__(self, done: int, total: int) -> bool:
        percent = 100 * done // total if total else 100
        mark = min(2, percent) if percent < 5 else percent - percent % 5
        due, self.reached = mark > self.reached, max(mark, self.reached)
        return due


def _duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
