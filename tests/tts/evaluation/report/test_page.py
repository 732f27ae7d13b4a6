"""What a page holds."""

from __future__ import annotations

from tts.evaluation.report.page import Anchors, Command, Figure, Note, Page, Picture, Section, Table


def test_anchors_are_plain_and_never_the_same_twice() -> None:
    anchors = Anchors()
    titles = ["FD by M", "FD by M", "fd-by-m-2", '"><script>', "é", "", "a" * 99]
    names = [anchors.name(title) for title in titles]
    assert names[:3] == ["fd-by-m", "fd-by-m-2", "fd-by-m-2-2"]
    assert names[3:6] == ["script", "part", "part-2"]
    assert len(set(names)) == len(names)
    assert len(names[-1]) == 48


def test_columns_of_numbers_are_told_from_columns_of_words() -> None:
    rows = (
        ("plain", "1.50 ± 0.02", "–", "1,000", "−3.0 %", "1.2 [1.1, 1.3]"),
        ("M 8", "1.2", "–", "2", "+3 %", "4"),
    )
    assert Table("x", tuple("abcdef"), rows).numeric == (False, True, True, True, True, True)
    assert Table("x", ("a", "b"), ()).numeric == (False, False)


def test_a_section_knows_its_figures_and_a_page_counts_them() -> None:
    figure = Figure("f", "F", "", "", Note("gone"))
    section = Section("a", "A", (Command("tts"), figure))
    assert section.figures == (figure,)
    assert Page("Sweep", "T", "", (section, section)).figures == 2


def test_drawings_alone_make_a_gallery() -> None:
    small, wide, grid = Picture("", "", 640, 9), Picture("", "", 641, 9), Picture("", "", 300, 9, sharp=True)

    def section(*bodies: Picture | Note) -> Section:
        return Section("a", "A", tuple(Figure("f", "F", "", "", body) for body in bodies))

    assert section(small, small).gallery
    for others in ((), (wide,), (grid,), (Note("gone"),)):
        assert not section(small, *others).gallery
    assert not Section("a", "A", (Command("tts"), *section(small, small).blocks)).gallery
