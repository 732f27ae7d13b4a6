"""Results are written by one process, when something has changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tts.engine.worker import Worker
from tts.errors import RunError
from tts.evaluation.sweep.figures import Entry, sources_of
from tts.evaluation.sweep.store import Store
from tts.evaluation.sweep.summing import sum_up
from tts.io import read_json, write_json

CPU = torch.device("cpu")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that pictures were drawn for."""
    found: list[Path] = []

    def draw(folder: Path, warn: Callable[[str], None]) -> None:
        found.append(folder)
        entries = [Entry("plot", "a.svg", "A", "", None)]
        write_json(folder / "figures.json", {"figures": entries, "made_of": sources_of(folder)})
        warn("a note")

    monkeypatch.setattr("tts.evaluation.sweep.figures.write_figures", draw)
    return found


def summed(store: Store) -> tuple[str, ...]:
    with Worker(store.work) as worker:
        return sum_up(store, worker, CPU)


def test_results_are_written_once_and_again_when_a_set_comes(asked: Any, drawn: list[Path]) -> None:
    store = asked.store
    assert summed(store) == ("a note",)
    before = (store.folder / "results.json").read_bytes()
    assert summed(store) == ()
    assert (store.folder / "results.json").read_bytes() == before
    assert drawn == [store.folder]
    asked.put("greedy-m8", 1, 5.0)
    summed(store)
    points = read_json(store.folder / "results.json")["points"]
    assert [list(point["sets"]) for point in points] == [["0", "1"], ["0", "1"]]
    assert len(drawn) == 2


def test_figures_are_those_of_the_contents_whatever_the_times_of_the_files(
    asked: Any, drawn: list[Path]
) -> None:
    """Copying a folder gives its files new times, in any order; an older copy may hold other results."""
    store, long_ago = asked.store, 1_000_000_000
    summed(store)
    os.utime(store.folder / "figures.json", (long_ago, long_ago))
    assert summed(store) == ()
    write_json(store.folder / "timing.json", {"other": "times"})
    os.utime(store.folder / "timing.json", (long_ago - 9, long_ago - 9))
    assert summed(store) == ("a note",)
    assert summed(store) == ()
    assert len(drawn) == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"points": [{}]}'])
def test_damaged_results_are_written_anew(asked: Any, drawn: list[Path], text: str) -> None:
    summed(asked.store)
    path = asked.store.folder / "results.json"
    before = read_json(path)
    path.write_text(text)
    summed(asked.store)
    assert read_json(path) == before


def test_a_folder_that_is_gone_is_said(tmp_path: Path, drawn: list[Path]) -> None:
    with pytest.raises(RunError, match="was removed while it was in use"):
        summed(Store(tmp_path / "gone"))
