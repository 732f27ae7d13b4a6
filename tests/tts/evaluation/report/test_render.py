"""The HTML of a page."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tts.evaluation.report.page import (
    Block,
    Command,
    Facts,
    Figure,
    Note,
    Page,
    Picture,
    Section,
    Strip,
    Table,
    Text,
    Tile,
    Tiles,
)
from tts.evaluation.report.render import render, write_page

HOSTILE = "\"'><script>alert(1)</script><img src=http://a.example/x onerror=alert(2)>&lt;"
PIXEL = "data:image/png;base64,AAAA"
ReadPage = Callable[[Page], Any]


def everything(text: str) -> Page:
    """A page with every kind of block, whose texts are all the same."""
    picture = Picture(PIXEL, text, 480, 48, sharp=True)
    blocks: tuple[Block, ...] = (
        Tiles((Tile(text, text, text),)),
        Table(text, (text, text), ((text, text), (text, "1"))),
        Facts(text, ((text, text),)),
        *(Command(text), Text(text), Note(text), picture, Strip(text, picture)),
        Figure("one", text, text, text, picture),
        Figure(
            "two", text, text, "", Table(text, (text, "B"), ((text, "1"), (text, "2")), frozenset({(1, 1)}))
        ),
        Figure("three", text, "", "", Note(text)),
    )
    return Page(text, text, text, (Section("first", text, blocks), Section("second", text, ())))


def test_a_page_of_every_kind_of_block_stands_alone(read_page: ReadPage) -> None:
    html = read_page(everything("Words"))
    assert html.ids == ["first", "one", "two", "three", "second"]
    assert [image["src"] for image in html.images] == [PIXEL] * 3
    assert html.tables == [
        [["Words", "Words"], ["Words", "Words"], ["Words", "1"]],
        [["Words", "B"], ["Words", "1"], ["Words", "2"]],
    ]


def test_hostile_text_stays_text(read_page: ReadPage) -> None:
    html = read_page(everything(HOSTILE))
    assert html.tags.count("img") == 3
    assert html.texts.count(HOSTILE) > 15
    assert {image["alt"] for image in html.images} == {HOSTILE}


def test_the_contents_lead_to_every_section_and_figure(read_page: ReadPage) -> None:
    text = render(everything("Words"))
    contents = text[text.index("<nav") : text.index("</nav>")]
    assert re.findall(r'href="#(\w+)"', contents) == ["first", "one", "two", "three", "second"]


def test_the_page_forbids_itself_to_load_and_suits_phones_and_dark_rooms() -> None:
    text = render(everything("Words"))
    assert "default-src 'none'; img-src data:;" in text
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert '<html lang="en">' in text
    for rule in ("max-width: 100%", "overflow-x: auto", "position: sticky", "prefers-color-scheme: dark"):
        assert rule in text


def test_tables_scroll_in_boxes_that_the_keyboard_reaches() -> None:
    text = render(everything("Words"))
    assert '<div class="scroll" role="region" tabindex="0" aria-label="Words">' in text
    assert '<th scope="col">' in text
    assert '<th scope="row">' in text


def test_the_best_cells_are_brought_out_and_numbers_are_flush_right() -> None:
    text = render(everything("Words"))
    assert re.findall(r"<td.*<strong>.*</td>", text) == ['<td class="number"><strong>2</strong></td>']
    assert '<th scope="col" class="number">B</th>' in text
    assert '<td class="number">1</td>' in text


def test_equal_pages_are_equal_files_and_leave_nothing_else(tmp_path: Path) -> None:
    size = write_page(everything("Ä → ü"), tmp_path / "a.html")
    content = (tmp_path / "a.html").read_bytes()
    assert len(content) == size
    assert "Ä → ü" in content.decode()
    write_page(everything("Ä → ü"), tmp_path / "a.html")
    assert (tmp_path / "a.html").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_text_can_be_read_in_light_and_dark() -> None:
    """WCAG's contrast of 4.5 for text, on every ground that it stands on."""
    text = render(everything("Words"))
    for colours in re.findall(r":root \{([^}]*)\}", text):
        found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", colours))
        assert len(found) == 9
        for ink in ("text", "muted", "link"):
            for ground in ("page", "panel"):
                assert contrast(found[ink], found[ground]) >= 4.5, (ink, ground)
        for ground in ("mark", "note"):
            assert contrast(found["text"], found[ground]) >= 4.5, ground


def contrast(ink: str, ground: str) -> float:
    """The contrast ratio of two colours."""
    low, high = sorted(map(luminance, (ink, ground)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb``."""
    levels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in levels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
