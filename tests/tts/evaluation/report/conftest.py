"""Folders of results, written by hand in the form of the commands that make them."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tts.evaluation.report.page import Page
from tts.evaluation.report.render import render
from tts.io import save_png, write_json

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="360pt"'
    ' height="180pt" viewBox="0 0 360 180"><defs><path id="a" d="M0 0h9"/></defs><use xlink:href="#a"/></svg>'
)
SETTING = {
    "strategy": "lsrs",
    "scorer": None,
    "image_scorer": None,
    "selector": None,
    "candidates": "1",
    "start_scale": None,
    "end_scale": None,
    "top_k_select": None,
    "temperature": None,
    "cfg": 1.5,
    "top_k": 0,
    "top_p": 0.0,
    "schedule": "1,2,3,4",
    "guidance": "var",
}
CHOSEN = {"scorer": "learned", "selector": "greedy", "start_scale": 2, "end_scale": 4}
SWEEP = {
    "format": "scalewise-tts-sweep-1",
    "command": "tts sweep --grid 'candidates=1,8 selector=greedy'",
    "base": {"backbone": "var-digits", "dtype": "float32", "weights": []},
    "grids": ["candidates=1,8 selector=greedy"],
    "images": 200,
    "seed_sets": [0, 1],
    "features": {"name": "digits", "title": "FD"},
    "features_title": "FD",
    "reference": {"text": "heldout", "images": 898, "sha256": "ab" * 32},
    "backbone": {"name": "var-digits", "weights_sha256": "cd" * 32},
}
FIGURES: list[dict[str, Any]] = [
    {
        "kind": "table",
        "file": "tables/m.md",
        "title": "Quality by M",
        "caption": "All M.",
        "paper": "table 5",
        "header": ["M", "FD ↓", "IS ↑"],
        "rows": [["1", "1.50 ± 0.01", "–"], ["8", "1.21 ± 0.02", "7.90"]],
        "best": [[1, 1]],
    },
    {
        "kind": "plot",
        "file": "plots/fd.svg",
        "png": "plots/fd.png",
        "title": "FD by M",
        "caption": "Lower is better.",
        "paper": None,
    },
    {
        "kind": "grid",
        "file": "grids/m.png",
        "title": "Images by M",
        "caption": "A row an M.",
        "paper": "figure 4",
    },
]


def measured(fid: float) -> dict[str, Any]:
    """One seed set of a point."""
    figures = {"images": 200, "fid": fid, "mean_diff2": 0.2, "accuracy": 0.915, "recall": None}
    figures |= {"trace_reference": 2.0, "trace_samples": 2.0, "two_trace_sqrt": 3.0}
    cost = {"images": 200, "transformer_passes": 800, "seconds": 1.5, "peak_bytes": None}
    cost |= {"scorer_calls": 0, "decoder_calls": 200, "image_scorer_calls": 0}
    return {"figures": figures, "cost": cost}


def point(name: str, label: str, fids: tuple[float, ...], **setting: Any) -> dict[str, Any]:
    """A point of ``results.json``."""
    sets = {str(number): measured(fid) for number, fid in enumerate(fids)}
    return {"id": name, "label": label, "setting": {**SETTING, **setting}, "sets": sets}


def write_sweep(folder: Path, figures: bool = True, **sweep: Any) -> Path:
    """A finished sweep of two points."""
    for name in ("plots", "grids", "points/plain"):
        (folder / name).mkdir(parents=True)
    content = {
        "format": "scalewise-tts-results-1",
        "sweep": {**SWEEP, **sweep},
        "environment": {"scalewise-tts": "0.1.0", "libraries": {"torch": "2.13.0"}},
        "axes": {"candidates": ["1", "8"]},
        "points": [
            point("plain", "plain", (1.5, 1.6)),
            point("greedy-m8-st2", "greedy M 8 ST 2", (1.2, 1.26), candidates="8", **CHOSEN),
        ],
    }
    write_json((folder / "results.json"), content)
    write_json((folder / "sweep.json"), content["sweep"])
    (folder / "plots" / "fd.svg").write_text(SVG)
    ramp = np.linspace(0, 255, 16 * 32 * 3).astype(np.uint8).reshape(16, 32, 3)
    save_png(folder / "grids" / "m.png", ramp)
    save_png(folder / "points" / "plain" / "images.png", ramp)
    if figures:
        write_json((folder / "figures.json"), {"figures": FIGURES})
    return folder


@pytest.fixture
def make_sweep(tmp_path: Path) -> Callable[..., Path]:
    """Writes a sweep's folder; keywords change what ``sweep.json`` says."""
    return lambda **changes: write_sweep(tmp_path / "sweep", **changes)


VOID = {"meta", "link", "img", "br"}
HARMLESS = {
    *(
        "alt",
        "aria-label",
        "charset",
        "class",
        "content",
        "height",
        "href",
        "http-equiv",
        "id",
        "lang",
        "name",
    ),
    *("rel", "role", "scope", "src", "tabindex", "width"),
}
LOADS = re.compile(r"url\s*\(|@import|https?:|//", re.IGNORECASE)


class Html(HTMLParser):
    """What a page consists of; elements must be closed in order, and names must be there once."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tables: list[list[list[str]]] = []
        self.texts: list[str] = []
        self.style = ""
        self.attributes: set[str] = set()
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []
        assert len(set(self.ids)) == len(self.ids)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.attributes |= set(found)
        self.ids += [str(found["id"])] if "id" in found else []
        self.references += [str(found[name]) for name in ("src", "href") if name in found]
        if tag == "img":
            self.images.append(found)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self._open and self._open[-1] == "style":
            self.style += data
        if {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        """All text of the page but for its style, spaces run together."""
        return " ".join("".join(self.texts).replace(self.style, "").split())

    def check_alone(self) -> None:
        """Nothing outside the page is referred to, and every link inside it leads somewhere."""
        assert not {"script", "iframe", "object", "embed", "audio", "video", "source", "base"} & set(
            self.tags
        )
        assert not LOADS.search(self.style)
        for reference in self.references:
            assert reference.startswith("data:") or reference[1:] in self.ids, reference
        assert self.attributes <= HARMLESS


@pytest.fixture
def read_page() -> Callable[[Page], Html]:
    """Renders a page and reads it; it must stand alone."""

    def read(page: Page) -> Html:
        html = Html(render(page))
        html.check_alone()
        return html

    return read
