"""The package is light until one of its names is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tts.testing


def test_importing_it_does_not_import_torch() -> None:
    code = (
        "import sys, tts.testing, tts.testing.pytest_plugin;"
        "print([name for name in ('torch', 'typer', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_is_there() -> None:
    for name in tts.testing.__all__:
        assert getattr(tts.testing, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="check_nothing"):
        _ = tts.testing.check_nothing
