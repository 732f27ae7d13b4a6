"""Fixtures for tests of plugins: an exact backbone and scorer, fresh discovery, and the command line.

pytest loads this module by itself where ``scalewise-tts`` is installed (``-p no:scalewise_tts`` leaves it
out). It imports nothing heavy; what a fixture needs is imported when a test asks for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tts.manager import Plugins
    from tts.testing.fakes import FakeScorer
    from tts.testing.toy import ToyBackbone


@dataclass(frozen=True)
class CliResult:
    """What a command printed, and its exit code."""

    exit_code: int
    stdout: str
    stderr: str


class TtsCli:
    """Runs ``tts``, in this process unless told otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def __call__(
        self,
        *args: object,
        plugins: Sequence[str] | None = None,
        subprocess: bool = False,
        path: Sequence[str | Path] = (),
        cwd: str | Path | None = None,
        **environment: str,
    ) -> CliResult:
        """Run ``tts`` with arguments, which become text.

        ``plugins`` names the distributions that load (``TTS_PLUGINS``): all that are installed unless it is
        given. ``path`` holds folders that are searched for distributions before the installed ones, ``cwd``
        is the folder to run in. Keywords are environment variables; ``TTS_PROGRESS`` is off unless given. In
        this process an error that is not one for the user raises.
        """
        changes = {"COLUMNS": "200", "TTS_PROGRESS": "off", **environment}
        if plugins is not None:
            changes["TTS_PLUGINS"] = ",".join(plugins)
        words, folders = list(map(str, args)), list(map(str, path))
        with self.monkeypatch.context() as patch:
            if plugins is None:
                patch.delenv("TTS_PLUGINS", raising=False)
            for name, value in changes.items():
                patch.setenv(name, value)
            if cwd is not None:
                patch.chdir(cwd)
            if subprocess:
                return _process(words, folders)
            for folder in reversed(folders):
                patch.syspath_prepend(folder)
            try:
                return _here(words)
            finally:
                _forget(folders)


def _process(args: list[str], path: list[str]) -> CliResult:
    known = os.environ.get("PYTHONPATH")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*path, *([known] if known else [])])}
    done = subprocess.run(
        [sys.executable, "-m", "tts_cli", *args],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return CliResult(done.returncode, done.stdout, done.stderr)


def _forget(folders: list[str]) -> None:
    """Drop modules that came from these folders, so that another test's of the same name can load."""
    roots = [os.path.join(os.path.realpath(folder), "") for folder in folders]
    for name, module in list(sys.modules.items()):
        file = os.path.realpath(getattr(module, "__file__", None) or "")
        if any(file.startswith(root) for root in roots):
            del sys.modules[name]


def _here(args: list[str]) -> CliResult:
    from typer.testing import CliRunner

    from tts.manager import get_plugins
    from tts_cli.main import app

    get_plugins.cache_clear()
    try:
        result = CliRunner().invoke(app, args, catch_exceptions=False)
    finally:
        get_plugins.cache_clear()
    return CliResult(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def toy_backbone() -> ToyBackbone:
    """A small exact backbone."""
    from tts.testing.toy import ToyBackbone

    return ToyBackbone()


@pytest.fixture
def fake_scorer() -> FakeScorer:
    """An exact scorer that remembers what it saw."""
    from tts.testing.fakes import FakeScorer

    return FakeScorer()


@pytest.fixture
def tts_plugins() -> Iterator[Plugins]:
    """The plugins that are installed, discovered for this test alone."""
    from tts.manager import get_plugins

    get_plugins.cache_clear()
    yield get_plugins()
    get_plugins.cache_clear()


@pytest.fixture
def tts_cli(monkeypatch: pytest.MonkeyPatch) -> TtsCli:
    """Run ``tts`` and get its exit code, stdout and stderr."""
    return TtsCli(monkeypatch)
