"""Whether compared images were rounded to eight bits by the same rule, and by the one of their publishers."""

from __future__ import annotations

from collections.abc import Sequence

from tts.evaluation.image_source import ImageSource

PUBLISHED = {"var": "truncate", "flexvar": "round"}
"""The rule by which each family's published figures were made."""


def uint8_remarks(names: Sequence[str], sources: Sequence[ImageSource]) -> list[str]:
    """What to warn of; nothing of images whose rule is not recorded."""
    remarks = []
    known: dict[str, str] = {}
    for name, source in zip(names, sources, strict=True):
        if source.uint8_rule is None:
            continue
        known.setdefault(source.uint8_rule, name)
        published = PUBLISHED.get(source.family or "")
        if published not in (None, source.uint8_rule):
            remarks.append(
                f"{name} has pixels by the rule {source.uint8_rule}, the published figures of {source.family}"
                f" are by {published}; sample with --uint8 {published} to compare with them"
            )
    if len(known) > 1:
        used = ", ".join(f"{rule} in {name}" for rule, name in known.items())
        remarks.append(f"the runs differ in the rule for their pixels ({used}), which shifts their figures")
    return remarks
