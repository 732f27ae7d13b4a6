"""How plots are drawn and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tts.evaluation.sweep.curves import Curve
from tts.evaluation.sweep.drawing import Plot, draw_curves, draw_plain, finish, panels, powers_of_two, style
from tts.evaluation.sweep.measures import Names
from tts.evaluation.sweep.reading import ResultPoint

mpl = pytest.importorskip("matplotlib")
FID = Names("FD").fid


def point(*fids: float) -> ResultPoint:
    setting: Any = None
    return ResultPoint("id", "label", setting, {i: {"fid": fid} for i, fid in enumerate(fids)})


def drawn() -> Plot:
    curve = Curve("greedy", (point(2.0, 3.0), point(1.0, 1.5)), (1, 2))
    with style():
        figure, (axes,) = panels(1)
        draw_curves(axes, [curve], FID)
        draw_plain(axes, curve.points[0], FID)
        powers_of_two(axes, curve.x)
        finish(figure, [axes])
    return Plot("m", "By M", "Caption.", None, figure)


def test_a_line_has_means_and_error_bars() -> None:
    axes = drawn().figure.axes[0]
    line, _, (bars,) = axes.containers[0].lines
    assert line.get_xydata().tolist() == [[1, 2.5], [2, 1.25]]
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends[0] == pytest.approx([2.5 - 0.5**0.5, 2.5 + 0.5**0.5])


def test_the_plain_model_is_a_dashed_line() -> None:
    dashed = [line for line in drawn().figure.axes[0].lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in dashed] == [2.5]


def test_ticks_are_the_values() -> None:
    axes = drawn().figure.axes[0]
    assert axes.get_xscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2"]


def test_the_legend_names_every_line_once_the_dashed_one_last() -> None:
    (legend,) = drawn().figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["greedy", "plain"]


def test_points_without_the_figure_are_left_out() -> None:
    setting: Any = None
    empty = ResultPoint("id", "label", setting, {0: {}})
    with style():
        _, (axes,) = panels(1)
        draw_curves(axes, [Curve("a", (point(1.0), empty), (1, 2)), Curve("b", (empty,), (1,))], FID)
        draw_plain(axes, None, FID)
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[1, 1]]]


def test_equal_plots_make_equal_files(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        drawn().write(tmp_path / folder)
    for name in ("m.svg", "m.png"):
        assert (tmp_path / "a" / "plots" / name).read_bytes() == (
            tmp_path / "b" / "plots" / name
        ).read_bytes()
    assert b"dc:date" not in (tmp_path / "a" / "plots" / "m.svg").read_bytes()
    with Image.open(tmp_path / "a" / "plots" / "m.png") as image:
        assert image.width == 900


def test_no_state_of_matplotlib_is_changed() -> None:
    before = dict(mpl.rcParams)
    drawn()
    assert dict(mpl.rcParams) == before
