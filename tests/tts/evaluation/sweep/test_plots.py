"""The plots of a sweep carry the data of its points."""

from __future__ import annotations

from typing import Any

import pytest

from tts.evaluation.sweep.curves import Curve
from tts.evaluation.sweep.drawing import Plot, style
from tts.evaluation.sweep.plots import all_plots
from tts.evaluation.sweep.reading import read_results
from tts.evaluation.sweep.sheet import Sheet

pytest.importorskip("matplotlib")
GREEDY = {"scorer": "learned", "selector": "greedy", "start_scale": 2, "end_scale": 4}


def plots(sweep: Any) -> dict[str, Plot]:
    with style():
        found = list(all_plots(Sheet(read_results(sweep.write()))))
    assert len({plot.name for plot in found}) == len(found)
    return {plot.name: plot for plot in found}


def lines(axes: Any) -> dict[str, list[list[float]]]:
    """The points of each named line with error bars."""
    return {bar.get_label(): bar.lines[0].get_xydata().tolist() for bar in axes.containers}


def data(curve: Curve, key: str, factor: float = 1) -> list[list[float]]:
    return [[x, factor * (p.mean(key) or 0)] for x, p in zip(curve.x, curve.points, strict=True)]


def test_a_full_sweep_has_all_plots(full_sweep: Any) -> None:
    found = plots(full_sweep)
    assert list(found) == ["m", "st", "scorers-m", "k", "cost", "parts", "compute", "cfg"]
    assert all(plot.caption.endswith(".") and "\n" not in plot.caption for plot in found.values())


def test_m_has_a_line_a_selector_in_both_panels(full_sweep: Any) -> None:
    axes = plots(full_sweep)["m"].figure.axes
    sheet = Sheet(read_results(full_sweep.folder))
    for one, key, factor in ((axes[0], "fid", 1), (axes[1], "accuracy", 100)):
        expected = {curve.name: data(curve, key, factor) for curve in sheet.curves.selectors()}
        found = lines(one)
        assert set(found) == set(expected)
        assert all(found[name] == [pytest.approx(p) for p in points] for name, points in expected.items())
        assert one.get_xscale() == "log"
    plain = sheet.curves.plain
    assert plain is not None
    dashed = [line for line in axes[0].lines if line.get_linestyle() == "--"]
    assert dashed[0].get_ydata()[0] == pytest.approx(plain.mean("fid"))


def test_st_has_a_line_an_m(full_sweep: Any) -> None:
    found = lines(plots(full_sweep)["st"].figure.axes[0])
    assert set(found) == {"M = 2", "M = 4", "M = 8", "M = 32"}
    assert [x for x, _ in found["M = 32"]] == [1, 2, 3, 4]


def test_k_has_a_line_an_m(full_sweep: Any) -> None:
    found = lines(plots(full_sweep)["k"].figure.axes[0])
    assert [x for x, _ in found["M = 64"]] == [1, 2, 4, 8, 16]


def test_cost_has_seconds_and_memory_of_both_strategies(full_sweep: Any) -> None:
    seconds, memory = plots(full_sweep)["cost"].figure.axes
    sheet = Sheet(read_results(full_sweep.folder))
    curve = sheet.curves.by_candidates()
    assert set(lines(seconds)) == {"LSRS", "best of N"}
    assert lines(seconds)["LSRS"] == [pytest.approx(p) for p in data(curve, "seconds_per_1000")]
    assert lines(memory)["LSRS"] == [pytest.approx(p) for p in data(curve, "peak_mib")]


def test_unknown_memory_has_no_panel(sweep: Any) -> None:
    for id_ in (sweep.add(), sweep.add(candidates="2", **GREEDY)):
        for one in sweep.points[id_]["sets"].values():
            one["cost"]["peak_bytes"] = None
    assert len(plots(sweep)["cost"].figure.axes) == 1


def test_the_bars_of_the_parts_add_up_to_the_distance(full_sweep: Any) -> None:
    upper, lower = plots(full_sweep)["parts"].figure.axes
    points = Sheet(read_results(full_sweep.folder)).curves.by_candidates().points
    trace, mean = upper.containers
    assert [bar.get_height() for bar in trace] == pytest.approx([p.mean("trace_term") for p in points])
    tops = [bar.get_y() + bar.get_height() for bar in mean]
    assert tops == pytest.approx([p.mean("fid") for p in points])
    line = lower.containers[0].lines[0]
    assert line.get_ydata().tolist() == pytest.approx([p.mean("trace_samples") for p in points])


def test_compute_is_drawn_by_time_and_by_passes(full_sweep: Any) -> None:
    seconds, passes = plots(full_sweep)["compute"].figure.axes
    curve = Sheet(read_results(full_sweep.folder)).curves.by_candidates()
    expected = [[p.mean("seconds_per_1000"), p.mean("fid")] for p in curve.points]
    assert lines(seconds)["LSRS"] == [pytest.approx(p) for p in expected]
    assert {x for x, _ in lines(passes)["LSRS"]} == {4}
    assert [x for x, _ in lines(passes)["best of N"]] == [4, 8, 16, 32]
    assert {text.get_text() for text in seconds.texts} == {"1", "2", "4", "8", "16", "32", "64"}


def test_one_strategy_is_drawn_by_time_only(sweep: Any) -> None:
    sweep.add()
    sweep.add(candidates="2", **GREEDY)
    assert len(plots(sweep)["compute"].figure.axes) == 1


def test_guidance_has_a_line_a_method(full_sweep: Any) -> None:
    found = lines(plots(full_sweep)["cfg"].figure.axes[0])
    assert {name: [x for x, _ in points] for name, points in found.items()} == {
        "plain": [0, 1.5, 3],
        "M = 8": [0, 1.5, 3],
    }


def test_features_that_know_no_labels_are_drawn_with_the_inception_score(sweep: Any) -> None:
    sweep.title = "FID"
    for id_ in (sweep.add(), sweep.add(candidates="2", **GREEDY)):
        for one in sweep.points[id_]["sets"].values():
            one["figures"]["accuracy"] = None
    axes = plots(sweep)["m"].figure.axes
    assert [one.get_title("left") for one in axes] == ["FID, lower is better", "IS, higher is better"]


def test_a_single_point_has_no_plots(sweep: Any) -> None:
    sweep.add()
    assert plots(sweep) == {}
