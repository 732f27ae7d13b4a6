"""From a page to one HTML file."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from tts import __version__
from tts.evaluation.report.page import Page
from tts.io import atomic_path


def render(page: Page) -> str:
    """The HTML of a page. All text is escaped; the page forbids itself to load anything."""
    environment = Environment(
        loader=PackageLoader("tts.evaluation.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html").render(page=page, version=__version__)


def write_page(page: Page, path: Path) -> int:
    """Write a page; returns its size in bytes."""
    content = render(page).encode("utf-8", "replace")
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return len(content)
