"""The folder of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tts.errors import CheckpointError
from tts.evaluation.sweep.store import Store
from tts.images import read_image


def test_the_picture_is_of_the_lowest_seed_set(asked: Any) -> None:
    strip = asked.store.folder / "points" / "plain" / "images.png"
    asked.put("plain", 5, 1.0, level=50)
    assert read_image(strip).max() == 0
    asked.put("greedy-m8", 3, 1.0, level=30)
    assert read_image(strip.parents[1] / "greedy-m8" / "images.png").shape == (4, 40, 3)


def test_a_folder_grows_by_points_and_sets_of_the_same_kind(asked: Any) -> None:
    more = asked.record(seed_sets=(7,), points=("plain",), grids=("cfg=1.5",))
    asked.store.open(more, [asked.store.point("plain")])
    found = asked.store.record()
    assert found is not None
    assert found.seed_sets == (0, 1, 7)
    assert found.points == ("plain", "greedy-m8")
    assert found.grids == ("candidates=1,8", "cfg=1.5")


def test_other_kinds_of_figures_are_refused_by_name(asked: Any, refused: Any) -> None:
    before = (asked.store.folder / "sweep.json").read_bytes()
    with refused("holds a sweep with other settings (images, features); choose another --out"):
        asked.open(asked.record(images=50, features={"name": "inception"}))
    assert (asked.store.folder / "sweep.json").read_bytes() == before


def test_two_settings_never_share_a_folder(asked: Any, refused: Any) -> None:
    with refused("holds another setting"):
        asked.open(asked.record(), ("plain", asked.greedy))


@pytest.mark.parametrize("name", ["plan.json", "run.json"])
def test_the_folder_of_another_command_is_refused(tmp_path: Path, refused: Any, name: str) -> None:
    (tmp_path / name).write_text("{}")
    with refused("holds a run of another command; choose another --out"):
        Store(tmp_path).check()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "scalewise-tts-sweep-1"}', '{"format": "new"}'])
def test_a_damaged_record_is_refused(asked: Any, refused: Any, text: str) -> None:
    (asked.store.folder / "sweep.json").write_text(text)
    with refused("sweep.json", kind=CheckpointError):
        asked.store.record()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"figures": {}}'])
def test_a_damaged_seed_set_is_removed_with_its_reason(asked: Any, text: str) -> None:
    path = asked.store.set_path("plain", 0)
    path.write_text(text)
    assert "set-0.json" in str(asked.store.remove_damaged("plain", 0))
    assert not path.exists()
    assert asked.store.remove_damaged("plain", 1) is None
    assert asked.store.numbers("plain") == [1]
