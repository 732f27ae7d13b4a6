"""Every package in ``plugins/`` installs by itself and passes its own tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PLUGINS = Path(__file__).parent.parent / "plugins"
NAMES = sorted(path.parent.name for path in PLUGINS.glob("*/pyproject.toml"))
PROVIDES = {
    "tts-backbone-tiny": {"backbone": ["tiny"]},
    "tts-score-classifier": {"image scorer": ["classifier"]},
    "tts-score-clip": {"image scorer": ["clip"]},
    "tts-select-accept": {"selector": ["accept"]},
    "tts-select-density": {"selector": ["density"]},
}


@pytest.mark.parametrize("name", NAMES)
def test_a_package_installs_and_passes_its_tests(name: str, tmp_path: Path) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation")
    install = [sys.executable, "-m", "pip", "install", *quiet, "--target", str(tmp_path), str(PLUGINS / name)]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path}
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(PLUGINS / name / "tests")]
    done = subprocess.run(tests, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    plugins = [sys.executable, "-m", "tts_cli", "plugins", "--json"]
    listed = subprocess.run(plugins, env=environment, capture_output=True, text=True, check=True).stdout
    (entry,) = (entry for entry in json.loads(listed) if entry["distribution"] == name)
    assert entry["ok"], entry["reason"]
    assert {kind: names for kind, names in entry["provides"].items() if names} == PROVIDES[name]
