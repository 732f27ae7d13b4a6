"""Loads the fixtures of ``tts.testing`` also where the installed metadata does not name them yet."""

from __future__ import annotations

import pytest

from tts.testing import pytest_plugin

ENTRY_POINT = "scalewise_tts"


def pytest_configure(config: pytest.Config) -> None:
    """Register them under the name of their entry point, unless that has been done or refused."""
    manager = config.pluginmanager
    known = manager.has_plugin(ENTRY_POINT) or manager.is_registered(pytest_plugin)
    if not known and not manager.is_blocked(ENTRY_POINT):
        manager.register(pytest_plugin, ENTRY_POINT)
