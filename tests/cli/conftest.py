"""The command line as a process of its own, with plugins that exist for one test only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

Install = Callable[[str, str], None]
Tts = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Write a distribution of one module into a folder that ``tts`` has on its path."""

    def write(name: str, source: str) -> None:
        module = name.replace("-", "_")
        info = tmp_path / "site" / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (info.parent / f"{module}.py").write_text("import tts\n" + dedent(source))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[scalewise_tts]\nmain = {module}\n")

    return write


@pytest.fixture
def tts_environment(tmp_path: Path) -> dict[str, str]:
    """Environment in which the test's plugins are installed."""
    ignored = ("TTS_PLUGINS", "TTS_STRICT")
    kept = {name: value for name, value in os.environ.items() if name not in ignored}
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, "COLUMNS": "200"}


@pytest.fixture
def tts(tts_environment: dict[str, str]) -> Tts:
    """Run ``tts`` with arguments; keywords are environment variables."""

    def run(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; sys.argv[0] = 'tts'; from tts_cli.main import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code, *args],
            env={**tts_environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run
