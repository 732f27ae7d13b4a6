"""Progress on stderr: plain lines, JSON lines, a bar on a terminal, and silence of all processes but one."""

from __future__ import annotations

import io
import json
import re
import sys
from dataclasses import asdict

import pytest

from tts.engine.progress import Progress
from tts_cli import progress
from tts_cli.progress import loading, progress_bar, run_log, say, say_note

HALF = Progress(2, 4, 250, 500, 3, 12.34, 3725.4)
BEGUN = Progress(0, 4, 0, 500)
DONE = Progress(4, 4, 500, 500, 3, 20.0, 0.0)


@pytest.fixture(autouse=True)
def wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say how far things are, which other tests do without."""
    monkeypatch.delenv("TTS_PROGRESS")


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


def test_plain_lines_say_how_far_all_processes_are(capsys: pytest.CaptureFixture[str]) -> None:
    with run_log("sampling", as_json=False) as log:
        for now in (BEGUN, HALF):
            log.report(now)
        log.warn("a.png cannot be read")
    captured = capsys.readouterr()
    assert captured.out == ""
    begun, half, warning = captured.err.splitlines()
    assert begun == "sampling: 0/4 shards, 0/500 images"
    assert half.startswith("sampling: 2/4 shards, 250/500 images, 3 processes, 12.3 images/s, 1:02:05 left")
    assert warning == "warning: a.png cannot be read"


def test_lines_come_by_the_amount_of_work(capsys: pytest.CaptureFixture[str]) -> None:
    with run_log("sampling", as_json=False) as log:
        for done in range(1001):
            log.report(Progress(done // 1000, 1, done, 1000))
    counts = [int(line.split()[3].partition("/")[0]) for line in capsys.readouterr().err.splitlines()]
    assert counts == [0, 10, 20, *range(50, 1001, 50)]


@pytest.mark.parametrize("as_json", [True, False])
def test_one_shard_has_lines_within_it(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    with run_log("sampling", as_json) as log:
        for done in range(0, 101, 20):
            log.report(Progress(0, 1, done, 100))  # the last batch is made, but the shard not written
        log.report(Progress(1, 1, 100, 100))
    lines = capsys.readouterr().err.splitlines()
    done = [json.loads(line)["items_done"] if as_json else int(re.findall(r"\d+", line)[2]) for line in lines]
    assert done == [0, 20, 40, 60, 80, 100]


def test_the_bar_shows_no_total_before_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with run_log("sampling", as_json=False), progress_bar("training", "steps"):
        pass
    assert "0/1" not in terminal.getvalue()


def test_what_is_loaded_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    loading("var-digits")
    loading("var-digits", as_json=True)
    assert capsys.readouterr().err == "loading var-digits …\n"


@pytest.mark.usefixtures("rank")
def test_what_is_loaded_is_said_once_in_a_launch(capsys: pytest.CaptureFixture[str]) -> None:
    loading("var-digits")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TTS_PROGRESS", "off")
    loading("var-digits")
    with run_log("sampling", as_json=False) as log, progress_bar("training", "steps") as update:
        log.report(HALF)
        update(3, 9)
        log.warn("a.png cannot be read")
    assert stream.getvalue() == "warning: a.png cannot be read\n"


def test_json_lines_hold_all_fields_and_the_end_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    with run_log("collecting", as_json=True) as log:
        for now in (HALF, HALF, DONE, DONE, DONE):  # others may take longer
            log.report(now)
        log.warn("a.png cannot be read")
    captured = capsys.readouterr()
    assert captured.out == ""
    half, done, warning = (json.loads(line) for line in captured.err.splitlines())
    for event, expected in ((half, HALF), (done, DONE)):
        assert event.pop("time") > 1.6e9
        assert event == {"event": "progress", "what": "collecting", **asdict(expected)}
    assert (warning["event"], warning["message"]) == ("warning", "a.png cannot be read")


@pytest.mark.usefixtures("rank")
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


def test_a_bar_counts_other_things(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar("reference") as update:
        update(3, 9)
    assert capsys.readouterr().err == ""  # over at once
    monkeypatch.setattr(progress, "SHORT", 0.0)
    with progress_bar("training", "steps") as update:
        update(3, 9)
    assert capsys.readouterr().err.startswith("training: 3/9 steps")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "200")
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


def test_what_a_resumed_run_found_is_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    speed = progress._Speed()
    assert speed(500) == 0.0
    now[0] += 2
    assert speed(510) == 5.0
    now[0] += 2
    assert speed(530) == 7.5
