"""JSON files of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tts.errors import CheckpointError
from tts.evaluation.report.record import Record
from tts.io import write_json


def record(path: Path, content: object) -> Record:
    write_json(path, content)
    return Record.open(path, "do it anew")


def test_values_are_found_by_name(tmp_path: Path) -> None:
    found = record(tmp_path / "a.json", {"a": {"b": 1.5, "c": None, "d": True}, "e": [{"f": 2}], "g": [1, 2]})
    inner = found.part("a")
    assert (inner.number("b"), inner.number("c"), inner.number("d"), inner.text("c", "-")) == (
        1.5,
        None,
        None,
        "-",
    )
    assert [part.need("f") for part in found.parts("e")] == [2]
    assert found.numbers("g") == (1, 2)
    assert found.part("missing").values == {}


@pytest.mark.parametrize(
    ("content", "what"),
    [([], "is not a valid record .*"), ({"a": 1}, "holds no JSON object at 'a'"), ({}, "lacks 'a.b'")],
)
def test_what_is_missing_is_named_with_its_file_and_the_remedy(
    tmp_path: Path, content: object, what: str
) -> None:
    with pytest.raises(CheckpointError, match=rf"a\.json {what}; do it anew$"):
        record(tmp_path / "a.json", content).part("a").need("b")


def test_lists_must_hold_what_is_read_from_them(tmp_path: Path) -> None:
    found = record(tmp_path / "a.json", {"a": {"b": 1}, "c": ["x"]})
    for read in (lambda: list(found.parts("a")), lambda: list(found.parts("c")), lambda: found.numbers("c")):
        with pytest.raises(CheckpointError, match="do it anew"):
            read()
