"""What is built for others to install."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names of the files in the wheel."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = out.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_every_file_of_the_packages_is_in_the_wheel(wheel: list[str]) -> None:
    folders = (ROOT / "tts", ROOT / "cli" / "tts_cli")
    files = [path for folder in folders for path in folder.rglob("*.*") if "__pycache__" not in path.parts]
    assert {"tts/evaluation/report/templates/page.html", "tts/evaluation/report/templates/style.css"} <= {
        *wheel
    }
    assert {path.relative_to(ROOT).as_posix().removeprefix("cli/") for path in files} <= {*wheel}


def test_nothing_else_is_in_the_wheel(wheel: list[str]) -> None:
    assert {name.split("/")[0].partition("-")[0] for name in wheel} == {"tts", "tts_cli", "scalewise_tts"}
