"""The layouts of what a run writes: names, the npz that other tools read, the picture of the first images."""

from __future__ import annotations

import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tts.errors import CheckpointError
from tts.io import write_json
from tts.outputs import GRID_COLUMNS, GRID_ROWS, Grid, NpzWriter, check_target, image_path, recorded_speed
from tts.pipeline import Item, cross_items
from tts.tiles import GAP, margin_of

ITEMS = cross_items((2, 0), (5, 9, 1_234_567))
SIZE = 6


def pixels(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def write(path, images, parts=(4, 2)):
    with NpzWriter(path, ITEMS, SIZE) as writer:
        for part in np.split(images, np.cumsum(parts)[:-1]):
            writer.append(part)


def test_an_image_is_named_by_class_and_seed():
    assert image_path(Path("run"), Item(7, 42)) == Path("run/images/0007/000042.png")
    assert image_path(Path("run"), Item(0, 2**40)).name == "1099511627776.png"


def test_an_npz_has_the_layout_of_the_adm_evaluation(tmp_path):
    images = pixels(6)
    write(tmp_path / "samples.npz", images)
    with np.load(tmp_path / "samples.npz", allow_pickle=False) as arrays:
        assert set(arrays.files) == {"arr_0", "arr_1", "seeds"}
        assert arrays["arr_0"].dtype == np.uint8
        assert arrays["arr_0"].shape == (6, SIZE, SIZE, 3)
        np.testing.assert_array_equal(arrays["arr_0"], images)
        assert arrays["arr_1"].tolist() == [2, 2, 2, 0, 0, 0]
        assert arrays["seeds"].tolist() == [5, 9, 1_234_567] * 2
        assert arrays["arr_1"].dtype == arrays["seeds"].dtype == np.int64


def test_equal_images_make_equal_bytes_at_any_time_and_in_any_parts(tmp_path, monkeypatch):
    images = pixels(6)
    write(tmp_path / "a.npz", images)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600)
    write(tmp_path / "b.npz", images, parts=(1, 2, 3))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        assert {member.date_time for member in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_failure_half_way_leaves_no_npz(tmp_path):
    def fail_half_way():
        with NpzWriter(tmp_path / "samples.npz", ITEMS, SIZE) as writer:
            writer.append(pixels(4))
            assert not (tmp_path / "samples.npz").exists()
            raise KeyError("half way")

    with pytest.raises(KeyError, match="half way"):
        fail_half_way()
    assert not list(tmp_path.iterdir())


def test_a_failure_keeps_the_npz_of_an_earlier_run(tmp_path):
    write(tmp_path / "samples.npz", pixels(6))
    before = (tmp_path / "samples.npz").read_bytes()

    def fail_half_way():
        with NpzWriter(tmp_path / "samples.npz", ITEMS, SIZE) as writer:
            writer.append(np.zeros((1, SIZE, SIZE, 3), np.uint8))
            raise KeyError("half way")

    with pytest.raises(KeyError, match="half way"):
        fail_half_way()
    assert (tmp_path / "samples.npz").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_the_grid_has_a_row_a_class():
    grid = Grid()
    for item in (Item(4, 0), Item(1, 0), Item(4, 1)):
        grid.add(item, np.full((SIZE, SIZE, 3), 10 * item.label + item.seed, np.uint8))
    picture = grid.picture()
    side, margin = SIZE * (64 // SIZE), margin_of(["4", "1"])
    pitch = side + GAP
    assert picture.shape == (GAP + 2 * pitch, margin + 2 * pitch, 3)
    centres = picture[GAP + side // 2 :: pitch, margin + side // 2 :: pitch, 0]
    assert centres.tolist() == [[40, 41], [10, 255]]
    assert (picture[GAP + side : GAP + pitch] == 255).all()  # a gap between rows
    assert (picture[:, margin + side : margin + pitch] == 255).all()
    labels = [picture[GAP + row * pitch :][:side, :margin] for row in range(2)]
    assert all((label < 128).any() for label in labels)
    assert not np.array_equal(*labels)


def test_the_grid_keeps_the_first_images_of_the_first_classes():
    grid = Grid()
    for item in cross_items(range(GRID_ROWS + 3), range(GRID_COLUMNS + 5)):
        assert grid.wants(item) is (item.label < GRID_ROWS and item.seed < GRID_COLUMNS)
        grid.add(item, np.zeros((100, 100, 3), np.uint8))
        last = item.label >= GRID_ROWS - 1 and (item.label >= GRID_ROWS or item.seed >= GRID_COLUMNS - 1)
        assert grid.full is last
    assert list(grid.rows) == list(range(GRID_ROWS))
    assert {len(row) for row in grid.rows.values()} == {GRID_COLUMNS}
    margin = margin_of([str(GRID_ROWS - 1)])
    assert grid.picture().shape == (GAP + GRID_ROWS * (100 + GAP), margin + GRID_COLUMNS * (100 + GAP), 3)


def test_a_new_grid_has_room():
    assert not Grid().full


def test_the_speed_of_a_run_is_in_its_record(tmp_path):
    assert recorded_speed(tmp_path) is None
    for speed in (12.5, None):  # no speed after a damaged record
        write_json(
            tmp_path / "run.json",
            {"timing": {"generate_seconds": 1.0, "images": 1, "images_per_second": speed}},
        )
        assert recorded_speed(tmp_path) == speed


@pytest.mark.parametrize("record", [{}, {"timing": {}}, {"timing": None}, [], "text", None])
def test_a_foreign_record_has_no_speed(tmp_path, record, refused):
    write_json(tmp_path / "run.json", record)
    with refused(str(tmp_path / "run.json"), "is not a valid record of 'tts sample'", kind=CheckpointError):
        recorded_speed(tmp_path)


@pytest.mark.parametrize("name", ["images/0/a.png", "run.json", "plan.json", "samples.npz", "grid.png"])
def test_what_a_result_is_made_of_is_not_replaced_by_it(tmp_path: Path, refused: Any, name: str) -> None:
    path = tmp_path / "set" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"kept")
    for source in (tmp_path / "set", path):
        with refused(f"{path} is, or belongs to, {source}, which is read; name another file"):
            check_target(path, [tmp_path / "other", source])
    assert path.read_bytes() == b"kept"


def test_a_result_may_lie_beside_what_it_is_made_of(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for _ in range(2):  # also the second time
        check_target(tmp_path / "set" / "figures.json", [tmp_path / "set"])
        (tmp_path / "set" / "figures.json").touch()
    check_target(tmp_path / "run.json", [tmp_path / "set", "heldout"])
