"""A page in headless Chromium: what its document is like once everything has loaded."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom"),
)
LOCKED, UNLOCKED = "default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';"
FRAME = """<!DOCTYPE html><title>frame</title><body><pre id="findings"></pre>
<iframe src="page.html" style="width: {width}px; height: 900px; border: 0"></iframe><script>
addEventListener("message", (event) => { document.getElementById("findings").textContent = event.data; });
</script>"""
PROBE = (Path(__file__).parent / "probe.js").read_text()
CONSOLE = re.compile(r"CONSOLE.*|Failed to load.*|ERR_[A-Z_]+.*")


@dataclass(frozen=True)
class Seen:
    """What a browser says of a page: the probe's findings, and lines of its console."""

    findings: dict[str, Any]
    console: list[str]


Look = Callable[..., Seen]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Opens a copy of a page with a script that tells its findings, in a frame of some width.

    Windows have a least width that is more than a phone's; frames have none.
    """
    if BROWSER is None:
        pytest.skip(f"no browser is installed ({', '.join(NAMES)})")

    def open_page(page: Path, width: int) -> Seen:
        text = page.read_text(encoding="utf-8")
        assert text.count(LOCKED) == 1
        probe = f"<head><script>{PROBE}</script>"
        copy = text.replace(LOCKED, UNLOCKED).replace("<head>", probe, 1)
        (tmp_path / "page.html").write_text(copy, encoding="utf-8")
        (tmp_path / "frame.html").write_text(FRAME.replace("{width}", str(width)), encoding="utf-8")
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        address = (tmp_path / "frame.html").as_uri()
        command = [str(BROWSER), *FLAGS, profile, "--window-size=1600,1000", address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        (found,) = re.findall(r'<pre id="findings">(.*?)</pre>', done.stdout, flags=re.DOTALL)
        return Seen(json.loads(html.unescape(found)), CONSOLE.findall(done.stderr))

    return open_page
