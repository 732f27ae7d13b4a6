"""Frozen settings of a run, and how they are read from text. Imports no torch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tts.errors import UsageError
from tts.limits import CANDIDATES, SCALES, SIDE, brief, check_number, whole
from tts.noise_streams import Stream
from tts.specs import BackboneOptions, BackboneSpec, Guidance, Schedule

FIRST_SELECTED = 2
"""The paper's ST: the first scale is one token that acts as a bias, and selecting it costs diversity."""

LSRS, BEST_OF_N = "lsrs", "best-of-n"
"""Strategies: choosing among the maps of a scale (Algorithm 1), or among whole images (VAR-d30-re)."""

EXACT, FAST = "exact", "fast"
"""Samplers: the published filter over all codes and the network as it was trained, or less work for the same
distribution and, but for rounding, the same scores."""

DTYPE_NAMES = {
    "float32": ("fp32", "float", "f32", "single"),
    "bfloat16": ("bf16",),
    "float16": ("fp16", "half", "f16"),
}
"""Types of weights and activations, each with what else it is called."""

MAX_VALUES = 1_000_000
"""More numbers than this in one range are a slip of the finger."""


@dataclass(frozen=True)
class SearchSettings:
    """How one batch is generated.

    ``candidates`` holds m_1..m_K of Algorithm 1, ``whole_images`` the N of best-of-N. ``cfg`` is in the
    convention of the guidance form in use; ``top_k`` and ``top_p`` are off at 0. ``chunk_bytes`` bounds the
    memory of candidates that are scored at once; ``chunk`` fixes their number for each image instead.
    ``trace`` keeps all scores; without ``decode`` no images are made. ``sampler`` is ``exact`` or ``fast``,
    and ``compiled`` says whether the noise of the fast one is, which changes no number.
    """

    candidates: tuple[int, ...]
    cfg: float
    top_k: int
    top_p: float
    stream: Stream = Stream.SAMPLE
    chunk_bytes: int = 512 * 2**20
    chunk: int | None = None
    trace: bool = False
    decode: bool = True
    whole_images: int = 1
    sampler: str = EXACT
    compiled: bool = False

    def __post_init__(self) -> None:
        """Refuse values that no search can be made with."""
        check_candidates(self.candidates)
        for name in ("cfg", "top_k", "top_p", "chunk"):
            check_number(name, getattr(self, name))
        for name in ("chunk_bytes", "whole_images"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise UsageError(f"{name} {brief(value)} must be a whole number of at least 1")
        if not isinstance(self.stream, Stream):
            raise UsageError(f"stream {brief(self.stream)} must be Stream.SAMPLE or Stream.COLLECT")
        check_sampler(self.sampler)


def dtype_name(text: str, what: str = "dtype") -> str:
    """The name of a type in ``DTYPE_NAMES``, however it is written: ``bf16``, ``torch.float16``, ``FP32``."""
    plain = text.strip().lower().removeprefix("torch.")
    for name, others in DTYPE_NAMES.items():
        if plain in (name, *others):
            return name
    raise UsageError(f"unknown {what} {text!r}; use {', '.join(DTYPE_NAMES)}")


@dataclass(frozen=True)
class Choices:
    """What the command line says of a backbone, as text; ``None`` means its default."""

    schedule: str | None = None
    guidance: str | None = None
    sample_all_scales: bool = False
    part: str | None = None


def check_candidates(candidates: Sequence[int]) -> None:
    """Refuse what are no numbers of candidates m_1..m_K."""
    if not isinstance(candidates, tuple | list):
        raise UsageError(
            f"candidates must be a number for each scale, like (1, 8, 8, 8), got {candidates!r:.80}"
        )
    for count in candidates:
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= CANDIDATES:
            raise UsageError(
                f"candidates must be whole numbers from 1 to {CANDIDATES}, got {brief(count)};"
                " 1 switches selection off"
            )


def choose_options(spec: BackboneSpec, choices: Choices) -> BackboneOptions:
    """The options of a backbone; refuses what its spec does not offer."""
    return BackboneOptions(
        _choose_schedule(spec, choices.schedule),
        _choose_guidance(spec, choices.guidance),
        choices.sample_all_scales,
        choices.part,
    )


def _choose_schedule(spec: BackboneSpec, text: str | None) -> Schedule | None:
    if text is None:
        return None
    sides = parse_schedule(text, spec.schedules, spec.max_side)
    if spec.max_side is None and sides != spec.schedule:
        fixed = ",".join(map(str, spec.schedule))
        raise UsageError(f"{spec.name} has the fixed schedule {fixed}, got {text}; leave --schedule out")
    return sides


def _choose_guidance(spec: BackboneSpec, name: str | None) -> Guidance | None:
    if name is None:
        return None
    known = {form.name: form for form in spec.guidance}
    if name not in known:
        raise UsageError(f"unknown guidance {name!r}; {spec.name} has {', '.join(known)}")
    return known[name]


def check_sampling(cfg: float, top_k: int, top_p: float, guidance: Guidance) -> None:
    """Refuse guidance and filters out of range."""
    if not (math.isfinite(cfg) and cfg >= 0):
        raise UsageError(
            f"cfg {cfg} must be a number of at least 0;"
            f" {guidance.off:g} switches {guidance.name} guidance off"
        )
    if top_k < 0 or not 0 <= top_p <= 1:
        raise UsageError(
            f"top-k {top_k} must be at least 0 and top-p {top_p} from 0 to 1; 0 switches either off"
        )


def check_sampler(name: str, compile_parts: bool | None = None) -> None:
    """Refuse unknown samplers, and to compile the exact one."""
    if name not in (EXACT, FAST):
        raise UsageError(f"unknown sampler {name!r}; use {EXACT} or {FAST}")
    if compile_parts and name != FAST:
        raise UsageError(f"--compile does not go with --sampler {name}; pass --sampler {FAST}")


def parse_range(text: str, what: str, below: int | None = None) -> tuple[int, ...]:
    """Whole numbers from text like ``0-9,12``; ``below`` is an exclusive upper bound."""
    values: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        low, high = whole(first), whole(last if dash else first)
        if low is None or high is None:
            raise UsageError(f"{what} {brief(text)!r} is not a list of whole numbers; write it like 0-9,12")
        if high < low:
            raise UsageError(f"{what} {part!r} runs backwards; write {high}-{low}")
        if high >= 2**63:
            raise UsageError(f"{what} {brief(part)} is too large; it must be below 2^63")
        if below is not None and high >= below:
            raise UsageError(f"{what} {high} is out of range; this backbone has 0 to {below - 1}")
        if len(values) + high - low >= MAX_VALUES:
            raise UsageError(
                f"{what} {brief(part)!r} names {high - low + 1} numbers; {MAX_VALUES} in all are the most"
            )
        values.extend(range(low, high + 1))
    if len(set(values)) != len(values):
        raise UsageError(f"{what} {text!r} names a number twice; name each once")
    return tuple(values)


def plan_candidates(
    text: str, start_scale: int | None, end_scale: int | None, scales: int
) -> tuple[int, ...]:
    """m_1..m_K from ``--candidates`` (one number, or one for each scale) and scales counted from 1.

    One number M gives M candidates at scales ``start_scale`` (2) to ``end_scale`` (the last) and one
    elsewhere (the paper's M and ST, section 4).
    """
    numbers = tuple(whole(part) or 0 for part in text.split(","))
    if min(numbers) < 1:
        raise UsageError(
            f"candidates {brief(text)!r} must be whole numbers of at least 1; 1 switches selection off"
        )
    if max(numbers) > CANDIDATES:
        raise UsageError(f"candidates {brief(text)!r} must be at most {CANDIDATES}")
    if len(numbers) > 1:
        if len(numbers) != scales:
            raise UsageError(
                f"candidates has {len(numbers)} numbers, the backbone {scales} scales; give one each"
            )
        if start_scale is not None or end_scale is not None:
            raise UsageError(
                f"candidates {text!r} says it for every scale; leave --start-scale and --end-scale out"
            )
        return numbers
    first = FIRST_SELECTED if start_scale is None else start_scale
    last = scales if end_scale is None else end_scale
    for name, value in (("start-scale", first), ("end-scale", last)):
        if not 1 <= value <= scales:
            raise UsageError(f"{name} {value} is out of range; this backbone has scales 1 to {scales}")
    if last < first:
        raise UsageError(f"end-scale {last} is before start-scale {first}; swap them")
    return tuple(numbers[0] if first <= k <= last else 1 for k in range(1, scales + 1))


def parse_whole_images(text: str) -> int:
    """N of best-of-N from ``--candidates``."""
    number = whole(text)
    if not number:
        raise UsageError(
            f"candidates {brief(text)!r} must be one whole number of at least 1 with --strategy {BEST_OF_N}:"
            " the images to choose from"
        )
    if number > CANDIDATES:
        raise UsageError(f"candidates {brief(text)!r} must be at most {CANDIDATES}")
    return number


def parse_scales(text: str, scales: int) -> tuple[int, ...]:
    """Zero-based scale indices from text counting from 1: ``2-`` (from the second on), ``2-5``, ``1,3``."""
    first = whole(text[:-1]) if text.endswith("-") else None
    if first is not None:
        text += str(max(scales, first))
    chosen = parse_range(text, "scale")
    for scale in chosen:
        if not 1 <= scale <= scales:
            raise UsageError(f"scale {scale} is out of range; this backbone has scales 1 to {scales}")
    return tuple(scale - 1 for scale in chosen)


def parse_schedule(
    text: str, named: Mapping[str, Schedule] | None = None, limit: int | None = None
) -> Schedule:
    """Sides of the scales from text like ``1,2,3,4``, or from the name of a schedule."""
    if named and text.strip() in named:
        return named[text.strip()]
    sides = tuple(side for part in text.split(",") if (side := whole(part)) is not None)
    if len(sides) < 2 or len(sides) <= text.count(","):
        names = f", or a name: {', '.join(named)}" if named else ""
        raise UsageError(f"schedule {brief(text)!r} must be increasing sides from 1, like 1,2,3,4{names}")
    if max(sides) > SIDE or len(sides) > SCALES:
        raise UsageError(f"schedule {brief(text)!r} must have sides of at most {SIDE} and {SCALES} scales")
    check_schedule(sides, limit)
    return sides


def check_schedule(sides: Schedule, limit: int | None = None) -> None:
    """Refuse a schedule that does not increase from 1, in two scales at least, up to ``limit`` at most."""
    text = ",".join(map(str, sides))
    if sides[:1] != (1,):
        raise UsageError(f"schedule {text} must start at side 1; write increasing sides like 1,2,3,4")
    for before, after in itertools.pairwise(sides):
        if after <= before:
            raise UsageError(
                f"schedule {text} does not increase from {before} to {after};"
                " write increasing sides like 1,2,3,4"
            )
    if len(sides) < 2:
        raise UsageError(f"schedule {text} has one scale; it needs two at least, like 1,2,3,4")
    if limit is not None and sides[-1] > limit:
        raise UsageError(
            f"schedule {text} ends at side {sides[-1]}, the model's position table has {limit};"
            f" end it at {limit} or below"
        )
