"""A plugin as its author ships it: a distribution of its own, built and installed by pip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

Tts = Callable[..., "subprocess.CompletedProcess[str]"]

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1.2"

[project.entry-points.scalewise_tts]
{name} = "{module}"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
"""
ACME = """
import torch
import tts

@tts.hookimpl
def tts_register_scorers():
    return [tts.ScorerSpec("acme-sum", "tts_acme:Sum", "sum of the map, times a factor", argument="FACTOR")]

@tts.hookimpl
def tts_register_selectors():
    return [tts.SelectorSpec("acme-worst", "tts_acme:Worst", "the candidate with the lowest score")]

class Sum:
    name = "acme-sum"

    def __init__(self, request):
        self.factor = float(request.argument or 1)

    def score(self, proposals):
        return self.factor * proposals.maps.sum(dim=(2, 3, 4))

class Worst:
    name = "acme-worst"
    needs_scores = True

    def __init__(self, request):
        pass

    def select(self, context):
        return context.scores.argmin(dim=1)
"""
BROKEN = """
import tts_library_that_is_not_there

import tts

@tts.hookimpl
def tts_register_scorers():
    return [tts.ScorerSpec("broken-scorer", "tts_broken:Scorer", "never seen")]
"""
REASON = (
    "tts-broken 1.2, entry tts-broken: ModuleNotFoundError: No module named 'tts_library_that_is_not_there'"
)
ITEMS = ("--labels", "3,7", "--seeds", "0", "--candidates", "6", "--save-tokens")


def install(root: Path, site: Path, name: str, source: str) -> None:
    """Write a project and install it with pip, without any network."""
    project, module = root / f"project-{name}", name.replace("-", "_")
    project.mkdir()
    (project / "pyproject.toml").write_text(PYPROJECT.format(name=name, module=module))
    (project / f"{module}.py").write_text(dedent(source))
    quiet = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation")
    command = [sys.executable, "-m", "pip", "install", *quiet, "--target", str(site), str(project)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with the working plugin, and with both it and the broken one."""
    root = tmp_path_factory.mktemp("plugins")
    install(root, root / "good", "tts-acme", ACME)
    install(root, root / "bad", "tts-broken", BROKEN)
    return {"good": root / "good", "bad": root / "bad"}


@pytest.fixture
def tts(sites: dict[str, Path], tmp_path: Path) -> Tts:
    """Run ``tts`` with the plugins of the named folders."""

    def run(*args: object, plugins: tuple[str, ...] = ("good",)) -> subprocess.CompletedProcess[str]:
        ignored = ("TTS_PLUGINS", "TTS_STRICT")
        environment = {key: value for key, value in os.environ.items() if key not in ignored}
        path = [*(str(sites[name]) for name in plugins), environment.get("PYTHONPATH", "")]
        environment |= {"PYTHONPATH": os.pathsep.join(filter(None, path)), "COLUMNS": "200"}
        command = [sys.executable, "-m", "tts_cli", *map(str, args)]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return run


def entry(text: str, distribution: str) -> dict[str, object]:
    (found,) = (entry for entry in json.loads(text) if entry["distribution"] == distribution)
    return found


def test_it_is_listed(tts: Tts) -> None:
    listed = json.loads(tts("list", "--json").stdout)
    owners = {spec["name"]: spec["owner"] for kind in ("scorers", "selectors") for spec in listed[kind]}
    assert owners["acme-sum"] == owners["acme-worst"] == "tts-acme"
    found = entry(tts("plugins", "--json").stdout, "tts-acme")
    assert found["ok"] is True
    assert found["version"] == "1.2"
    assert found["provides"] == {"scorer": ["acme-sum"], "selector": ["acme-worst"]}


def test_its_scorer_and_selector_run(tts: Tts, tmp_path: Path) -> None:
    forms = {
        "best": ("--scorer", "acme-sum:2"),
        "worst": ("--scorer", "acme-sum:2", "--selector", "acme-worst"),
        "worst-too": ("--scorer", "acme-sum:-2"),
    }
    for name, options in forms.items():
        done = tts("sample", *ITEMS, *options, "--trace", "--out", name)
        assert (done.returncode, done.stderr) == (0, ""), name
        assert done.stdout.startswith(f"2 images in {name} (candidates 1,6,6,6, ")
    made = {name: load_file(tmp_path / name / "tokens.safetensors") for name in forms}
    trace = load_file(tmp_path / "worst" / "trace.safetensors")
    for scale in (2, 3, 4):
        assert torch.equal(
            trace[f"scores.{scale}"].argmin(dim=1), made["worst"]["winner_index"][:, scale - 1]
        )
    assert torch.equal(made["worst"]["tokens"], made["worst-too"]["tokens"])
    assert not torch.equal(made["worst"]["tokens"], made["best"]["tokens"])
    record = json.loads((tmp_path / "worst" / "run.json").read_text())
    assert (record["scorer"]["name"], record["selector"]) == ("acme-sum", "acme-worst")
    assert "tts-acme 1.2" in record["environment"]["plugins"]


def test_a_broken_one_costs_one_line_and_disturbs_nothing(tts: Tts, tmp_path: Path) -> None:
    both = ("good", "bad")
    for name, plugins in {"alone": ("good",), "both": both}.items():
        done = tts("sample", *ITEMS, "--scorer", "acme-sum", "--out", name, plugins=plugins)
        assert done.returncode == 0
        assert done.stderr == ("" if name == "alone" else f"warning: plugin {REASON}\n")
    files = [tmp_path / name / "tokens.safetensors" for name in ("alone", "both")]
    assert files[0].read_bytes() == files[1].read_bytes()
    found = entry(tts("plugins", "--json", plugins=both).stdout, "tts-broken")
    assert (found["ok"], found["reason"]) == (False, REASON)
    assert entry(tts("plugins", "--json", plugins=both).stdout, "tts-acme")["ok"] is True


def test_only_the_run_that_asks_for_the_broken_one_fails(tts: Tts) -> None:
    done = tts("sample", *ITEMS, "--scorer", "broken-scorer", "--out", "out", plugins=("good", "bad"))
    assert (done.returncode, done.stdout) == (2, "")
    warning, error = done.stderr.splitlines()
    assert warning == f"warning: plugin {REASON}"
    assert error.startswith("error: unknown scorer 'broken-scorer'")
    assert "tts-broken 1.2" in error


def test_without_the_plugin_its_name_is_unknown(tts: Tts) -> None:
    done = tts("sample", *ITEMS, "--scorer", "acme-sum", "--out", "out", plugins=())
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: unknown scorer 'acme-sum'")
