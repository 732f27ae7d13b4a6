"""Which features ``auto`` is, by what both sides of a comparison are known to be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tts.backbones.presets import SPECS
from tts.errors import UsageError
from tts.evaluation.digits import SIZE
from tts.evaluation.digits_source import PARTS
from tts.evaluation.image_source import ImageSource
from tts.evaluation.references import OpenReference

DIGITS, INCEPTION = "digits", "inception"
WIDTHS = {64: DIGITS, 2048: INCEPTION}
"""Numbers of pooled features, where a file of statistics does not say whose they are."""

_OF_DIGITS = {spec.name for spec in SPECS if spec.class_names == ("0", "9")}


def choose_features(
    names: Sequence[str], sources: Sequence[ImageSource], reference: OpenReference | None
) -> tuple[str, str]:
    """The name of the features, and why; ``UsageError`` where the sides contradict each other."""
    sides = list(zip(names, sources, strict=True))
    if reference is not None and reference.source is not None:
        sides.append((f"reference {reference.text}", reference.source))
    claims = [*_by_reference(reference), *(claim for side in sides for claim in _by_images(*side))]
    wanted = {name for name, _ in claims}
    if len(wanted) > 1:
        (one, first), (other, second) = (next(c for c in claims if c[0] == name) for name in sorted(wanted))
        raise UsageError(
            f"features auto is {one}, as {first}, or {other}, as {second}; compare images of one kind,"
            " or pass --features"
        )
    for name, why in claims:
        odd = [f"{title} has {s.size}x{s.size}" for title, s in sides if name == DIGITS and s.size != SIZE]
        if odd:
            raise UsageError(
                f"features auto is {name}, as {why}, which are {SIZE}x{SIZE}, but {odd[0]}; give another"
                " --reference, or pass --features"
            )
        return name, why
    return INCEPTION, "nothing says that the images are digits"


def _by_reference(reference: OpenReference | None) -> Iterator[tuple[str, str]]:
    """What a reference is, or its stored statistics are of."""
    if reference is not None and reference.text in PARTS:
        yield DIGITS, f"reference {reference.text} are real digits"
    stored = None if reference is None else reference.stored
    if reference is None or stored is None:
        return
    width = len(stored.pool.mean)
    if stored.maker is not None:
        yield (
            str(stored.maker.get("name")),
            f"reference {reference.text} says that it is of these",
        )
    elif width in WIDTHS:
        yield WIDTHS[width], f"reference {reference.text} has statistics of {width} features"
    else:
        raise UsageError(
            f"reference {reference.text} has statistics of {width} features, which auto does not know; pass"
            " --features"
        )


def _by_images(title: str, source: ImageSource) -> Iterator[tuple[str, str]]:
    """What a set is known to show."""
    if source.backbone in _OF_DIGITS:
        yield DIGITS, f"{title} is of {source.backbone}"
