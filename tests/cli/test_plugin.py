"""``tts plugin new``: every kind's package is whole, and a refusal leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tts.plugin_template.kinds import KIND_NAMES, KINDS, Kind, find_kind
from tts.plugin_template.names import LONGEST, part_name

Succeed = Callable[..., str]
Refuse = Callable[..., str]
Install = Callable[[str, str], None]
Tts = Callable[..., "subprocess.CompletedProcess[str]"]

EDITABLE = (
    "ignore:Module already imported so cannot be rewritten. _editable:pytest.PytestAssertRewriteWarning"
)
"""What an editable installation of the toolkit makes pytest say: a pattern, which ``-W`` would not take."""


ROOT = Path(__file__).parent.parent.parent
RULES = "E,F,W,I,N,UP,B,A,C4,SIM,RUF,PT,RET,PERF,NPY,TID"
COMMON = (".github/workflows/test.yml", ".gitignore", "LICENSE", "README.md", "pyproject.toml")
NAME = {kind.name: f"tts-{kind.prefix}-guide-sample" for kind in KINDS}


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def run_python(*args: object, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a Python module, with the packages of ``path``, and with no plugin chosen or refused."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TTS_")}
    folders = [str(path or ""), kept.get("PYTHONPATH", "")]
    environment = {**kept, "PYTHONPATH": os.pathsep.join(filter(None, folders)), "COLUMNS": "200"}
    command = [sys.executable, "-m", *map(str, args)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_every_kind_has_all_that_a_package_needs(kind: str, succeed: Succeed, tmp_path: Path) -> None:
    name = NAME[kind]
    out = succeed("plugin", "new", name, "--kind", kind, "--out", tmp_path, "--author", "Ada Lee <a@lee.org>")
    assert out.splitlines()[0].endswith(f"files in {tmp_path / name}")
    assert out.splitlines()[2] == f"  cd {tmp_path / name}"
    module = name.replace("-", "_")
    family = [f"{module}_family.py"] if kind == "backbone" else []
    assert files(tmp_path / name) == sorted([*COMMON, f"{module}.py", f"tests/test_{module}.py", *family])
    assert files(tmp_path) == [f"{name}/{file}" for file in files(tmp_path / name)]
    texts = {file: (tmp_path / name / file).read_text() for file in files(tmp_path / name)}
    assert f'guide-sample = "{module}"' in texts["pyproject.toml"]
    assert 'authors = [{ name = "Ada Lee", email = "a@lee.org" }]' in texts["pyproject.toml"]
    assert "Ada Lee" in texts["LICENSE"]
    assert find_kind(kind).hook in texts[f"{module}.py"]
    for file, text in texts.items():
        assert text.endswith("\n"), file
        assert "$" not in text.replace("${{ matrix.python }}", ""), file


@pytest.mark.parametrize("line_length", [88, 110])
@pytest.mark.parametrize("length", [1, LONGEST])
@pytest.mark.parametrize("kind", KIND_NAMES)
def test_the_files_pass_ruff(
    kind: str, length: int, line_length: int, succeed: Succeed, tmp_path: Path
) -> None:
    name = "q" * length
    succeed("plugin", "new", name, "--kind", kind, "--out", tmp_path)
    options = ("--isolated", "--no-cache", "--line-length", line_length)
    select = ("--select", RULES) if line_length == 110 else ()
    for command in (("check", *options, *select), ("format", "--check", "--diff", *options)):
        done = run_python("ruff", *command, ".", cwd=tmp_path / name)
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_files_are_typed(succeed: Succeed, tmp_path: Path) -> None:
    for kind, name in NAME.items():
        succeed("plugin", "new", name, "--kind", kind, "--out", tmp_path)
    options = ("--strict", "--allow-untyped-calls", "--no-warn-return-any", "--no-error-summary")
    sources = sorted(tmp_path.rglob("*.py"))
    search = (*(tmp_path / name for name in NAME.values()), ROOT, ROOT / "cli")
    environment = {**os.environ, "MYPYPATH": os.pathsep.join(map(str, search))}
    command = [
        sys.executable,
        "-m",
        "mypy",
        *options,
        "--cache-dir",
        str(tmp_path / "cache"),
        *map(str, sources),
    ]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_a_package_installs_and_passes_its_tests(kind: Kind, succeed: Succeed, tmp_path: Path) -> None:
    name = NAME[kind.name]
    succeed("plugin", "new", name, "--kind", kind.name, "--out", tmp_path)
    folder, site = tmp_path / name, tmp_path / "site"
    quiet = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation")
    done = run_python("pip", "install", *quiet, "--target", site, folder, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = json.loads(run_python("tts_cli", "plugins", "--json", cwd=tmp_path, path=site).stdout)
    (found,) = (entry for entry in listed if entry["distribution"] == name)
    assert found["ok"] is True
    assert found["hooks"] == [kind.hook]
    assert list(found["provides"].values()) == [["guide-sample"]]
    known = entry_points(group="pytest11", name="scalewise_tts")
    fixtures = () if known else ("-p", "tts.testing.pytest_plugin")
    options = ("-q", "-p", "no:cacheprovider", "-o", f"filterwarnings=error\n{EDITABLE}", *fixtures)
    done = run_python("pytest", *options, folder / "tests", cwd=tmp_path, path=site)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    code = f"import sys, {name.replace('-', '_')}; assert 'torch' not in sys.modules"
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, check=True)


def test_json_tells_what_was_written(succeed: Succeed, tmp_path: Path) -> None:
    done = succeed("plugin", "new", "tts-score-own", "--kind", "scorer", "--out", tmp_path, "--json")
    made = json.loads(done)
    assert made["folder"] == str(tmp_path / "tts-score-own")
    assert (made["distribution"], made["module"], made["part"]) == ("tts-score-own", "tts_score_own", "own")
    assert (made["kind"], made["hook"]) == ("scorer", "tts_register_scorers")
    assert made["files"] == files(tmp_path / "tts-score-own")
    assert made["next_steps"][0] == f"cd {tmp_path / 'tts-score-own'}"
    assert made["next_steps"][-1] == "tts sample --scorer own --out samples/own"


def test_without_a_license_there_is_a_reminder(succeed: Succeed, tmp_path: Path) -> None:
    succeed("plugin", "new", "tts-score-own", "--kind", "scorer", "--out", tmp_path, "--license", "none")
    assert "No license is chosen yet" in (tmp_path / "tts-score-own" / "LICENSE").read_text()
    assert 'license = "' not in (tmp_path / "tts-score-own" / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("name", "kind", "part"),
    [
        ("tts-score-smooth", "scorer", "smooth"),
        ("tts-scorer-smooth", "scorer", "smooth"),
        ("score-smooth", "scorer", "smooth"),
        ("smooth", "scorer", "smooth"),
        ("tts-score-smooth", "selector", "score-smooth"),
        ("tts-image-scorer-sharp", "image-scorer", "sharp"),
        ("tts-judge", "image-scorer", "judge"),
        ("tts", "loss", "tts"),
    ],
)
def test_the_part_is_called_like_the_distribution(name: str, kind: str, part: str) -> None:
    assert part_name(name, find_kind(kind)) == part


@pytest.mark.parametrize(
    "name", ["Own", "own_scorer", "9own", "own-", "own--one", "ówn", "a/b", "..", "o" * (LONGEST + 1)]
)
def test_what_is_no_name_is_refused(name: str, refuse: Refuse, tmp_path: Path) -> None:
    line = refuse("plugin", "new", "--kind", "scorer", "--out", tmp_path, "--", name)
    assert f"plugin name {name!r} must start with a letter" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("scalewise-tts", "--kind", "scorer"), "a distribution 'scalewise-tts' is already installed"),
        (("numpy", "--kind", "scorer"), "a distribution 'numpy' is already installed"),
        (("json", "--kind", "loss"), "a module 'json' already exists"),
        (("class", "--kind", "loss"), "a module 'class' already exists"),
        (("tts-cli", "--kind", "loss"), "a module 'tts_cli' already exists"),
        (
            ("tts-score-likelihood", "--kind", "scorer"),
            "scorer 'likelihood' is already provided by scalewise",
        ),
        (("tts-backbone-d30", "--kind", "bakbone"), "unknown kind of plugin 'bakbone'; use selector, scorer"),
        (("own", "--kind", "scorer", "--license", "GPL"), "unknown license 'GPL'; use MIT or none"),
        (("own", "--kind", "scorer", "--author", "a\nb"), "must be a name, or a name and an address"),
        (("own", "--kind", "scorer", "--author", " "), "must be a name, or a name and an address"),
        (("own", "--kind", "scorer", "--author", "A <b>"), "must be a name, or a name and an address"),
    ],
)
def test_what_is_taken_or_unknown_is_refused(
    options: tuple[str, ...], said: str, refuse: Refuse, tmp_path: Path
) -> None:
    assert said in refuse("plugin", "new", *options, "--out", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_left_alone(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    assert "already exists" in refuse("plugin", "new", "own", "--kind", "scorer", "--out", tmp_path)
    assert list((tmp_path / "own").iterdir()) == []
    line = refuse("plugin", "new", "own", "--kind", "scorer", "--out", tmp_path / "absent")
    assert "create it, or leave --out out" in line
    assert not (tmp_path / "absent").exists()


def test_a_name_of_an_installed_plugin_is_refused(install: Install, tts: Tts, tmp_path: Path) -> None:
    source = '@tts.hookimpl\ndef tts_register_scorers():\n    return [tts.ScorerSpec("own", "m:f", "")]'
    install("acme", source)
    for name, said in {"acme": "a distribution 'acme'", "tts-score-own": "scorer 'own' is already"}.items():
        done = tts("plugin", "new", name, "--kind", "scorer", "--out", str(tmp_path))
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert not (tmp_path / name).exists()


def test_nothing_is_left_when_writing_fails(
    run: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    done = run("plugin", "new", "own", "--kind", "scorer", "--out", tmp_path)
    assert done.code == 1  # type: ignore[attr-defined]
    assert "no space left on device" in done.stderr  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


def test_torch_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tts.manager import get_plugins\n"
        "from tts.plugin_template.kinds import find_kind\n"
        "from tts.plugin_template.write import write_package\n"
        f"write_package('own', find_kind('loss'), Path({str(tmp_path)!r}), get_plugins())\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "TTS_PLUGINS": ""}, check=True)
