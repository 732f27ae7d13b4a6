"""All points in one table."""

from __future__ import annotations

from typing import Any

from tts.evaluation.sweep.overview import overview
from tts.evaluation.sweep.reading import read_results

GREEDY = {"scorer": "learned", "selector": "greedy", "start_scale": 2, "end_scale": 4}


def test_every_point_has_its_figures_and_costs(sweep: Any) -> None:
    sweep.add(0, 1)
    sweep.add(0, candidates="8", **GREEDY)
    table = overview(read_results(sweep.write()))
    rows = [dict(zip(table.header, row, strict=True)) for row in table.rows]
    assert [row["SETS"] for row in rows] == ["2", "1"]
    assert [row["PASSES"] for row in rows] == ["4", "4"]
    assert [row["SCORED"] for row in rows] == ["0", "24"]
    point = read_results(sweep.folder).points[0]
    assert rows[0]["FD ↓"] == f"{point.mean('fid'):.2f} ± {point.spread('fid'):.2f}"
    assert "±" not in rows[1]["FD ↓"]
    assert "JUDGED" not in table.header


def test_columns_without_figures_are_left_out(sweep: Any) -> None:
    sweep.title = "FID"
    id_ = sweep.add(0)
    sweep.points[id_]["sets"]["0"]["figures"]["precision"] = None
    header = overview(read_results(sweep.write())).header
    assert "PRECISION ↑" not in header
    assert {"FID ↓", "sFID ↓", "RECALL ↑"} <= set(header)
