"""Images of several settings side by side, and figure 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tts.backbones.var_adapter import VarBackbone
from tts.building import Model
from tts.errors import CheckpointError
from tts.evaluation.sweep.pictures import (
    GAP,
    LARGEST,
    MARGIN,
    SMALLEST,
    TITLE,
    assemble,
    randomised,
    resized,
    spaced,
    sweep_grids,
)
from tts.evaluation.sweep.reading import read_results
from tts.evaluation.sweep.sheet import Sheet
from tts.io import save_png
from tts.manager import get_plugins
from tts.sample_config import SampleConfig

GREEDY = {"scorer": "learned", "selector": "greedy", "start_scale": 2, "end_scale": 4}


def grids(sweep: Any) -> dict[str, Any]:
    return {grid.name: grid for grid in sweep_grids(Sheet(read_results(sweep.write())))}


def centres(pixels: Any, columns: int, rows: int) -> Any:
    """The middle pixel of each cell (rows, columns, 3)."""
    pitch = (pixels.shape[1] - MARGIN) // columns
    ys = TITLE + np.arange(rows) * (SMALLEST + GAP) + SMALLEST // 2
    xs = MARGIN + np.arange(columns) * pitch + pitch // 2
    return pixels[ys[:, None], xs[None]]


def test_strips_are_put_in_the_columns_of_their_points(sweep: Any) -> None:
    for number, m in enumerate(("1", "8", "2")):
        id_ = sweep.add(**({} if m == "1" else {"candidates": m, **GREEDY}))
        sweep.strip(id_, 50 * (number + 1))
    grid = grids(sweep)["m"]
    cells = centres(grid.pixels, 3, 10)
    assert (cells[..., 0] == np.array([50, 150, 100])).all()  # plain, M = 2, M = 8
    assert (cells[..., 1] == np.arange(10)[:, None]).all()
    assert "class at the left" in grid.caption


def test_starts_are_shown_at_the_largest_m(full_sweep: Any) -> None:
    grid = grids(full_sweep)["st"]
    ids = list(full_sweep.points.values())
    numbers = {
        (p["setting"]["candidates"], p["setting"]["start_scale"]): number
        for number, p in enumerate(ids)
        if p["setting"]["scorer"] in (None, "learned") and p["setting"]["cfg"] == 1.5
        if p["setting"]["selector"] in (None, "greedy") and p["setting"]["strategy"] == "lsrs"
    }
    expected = [numbers[("1", None)], *(numbers[("32", start)] for start in (1, 2, 3, 4))]
    assert (centres(grid.pixels, 5, 10)[..., 0] == np.array(expected)).all()


def test_points_without_a_picture_have_no_column(sweep: Any) -> None:
    ids = [sweep.add(), sweep.add(candidates="2", **GREEDY), sweep.add(candidates="4", **GREEDY)]
    sweep.strip(ids[0], 1)
    assert grids(sweep) == {}
    sweep.strip(ids[2], 2)
    assert (centres(grids(sweep)["m"].pixels, 2, 10)[..., 0] == np.array([1, 2])).all()


def test_pictures_of_another_seed_set_have_other_noise_and_no_column(sweep: Any) -> None:
    ids = [sweep.add(0, 1), sweep.add(1, candidates="2", **GREEDY), sweep.add(0, candidates="4", **GREEDY)]
    for number, id_ in enumerate(ids):
        sweep.strip(id_, number)
    assert (centres(grids(sweep)["m"].pixels, 2, 10)[..., 0] == np.array([0, 2])).all()


def test_a_strip_that_is_none_is_named(sweep: Any, refused: Any) -> None:
    id_ = sweep.add()
    sweep.add(candidates="2", **GREEDY)
    sweep.strip(id_, 1)
    path = sweep.folder / "points" / id_ / "images.png"
    save_png(path, np.zeros((4, 9, 3), np.uint8))
    with refused(str(path), "row of square images", kind=CheckpointError):
        grids(sweep)


def test_small_images_are_enlarged_by_a_whole_factor() -> None:
    image = np.arange(16 * 16 * 3).reshape(16, 16, 3).astype(np.uint8)
    large = resized(image)
    assert large.shape == (64, 64, 3)
    assert (large[::4, ::4] == image).all()
    assert (large[3::4, 3::4] == image).all()


@pytest.mark.parametrize(("side", "expected"), [(64, 64), (128, 128), (256, 128), (512, 128)])
def test_large_images_are_reduced_by_a_whole_factor(side: int, expected: int) -> None:
    assert resized(np.full((side, side, 3), 7, np.uint8)).shape == (expected, expected, 3)
    assert expected <= LARGEST
    assert (resized(np.full((side, side, 3), 7, np.uint8)) == 7).all()


def test_columns_are_thinned_out_evenly_with_both_ends() -> None:
    columns: list[tuple[str, list[Any]]] = [(str(i), []) for i in range(11)]
    assert [name for name, _ in spaced(columns, 3)] == ["0", "5", "10"]
    assert spaced(columns, 11) == columns


def test_a_long_title_widens_its_column() -> None:
    cell = np.zeros((16, 16, 3), np.uint8)
    short, long = (assemble([text], ["0"], [[cell]]).shape[1] for text in ("M", "M = 1 000 000 and more"))
    assert short < long


def test_figure_1_changes_one_scale_at_a_time(digits_backbone: VarBackbone) -> None:
    spec = get_plugins().backbones.get("var-digits")
    model = Model(spec, digits_backbone, torch.device("cpu"))
    grid = randomised(SampleConfig(candidates="1,8,8,8", scorer="likelihood"), model)
    again = randomised(SampleConfig(), model)
    assert (grid.pixels == again.pixels).all()
    scales = digits_backbone.info.scales
    pitch = (grid.pixels.shape[1] - MARGIN) // (scales + 1)
    cells = [grid.pixels[TITLE:, MARGIN + i * pitch : MARGIN + (i + 1) * pitch] for i in range(scales + 1)]
    assert all((cell != cells[0]).any() for cell in cells[1:])
