"""What is built for others to install."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel(path: Path) -> list[str]:
    """Names of the files in the wheel."""
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


def test_the_readme_of_a_package_index_has_addresses(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        text = archive.read(name).decode()
    repository = "https://github.com/scalewise-tts/scalewise-tts"
    assert f"Project-URL: Repository, {repository}\n" in text
    assert f"]({repository}/raw/main/docs/before-after.png)" in text
    assert f"]({repository}/blob/main/docs/glossary.md)" in text
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert all("://" in link or link.startswith("#") for link in links)
