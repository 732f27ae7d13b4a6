"""How large numbers may be, on the command line as in files: above any use, and below endless work."""

from __future__ import annotations

import math
from typing import Annotated

from msgspec import Meta

from tts.errors import UsageError

ITEMS = 10_000_000
"""Images of one run."""
SHARDS = 100_000
CLASSES = 100_000
SIDE = 1024
"""Side of a scale's map of tokens."""
SCALES = 64
CANDIDATES = 4096
WIDTH = 1 << 16
"""Channels of a layer."""
LAYERS = 256
CODES = 1 << 24
SEED = (1 << 63) - 1

Count = Annotated[int, Meta(ge=0, le=1 << 53)]
Items = Annotated[int, Meta(ge=1, le=ITEMS)]
Seed = Annotated[int, Meta(ge=0, le=SEED)]
Side = Annotated[int, Meta(ge=1, le=SIDE)]
Width = Annotated[int, Meta(ge=1, le=WIDTH)]
Classes = Annotated[int, Meta(ge=1, le=CLASSES)]
Codes = Annotated[int, Meta(ge=1, le=CODES)]
Schedule = Annotated[tuple[Side, ...], Meta(min_length=1, max_length=SCALES)]
Candidates = Annotated[int, Meta(ge=1, le=CANDIDATES)]
Scales = Annotated[int, Meta(ge=1, le=SCALES)]
Layers = Annotated[int, Meta(ge=1, le=LAYERS)]
Widths = Annotated[tuple[Width, ...], Meta(min_length=1, max_length=LAYERS)]
Multipliers = Annotated[tuple[Annotated[int, Meta(ge=1, le=64)], ...], Meta(min_length=1, max_length=10)]
Share = Annotated[float, Meta(ge=0, lt=1)]
Positive = Annotated[float, Meta(gt=0)]

NUMBERS: dict[str, tuple[float, float]] = {
    "accumulate": (1, 1 << 20),
    "batch": (1, 1 << 20),
    "batch_size": (1, 1 << 20),
    "bootstrap": (0, 1_000_000),
    "cfg": (0, 10_000),
    "checkpoint_steps": (1, 1 << 40),
    "chunk": (1, CANDIDATES),
    "epoch_pairs": (1, 1 << 40),
    "epochs": (1, 1_000_000),
    "learning_rate": (0, 1),
    "max_candidates": (1, CANDIDATES),
    "max_overhead": (0, 1_000_000),
    "min_images": (2, ITEMS),
    "neighbours": (1, 10_000),
    "patience": (1, 1_000_000),
    "per_class": (1, 100_000),
    "rounds": (1, 10_000),
    "score_memory": (1, 1 << 24),
    "seed": (0, SEED),
    "split": (1, ITEMS),
    "temperature": (0, 1_000_000),
    "threads": (1, 4096),
    "time": (1, 10_000),
    "time_images": (1, ITEMS),
    "top_k": (0, CODES),
    "top_k_select": (1, CANDIDATES),
    "top_p": (0, 1),
    "workers": (0, 1024),
}
"""The least and the most of the fields of configurations, whichever of them has a field of that name."""


FRACTIONS = ("cfg", "learning_rate", "max_overhead", "temperature", "top_p")
"""Those of them that need not be whole."""


def check_numbers(config: object, **remarks: str) -> None:
    """Refuse the fields of a configuration that are out of their ranges, or no finite numbers.

    A keyword is a remark for a field that is below its range, such as its default.
    """
    for name in NUMBERS:
        check_number(name, getattr(config, name, None), remarks.get(name, ""))


def check_number(field: str, value: object, remark: str = "") -> None:
    """Refuse a value of a field that is no number or out of range; ``None`` is a default."""
    if field not in NUMBERS or value is None:
        return
    low, high = NUMBERS[field]
    name = OPTIONS.get(field, field.replace("_", "-"))
    if isinstance(value, float) and field in FRACTIONS:
        right = math.isfinite(value)
    else:
        right = isinstance(value, int) and not isinstance(value, bool)
    if not right or not isinstance(value, int | float):
        kind = "a number" if field in FRACTIONS else "a whole number"
        raise UsageError(f"{name} {brief(value)} must be {kind} from {low} to {high}")
    if value < low:
        raise UsageError(f"{name} {brief(value)} must be at least {low}{remark and '; '}{remark}")
    if value > high:
        raise UsageError(f"{name} {brief(value)} must be at most {high}")


def check_texts(config: object) -> None:
    """Refuse empty texts among the values of a configuration, as of a shell's variable that is not set."""
    for name, value in vars(config).items():
        if value in ("", ()) and name != "weights":
            raise UsageError(f"{name.replace('_', '-')} is empty; give a value or leave it out")


OPTIONS = {"learning_rate": "lr"}
"""Fields whose option has a name of its own."""


def brief(value: object) -> str:
    """A value for a message, however long it is."""
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}... of {len(text)} characters"


def flat(value: object) -> str:
    """The same of a value whose text may have several lines, as that of an array."""
    return brief(" ".join(str(value).split()))


def whole(text: str) -> int | None:
    """A whole number from decimal digits, or ``None``; one beyond all bounds comes as ``BEYOND``."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal()):  # int() reads the digits of every script
        return None
    return int(digits) if len(digits) <= 30 else BEYOND


BEYOND = 10**30
"""Larger than any number that is taken."""
