"""Progress on stderr: plain lines, JSON lines, a bar on a terminal, and silence of all processes but one."""

from __future__ import annotations

import io
import json
import re
import sys
from dataclasses import asdict

import pytest

from tts.engine.progress import Progress
from tts.errors import UsageError
from tts_cli import progress
from tts_cli.progress import progress_bar, run_log, say, say_note

HALF = Progress(2, 4, 250, 500, 3, 12.34, 3725.4)
BEGUN = Progress(0, 4, 0, 500)
DONE = Progress(4, 4, 500, 500, 3, 20.0, 0.0)


@pytest.fixture
def interval(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Lines are due at once."""
    monkeypatch.setenv(progress.INTERVAL, "0")
    return monkeypatch


@pytest.fixture
def rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be the second of two processes of torchrun."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "node0")


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def test_plain_lines_say_how_far_all_processes_are(
    interval: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with run_log("sampling", as_json=False) as log:
        for now in (BEGUN, HALF):
            log.report(now)
        log.warn("a.png cannot be read")
    captured = capsys.readouterr()
    assert captured.out == ""
    begun, half, warning = captured.err.splitlines()
    assert begun.startswith("sampling: 0/4 shards, 0/500 images, 1 process")
    assert half.startswith("sampling: 2/4 shards, 250/500 images, 3 processes, 12.3 images/s, 1:02:05 left")
    assert warning == "warning: a.png cannot be read"


@pytest.mark.parametrize("as_json", [True, False])
def test_lines_come_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    now = iter([100.0, 101.0, 109.9, 110.0, 111.0, 125.0])
    monkeypatch.delenv(progress.INTERVAL, raising=False)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(now))
    with run_log("sampling", as_json) as log:
        for _ in range(5):
            log.report(HALF)
    assert len(capsys.readouterr().err.splitlines()) == 2  # at 110 and at 125


def test_json_lines_hold_all_fields_and_the_end_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter([0.0, 20.0, 21.0, 21.0, 21.0, 21.0])
    monkeypatch.setenv(progress.INTERVAL, "10")
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(now))
    with run_log("collecting", as_json=True) as log:
        log.report(HALF)
        log.report(HALF)
        for _ in range(3):  # while other processes finish
            log.report(DONE)
        log.warn("a.png cannot be read")
    captured = capsys.readouterr()
    assert captured.out == ""
    half, done, warning = (json.loads(line) for line in captured.err.splitlines())
    for event, expected in ((half, HALF), (done, DONE)):
        assert event.pop("time") > 1.6e9
        assert event == {"event": "progress", "what": "collecting", **asdict(expected)}
    assert (warning["event"], warning["message"]) == ("warning", "a.png cannot be read")


@pytest.mark.usefixtures("interval", "rank")
@pytest.mark.parametrize("as_json", [True, False])
def test_the_other_processes_of_a_launch_only_warn(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    with run_log("sampling", as_json) as log:
        log.report(HALF)
        log.report(DONE)
        assert capsys.readouterr().err == ""
        log.warn("a.png cannot be read")
    (line,) = capsys.readouterr().err.splitlines()
    assert (json.loads(line)["message"] if as_json else line).endswith("a.png cannot be read")


def test_a_terminal_has_a_bar_and_warnings_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    with run_log("sampling", as_json=False) as log:
        log.report(BEGUN)
        log.report(HALF)
        log.warn(f"[red] {'long ' * 60}end")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())  # without colours
    assert "sampling, 2/4 shards" in text
    assert "250/500 images" in text
    assert "12.3 images/s" in text
    assert f"warning: [red] {'long ' * 60}end\n" in text  # neither markup nor wrapped


def test_a_bar_counts_other_things(interval: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("training", "steps") as update:
        update(3, 9)
    assert capsys.readouterr().err.startswith("training: 3/9 steps, ")
    terminal = Terminal()
    interval.setattr(sys, "stderr", terminal)
    interval.setenv("COLUMNS", "200")
    with progress_bar("training", "steps") as update:
        update(3, 9)
    assert "3/9 steps" in terminal.getvalue()


def test_remarks_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    say("mind the gap")
    say_note("one candidate there", as_json=False)
    say_note("one candidate there", as_json=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    plain, note, event = captured.err.splitlines()
    assert (plain, note) == ("mind the gap", "note: one candidate there")
    assert json.loads(event).items() >= {"event": "note", "message": "one candidate there"}.items()


def test_what_a_resumed_run_found_is_no_speed(interval: pytest.MonkeyPatch) -> None:
    now = [100.0]
    interval.setattr(progress.time, "perf_counter", lambda: now[0])
    speed = progress._Speed()
    assert speed(500) == 0.0
    now[0] += 2
    assert speed(510) == 5.0
    now[0] += 2
    assert speed(530) == 7.5


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "1s"])
def test_an_interval_that_is_no_time_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(progress.INTERVAL, text)
    with pytest.raises(UsageError, match=f"TTS_PROGRESS_SECONDS '{text}' must be a number of seconds"):
        progress_bar("training", "steps").__enter__()


def test_no_lines_come_where_none_are_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter([0.0, 1e6, 2e6, 3e6, 4e6])
    monkeypatch.setenv(progress.INTERVAL, "inf")
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(now))
    with run_log("sampling", as_json=False) as log:
        log.report(HALF)
        log.report(DONE)
    assert capsys.readouterr().err == ""
