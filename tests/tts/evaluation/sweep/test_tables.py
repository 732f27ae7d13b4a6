"""Tables as text and as Markdown."""

from __future__ import annotations

from typing import Any

from tts.evaluation.sweep.measures import ACCURACY, PASSES, SECONDS, Names
from tts.evaluation.sweep.reading import ResultPoint
from tts.evaluation.sweep.tables import NOTHING, Column, best_rows, make_table

FID = Names("FD").fid


def point(**values: float) -> ResultPoint:
    """A point with the same figures in one seed set; nothing reads its setting."""
    setting: Any = None
    return ResultPoint("id", "label", setting, {0: values})


def test_a_column_holds_the_figures_with_the_best_marked() -> None:
    column = Column.of(FID, [point(fid=2.4), point(fid=0.79), None, point(accuracy=0.5)])
    assert column.title == "FD ↓"
    assert column.texts == ("2.400", "0.790", NOTHING, NOTHING)
    assert column.best == (1,)


def test_higher_is_better_where_the_measure_says_so() -> None:
    column = Column.of(ACCURACY, [point(accuracy=0.85), point(accuracy=0.964)], "greedy:")
    assert column.title == "greedy: accuracy (%) ↑"
    assert column.texts == ("85.0", "96.4")
    assert column.best == (1,)


def test_equal_values_as_written_are_equally_good() -> None:
    assert Column.of(FID, [point(fid=1.2001), point(fid=1.2), point(fid=2.0)]).best == (0, 1)
    assert Column.of(FID, [point(fid=1.2001), point(fid=1.2)]).best == ()


def test_nothing_is_best_of_costs_or_of_a_single_row() -> None:
    assert Column.of(SECONDS, [point(seconds_per_1000=1), point(seconds_per_1000=2)]).best == ()
    assert best_rows(FID, [None, 1.0]) == ()


def test_counts_are_written_as_they_are() -> None:
    texts = Column.of(
        PASSES, [point(transformer_passes_per_image=4), point(transformer_passes_per_image=4.5)]
    ).texts
    assert texts == ("4", "4.5")


def test_columns_without_figures_are_left_out() -> None:
    rows = [point(fid=1.0), point(fid=2.0)]
    columns = [Column("M", (NOTHING, NOTHING)), Column.of(ACCURACY, rows), Column.of(FID, rows)]
    table = make_table("m", "By M", "Caption.", "table 5", columns)
    assert table.header == ("M", "FD ↓")
    assert table.rows == ((NOTHING, "1.00"), (NOTHING, "2.00"))
    assert table.best == ((0, 1),)


def test_markdown_has_the_best_in_bold_and_escapes_bars(tmp_path: Any) -> None:
    columns = [Column("M", ("1", "2 | 4")), Column.of(FID, [point(fid=1.0), point(fid=2.0)])]
    table = make_table("m", "By M", "Caption.", None, columns)
    text = table.write(tmp_path).read_text()
    assert (tmp_path / "tables" / "m.md").is_file()
    assert text.splitlines() == [
        *("### By M", "", "| M | FD ↓ |", "| --- | ---: |"),
        *("| 1 | **1.00** |", "| 2 \\| 4 | 2.00 |", "", "Caption."),
    ]
