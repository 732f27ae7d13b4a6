"""The paper's tables: each holds the numbers of the results, and appears only with its points."""

from __future__ import annotations

from typing import Any

import pytest

from tts.evaluation.sweep.paper_tables import paper_tables
from tts.evaluation.sweep.reading import Results, read_results
from tts.evaluation.sweep.scorer_analysis import Analysis, Judged, Judgement
from tts.evaluation.sweep.sheet import Sheet
from tts.evaluation.sweep.tables import Table
from tts.scorers.report import ScoreGap

GREEDY = {"scorer": "learned", "selector": "greedy", "start_scale": 2, "end_scale": 4}


def tables(sweep: Any, analysis: Analysis | None = None) -> dict[str, Table]:
    found = list(paper_tables(Sheet(read_results(sweep.write()), analysis)))
    assert len({table.name for table in found}) == len(found)
    return {table.name: table for table in found}


def judged(text: str, accuracy: tuple[float, ...], scales: tuple[int, ...], loss: str) -> Judged:
    gap = ScoreGap(1.0, 0.0, 1.0, 0.5)
    judgement = Judgement(accuracy, (0.5,) * 4, (0.5,) * 4, gap, (0.0, 1.0), (1,), (1,))
    return Judged(text, text, f"{text}.safetensors", "fa" * 32, 246_000, loss, scales, judgement)


@pytest.fixture
def analysis() -> Analysis:
    """Two scorers, the second of which was trained without the first scale."""
    scorers = (
        judged("learned", (0.5, 0.95, 0.99, 1.0), (1, 2, 3, 4), "pairwise"),
        judged("runs/pointwise/scorer.safetensors", (0.4, 0.94, 0.99, 0.98), (2, 3, 4), "pointwise"),
    )
    return Analysis("var-digits", 2_010_000_000, "heldout", 364, 1092, ("learned",), scorers)


def means(results: Results, key: str, **wanted: Any) -> list[float]:
    """Means of the points with given settings, by M."""
    points = [
        p for p in results.points if all(getattr(p.setting, name) == value for name, value in wanted.items())
    ]
    return [float(p.mean(key) or 0) for p in sorted(points, key=lambda p: p.candidates or 0)]


def column(table: Table, title: str) -> list[str]:
    return [row[table.header.index(title)] for row in table.rows]


def numbers(table: Table, title: str) -> list[float]:
    return [float(text.split(" ± ")[0]) for text in column(table, title)]


def test_every_table_of_the_paper_is_made(full_sweep: Any, analysis: Analysis) -> None:
    found = tables(full_sweep, analysis)
    papers = [table.paper for table in found.values()]
    assert papers == [
        *("tables 1 and 4", "table 2", "table 3", "table 5", "table 6", "table 7"),
        *("tables 8 and 9", "table 10", "figure 6"),
    ]
    for table in found.values():
        assert "\n" not in table.caption
        assert all(len(row) == len(table.header) for row in table.rows)


def test_m_has_the_means_of_its_points(full_sweep: Any) -> None:
    table = tables(full_sweep)["m"]
    results = read_results(full_sweep.folder)
    chosen = means(results, "fid", selector="greedy", scorer="learned", start_scale=2, cfg=1.5)
    plain = means(results, "fid", candidates="1", cfg=1.5)
    assert table.header[:4] == ("M", "FD ↓", "sFD ↓", "IS ↑")
    assert column(table, "M") == ["1 (plain)", "2", "4", "8", "16", "32", "64"]
    assert numbers(table, "FD ↓") == pytest.approx(plain + chosen, abs=0.00501)
    assert (5, 1) in table.best  # M = 32 is made to be the best
    assert "3 seed sets of 1 000 images" in table.caption


def test_the_main_table_has_parameters_steps_and_relative_time(full_sweep: Any, analysis: Analysis) -> None:
    table = tables(full_sweep, analysis)["main"]
    results = read_results(full_sweep.folder)
    seconds = means(results, "seconds", candidates="1", cfg=1.5)
    seconds += means(results, "seconds", selector="greedy", scorer="learned", start_scale=2, cfg=1.5)
    assert column(table, "model")[:2] == ["var-digits", "+ LSRS M = 2"]
    assert column(table, "parameters")[:2] == ["2.01B", "2.01B + 246k"]
    assert set(column(table, "steps")) == {"4"}
    assert numbers(table, "time") == pytest.approx([each / seconds[0] for each in seconds], abs=0.00501)


