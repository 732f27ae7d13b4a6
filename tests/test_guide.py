"""The author guide is followed literally: its tutorial, its examples, its tables."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tts import hookspecs, specs
from tts.strategies.strategy import Strategy

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "plugins" / "README.md").read_text()
HOOKS = [name for name in vars(hookspecs) if name.startswith("tts_")]
QUIET = "--quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation"
CLASSES = [
    value for value in vars(specs).values() if isinstance(value, type) and dataclasses.is_dataclass(value)
]


def section(title: str, level: str = "##") -> str:
    """The text below a heading, up to the next one of its level or above."""
    end = "|".join(re.escape(level[:count]) + " " for count in range(2, len(level) + 1))
    found = re.search(
        rf"^{level} {re.escape(title)}[^\n]*\n(.*?)(?=^(?:{end})|\Z)", GUIDE, re.DOTALL | re.MULTILINE
    )
    assert found, title
    return found[1]


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of the fenced blocks."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def file_of(language: str, text: str) -> tuple[str, str] | None:
    """Name and content of a block that starts with the name of its file."""
    named = re.match(r"# ([\w./]+\.(?:py|toml))\n", text)
    return (named[1], text[named.end() :]) if named and language in ("python", "toml") else None


class Shell:
    """Runs commands in a folder, with ``tts`` and ``python`` those of this test and packages in ``site``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site, tools = folder / "work", folder / "site", folder / "bin"
        for path in (self.folder, self.site, tools):
            path.mkdir()
        program = "import sys; sys.argv[0] = 'tts'; from tts_cli.main import main; main()"
        for name, command in {"tts": f'-c "{program}"', "python": ""}.items():
            (tools / name).write_text(f'#!/bin/sh\nexec {sys.executable} {command} "$@"\n')
            (tools / name).chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TTS_")}
        paths = {"PATH": tools, "PYTHONPATH": self.site}
        joined = {name: os.pathsep.join([str(path), kept.get(name, "")]) for name, path in paths.items()}
        self.environment = {**kept, **joined, "COLUMNS": "200", "TTS_STRICT": "1"}

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def run(self, command: str) -> str:
        """Run one command, which must succeed; gives stdout and stderr."""
        if command.startswith("cd "):
            self.folder = (self.folder / command.removeprefix("cd ")).resolve()
            return ""
        command = command.replace(
            'pip install --editable ".[test]"', f"pip install {QUIET} --target {self.site} ."
        ).replace("python -m build", "python -m hatchling build")
        if command == "python -m pytest" and not entry_points(group="pytest11", name="scalewise_tts"):
            command += " -p tts.testing.pytest_plugin"
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def follow(self, text: str) -> str:
        """Write the files and run the commands of a text in their order; gives what the commands said."""
        said = []
        for language, block in blocks(text):
            if file := file_of(language, block):
                self.write(*file)
            elif language == "sh":
                said += [self.run(line) for line in block.splitlines()]
        return "".join(said)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.mark.slow
def test_the_tutorial_works_as_written(shell: Shell) -> None:
    said = shell.follow(section("From an empty folder to a scorer"))
    assert re.search(r"tts-score-smooth +0\.1\.0 +ok +scorer: smooth\n", said)
    assert "2 passed" in said
    made = shell.folder / "smooth"
    assert len(list((made / "images").rglob("*.png"))) == 4
    record = json.loads((made / "run.json").read_text())
    assert record["scorer"] == {"name": "smooth"}
    assert "tts-score-smooth 0.1.0" in record["environment"]["plugins"]
    assert (made / "trace.safetensors").is_file()
    shell.run("python -m build")
    names = sorted(path.name for path in (shell.folder / "dist").iterdir())
    assert names == ["tts_score_smooth-0.1.0-py3-none-any.whl", "tts_score_smooth-0.1.0.tar.gz"]


@pytest.mark.slow
@pytest.mark.parametrize("hook", HOOKS)
def test_every_hooks_example_runs(hook: str, shell: Shell) -> None:
    text = section(hook, "###")
    files = [file for language, block in blocks(text) if (file := file_of(language, block))]
    (module,) = [name.removesuffix(".py") for name, code in files if "@tts.hookimpl" in code]
    info = shell.site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[scalewise_tts]\nmain = {module}\n")
    for name, code in files:
        assert f"def {hook}(" in code or len(files) > 1
        (shell.site / name).write_text(code)
    said = shell.follow(re.sub(r"^```(python|toml)\n.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))
    assert said
    for language, shown in blocks(text):
        if language == "text":
            assert shown in said
    (entry,) = (
        one for one in json.loads(shell.run("tts plugins --json")) if one["distribution"] != "scalewise-tts"
    )
    assert entry["hooks"] == [hook]


def test_every_spec_and_request_stands_in_the_table_with_its_fields() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section("Specs and requests"), re.MULTILINE))
    for kind in CLASSES:
        names = [field.name for field in dataclasses.fields(kind)]
        assert re.findall(r"`(\w+)", rows[kind.__name__]) == names


def test_the_signature_of_a_strategy_is_the_protocols() -> None:
    (shown,) = [block for _, block in blocks(GUIDE) if block.startswith("def __call__(")]
    signature = str(inspect.signature(Strategy.__call__)).replace("'", "")
    flat = " ".join(shown.replace("(\n    ", "(").replace(",\n)", ")").split())
    assert flat == f"def __call__{signature}"


def test_every_check_of_the_kit_stands_in_the_guide() -> None:
    testing = pytest.importorskip("tts.testing")
    shown = dict(re.findall(r"^\| `(check_\w+)(\(.*?\))`", section("Testing"), re.MULTILINE))
    assert sorted(shown) == sorted(name for name in testing.__all__ if name.startswith("check_"))
    for name, signature in shown.items():
        parameters = inspect.signature(getattr(testing, name)).parameters.values()
        asked = [parameter for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
        plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in asked]
        assert ", ".join(map(str, plain)) == signature[1:-1], name


def test_links_within_the_guide_have_headings() -> None:
    headings = re.findall(r"^#+ (.*)$", GUIDE, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(#([^)]+)\)", GUIDE)
    assert len(links) > 10
    assert set(links) <= anchors
