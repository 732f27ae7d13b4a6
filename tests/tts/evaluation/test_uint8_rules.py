"""Rules for pixels of compared sets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tts.evaluation.image_source import ImageSource, Pixels
from tts.evaluation.uint8_rules import uint8_remarks


class Made(ImageSource):
    """A set of which only the origin is known."""

    def __init__(self, rule: str | None, family: str | None) -> None:
        super().__init__("made", 2, 4, uint8_rule=rule, family=family)

    def portions(self, rows: range, size: int) -> Iterator[Pixels]:
        """Black images."""
        yield np.zeros((len(rows), 4, 4, 3), np.uint8)

    def sha256(self) -> str:
        """No hash."""
        return ""


def remarks(**origins: Any) -> list[str]:
    return uint8_remarks(list(origins), [Made(*origin) for origin in origins.values()])


def test_published_rules_and_unknown_ones_need_no_remark() -> None:
    assert remarks(a=("truncate", "var"), b=("truncate", "var")) == []
    assert remarks(a=("round", "flexvar")) == []
    assert remarks(a=("truncate", "var"), b=(None, None), c=(None, "var")) == []
    assert remarks(a=("round", "other"), b=("round", None)) == []


def test_another_rule_than_the_published_one_is_named() -> None:
    (found,) = remarks(a=("round", "var"))
    assert found.startswith("a has pixels by the rule round, the published figures of var are by truncate;")
    (found,) = remarks(b=("truncate", "flexvar"))
    assert "sample with --uint8 round" in found


def test_runs_that_differ_are_named() -> None:
    found = remarks(a=("truncate", "var"), b=("round", "flexvar"), c=("round", "flexvar"))
    assert found == [
        "the runs differ in the rule for their pixels (truncate in a, round in b), which shifts their figures"
    ]
    assert len(remarks(a=("truncate", "var"), b=("round", "var"))) == 2