def test_unknown_parameters_are_left_out(full_sweep: Any) -> None:
    assert "parameters" not in tables(full_sweep)["main"].header


def test_scorers_stand_side_by_side_with_their_losses(full_sweep: Any, analysis: Analysis) -> None:
    table = tables(full_sweep, analysis)["losses"]
    assert table.header == (
        *("M", "learned (pairwise): FD ↓", "learned (pairwise): IS ↑", "learned (pairwise): sFD ↓"),
        *("pointwise: FD ↓", "pointwise: IS ↑", "pointwise: sFD ↓"),
    )
    assert column(table, "M") == ["1 (plain)", "2", "4", "8", "16", "32", "64"]


def test_the_first_scale_is_compared_with_the_plain_model(sweep: Any) -> None:
    sweep.add(0)
    for m, fid in (("2", 2.33), ("4", 2.80)):
        id_ = sweep.add(0, candidates=m, **{**GREEDY, "start_scale": 1})
        sweep.points[id_]["sets"]["0"]["figures"]["fid"] = fid
    sweep.add(candidates="2", **GREEDY)
    sweep.points["point-0"]["sets"]["0"]["figures"]["fid"] = 2.45
    table = tables(sweep)["first-scale"]
    assert numbers(table, "FD ↓") == [2.45, 2.33, 2.80]
    assert column(table, "against plain") == ["–", "−0.12", "+0.35"]


def test_st_is_taken_at_the_m_with_the_most_of_it(full_sweep: Any) -> None:
    table = tables(full_sweep)["st"]
    assert table.title == "ST at M = 32"
    assert column(table, "ST") == ["plain", "1", "2", "3", "4"]


def test_of_several_m_with_equal_starts_the_largest_is_taken(sweep: Any) -> None:
    for m in ("32", "8"):
        for start in (2, 3):
            sweep.add(candidates=m, **{**GREEDY, "start_scale": start})
    assert tables(sweep)["st"].title == "ST at M = 32"


def test_the_parts_add_up_to_the_distance(full_sweep: Any) -> None:
    table = tables(full_sweep)["parts"]
    added = zip(numbers(table, "‖μr − μg‖² ↓"), numbers(table, "trace term ↓"), strict=True)
    assert [a + b for a, b in added] == pytest.approx(numbers(table, "FD ↓"), abs=0.002)
    assert "Tr(Σr) = " in table.caption


def test_each_m_of_top_k_has_a_table(sweep: Any) -> None:
    for m in ("32", "64"):
        sweep.add(candidates=m, **GREEDY)
        for k in (2, 4):
            sweep.add(candidates=m, **{**GREEDY, "selector": "topk", "temperature": 1.0, "top_k_select": k})
    found = tables(sweep)
    for m in ("32", "64"):
        assert column(found[f"top-k-m{m}"], "k") == ["1", "2", "4"]


def test_accuracy_by_scale_leaves_out_what_was_not_trained(full_sweep: Any, analysis: Analysis) -> None:
    table = tables(full_sweep, analysis)["scorers"]
    assert column(table, "learned (%)") == ["50.0", "95.0", "99.0", "100.0"]
    assert column(table, "runs/pointwise/scorer.safetensors (%)") == ["–", "94.0", "99.0", "98.0"]
    assert column(table, "change") == ["–", "−1.0", "+0.0", "−2.0"]


def test_figures_without_labels_leave_accuracy_out(sweep: Any) -> None:
    for id_ in (sweep.add(), sweep.add(candidates="2", **GREEDY)):
        for one in sweep.points[id_]["sets"].values():
            one["figures"]["accuracy"] = None
    assert "accuracy (%) ↑" not in tables(sweep)["m"].header


def test_one_seed_set_has_no_spread_and_says_so(sweep: Any) -> None:
    sweep.add(0)
    sweep.add(0, candidates="2", **GREEDY)
    table = tables(sweep)["m"]
    assert all("±" not in text for text in column(table, "FD ↓"))
    assert "one set of 1 000 images" in table.caption


def test_a_single_point_makes_no_table_of_the_paper(sweep: Any) -> None:
    sweep.add()
    assert tables(sweep) == {}
