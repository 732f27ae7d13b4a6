"""Plugins that exist for one test only."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tts.manager import get_plugins

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Write distributions of one module each into a folder that is on ``sys.path``."""
    monkeypatch.delenv("TTS_PLUGINS", raising=False)
    monkeypatch.delenv("TTS_STRICT", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    get_plugins.cache_clear()

    def write(
        name: str,
        source: str,
        *,
        entry_points: str | None = None,
        module: str | None = None,
        folder: str = ".",
    ) -> Path:
        module = module or name.replace("-", "_")
        site = tmp_path / folder
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{module}.py").write_text("import tts\n" + dedent(source))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        points = entry_points or f"[scalewise_tts]\nmain = {module}\n"
        (info / "entry_points.txt").write_text(points)
        importlib.invalidate_caches()
        return info

    yield write
    get_plugins.cache_clear()
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
