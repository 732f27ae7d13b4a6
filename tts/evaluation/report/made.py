"""The section that every page ends with: how the result was made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tts.evaluation.report.page import Anchors, Block, Command, Facts, Section, Text
from tts.evaluation.report.values import NONE, flat

TITLE = "How it was made"


def how_made(
    anchors: Anchors, command: str, remark: str, groups: Iterable[tuple[str, Mapping[str, Any]]]
) -> Section:
    """A command with a remark on it, then settings, versions and hashes in titled groups.

    What is not set, and groups without anything that is, are left out.
    """
    blocks: list[Block] = [Text(remark), Command(command)] if command else []
    for name, values in groups:
        pairs = tuple((key, value) for key, value in flat(values) if value != NONE)
        blocks += [Facts(name, pairs)] if pairs else []
    return Section(anchors.name(TITLE), TITLE, tuple(blocks))
