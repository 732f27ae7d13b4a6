"""The fixtures for tests of plugins, here and in a project of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import count
from pathlib import Path
from textwrap import dedent

import pytest

from tts.interfaces import Backbone, Scorer
from tts.manager import Plugins, get_plugins
from tts.testing import ToyBackbone, check_scorer
from tts.testing.pytest_plugin import TtsCli
from tts_cli import progress

SOURCE = """
import tts

@tts.hookimpl
def tts_register_scorers():
    return [tts.ScorerSpec("acme-sum", "acme:Sum", "sum of the map")]

class Sum:
    name = "acme-sum"

    def __init__(self, request):
        pass

    def score(self, proposals):
        return proposals.maps.sum(dim=(2, 3, 4))
"""

TEST = """
import pytest

from tts.testing import FakeScorer, ToyBackbone, check_scorer

def test_fixtures(toy_backbone, fake_scorer, tts_plugins, tts_cli, tmp_path):
    assert isinstance(toy_backbone, ToyBackbone)
    assert isinstance(fake_scorer, FakeScorer)
    assert "acme-sum" in tts_plugins.scorers.names()
    done = tts_cli("plugins")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "acme-sum" in done.stdout
    done = tts_cli("sample", "--scorer", "acme-sum", "--labels", 1, "--out", tmp_path / "out")
    assert (done.exit_code, done.stderr) == (0, "")
    done = tts_cli("sample", "--scorer", "acme-sum", plugins=())
    assert done.exit_code == 2
    assert "unknown scorer 'acme-sum'" in done.stderr
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with one distribution, ``acme``."""
    info = tmp_path / "site" / "acme-1.0.dist-info"
    info.mkdir(parents=True)
    (info.parent / "acme.py").write_text(SOURCE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[scalewise_tts]\nmain = acme\n")
    return info.parent


def test_the_toy_is_a_backbone(toy_backbone: Backbone) -> None:
    assert isinstance(toy_backbone, ToyBackbone)


def test_a_scorer_fixture_passes(request: pytest.FixtureRequest) -> None:
    scorer: Scorer = request.getfixturevalue("fake_scorer")
    check_scorer(scorer() if isinstance(scorer, type) else scorer)


def test_discovery_is_fresh(tts_plugins: Plugins) -> None:
    assert get_plugins() is tts_plugins
    assert "learned" in tts_plugins.scorers.names()


def test_the_command_line_runs_here(tts_cli: TtsCli, site: Path, tmp_path: Path) -> None:
    done = tts_cli("list", path=[site])
    assert done.exit_code == 0
    assert "acme-sum" in done.stdout
    assert "acme" not in sys.modules
    assert "acme-sum" not in tts_cli("list").stdout
    assert "acme-sum" not in tts_cli("list", path=[site], plugins=()).stdout
    done = tts_cli("sample", "--labels", 1, "--out", "out", cwd=tmp_path, plugins=())
    assert (done.exit_code, done.stderr) == (0, "")
    assert (tmp_path / "out" / "run.json").is_file()
    refused = tts_cli("sample", "--scorer", "nothing")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("error: unknown scorer 'nothing'")


def test_progress_comes_when_it_is_asked_for_however_slow_the_machine(
    tts_cli: TtsCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = count(step=1000.0)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(moments))
    monkeypatch.delenv("TTS_PROGRESS")
    sample = ("sample", "--labels", 1, "--candidates", 1, "--out")
    assert tts_cli(*sample, tmp_path / "a", plugins=()).stderr == ""
    assert "1/1 shards" in tts_cli(*sample, tmp_path / "b", plugins=(), TTS_PROGRESS="").stderr


def test_the_command_line_runs_as_a_process(tts_cli: TtsCli, site: Path) -> None:
    done = tts_cli("list", path=[site], subprocess=True)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "acme-sum" in done.stdout
    strict = tts_cli("list", path=[site], plugins=["nowhere"], subprocess=True, TTS_STRICT="1")
    assert strict.exit_code == 2
    assert "TTS_PLUGINS names nowhere" in strict.stderr


EDITABLE = (
    "ignore:Module already imported so cannot be rewritten. _editable:pytest.PytestAssertRewriteWarning"
)
"""What an editable installation of the toolkit makes pytest say."""


@pytest.mark.parametrize("named", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_it_loads_once_whether_the_metadata_names_it_or_not(named: bool, site: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pytest.ini").write_text(f"[pytest]\nfilterwarnings =\n    error\n    {EDITABLE}\n")
    (project / "test_acme.py").write_text(dedent(TEST))
    root = Path(__file__).parents[3]
    (project / "conftest.py").write_text((root / "conftest.py").read_text())
    if named:  # as after an installation
        info = site / "kit-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kit\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[pytest11]\nscalewise_tts = tts.testing.pytest_plugin\n")
    ignored = ("TTS_PLUGINS", "TTS_STRICT")
    kept = {name: value for name, value in os.environ.items() if name not in ignored}
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(project)]
    done = subprocess.run(
        command, env={**kept, "PYTHONPATH": path}, cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "warning" not in done.stdout
