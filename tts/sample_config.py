"""What ``tts sample`` is asked for, and the plan of images and settings that follows from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from tts.config import (
    EXACT,
    LSRS,
    Choices,
    SearchSettings,
    check_sampler,
    check_sampling,
    dtype_name,
    parse_range,
    parse_whole_images,
    plan_candidates,
)
from tts.engine.opening import Mode, check_mode
from tts.errors import CheckpointError, UsageError
from tts.interfaces import BackboneInfo
from tts.io import UINT8_RULES, load_tensors
from tts.limits import check_numbers, check_texts
from tts.pipeline import Item, Prefix, cross_items, distinct_items
from tts.specs import IMAGES
from tts.strategies.choose import find_strategy

FORMATS = ("png", "npz")
EXECUTION = (
    "out",
    "compile_parts",
    "batch_size",
    "chunk",
    "score_memory",
    "device",
    "overwrite",
    "extend",
    "shard",
)
"""Fields that say how a run is carried out and do not change what it makes."""

CHOICE = ("labels", "seeds", "per_class")
"""Fields that choose the images."""

NAMED = ("backbone", "weights", "strategy", "selector", "candidates")
"""Fields that are no words of their own in the name of a run's folder."""

MAX_NAME = 100

LATER = ("part", "strategy", "image_scorer", "sampler", "candidates_of")
"""Fields that plans of earlier versions lack: left out at their defaults, so that those runs go on."""


@dataclass(frozen=True)
class SampleConfig:
    """Everything that ``tts sample`` takes; ``None`` means the backbone's default.

    Scales count from 1 here, as in the paper and on the command line.
    """

    backbone: str = "var-digits"
    weights: tuple[str, ...] = ()
    part: str | None = None
    schedule: str | None = None
    guidance: str | None = None
    sample_all_scales: bool = False
    strategy: str = LSRS
    image_scorer: str = "auto"
    scorer: str = "auto"
    selector: str = "greedy"
    candidates: str = "8"
    candidates_of: str | None = None
    start_scale: int | None = None
    end_scale: int | None = None
    top_k_select: int = 8
    temperature: float = 1.0
    labels: str | None = None
    seeds: str | None = None
    per_class: int | None = None
    cfg: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    sampler: str = EXACT
    compile_parts: bool | None = None
    dtype: str = "float32"
    formats: tuple[str, ...] = ("png",)
    save_tokens: bool = False
    trace: bool = False
    from_tokens: str | None = None
    from_scale: int | None = None
    randomize_scale: int | None = None
    uint8: str | None = None
    out: str | None = None
    batch_size: int | None = None
    chunk: int | None = None
    score_memory: int = 512
    device: str = "auto"
    overwrite: bool = False
    extend: bool = False
    shard: str | None = None
    shard_items: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", dtype_name(self.dtype))  # records have one name of each type

    @property
    def choices(self) -> Choices:
        """The fields that choose among a backbone's options."""
        return Choices(self.schedule, self.guidance, self.sample_all_scales, self.part)

    def settings(self) -> dict[str, Any]:
        """The fields that decide how its images come out, without ``LATER`` ones that say nothing new."""
        values = {name: getattr(self, name) for name in SETTINGS}
        usual = [name for name in LATER if values[name] == getattr(SampleConfig, name)]
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
        return {key: value for key, value in plain.items() if key not in usual}

    def choice(self) -> dict[str, Any]:
        """The fields that choose its images."""
        return {key: getattr(self, key) for key in CHOICE}

    @property
    def mode(self) -> Mode:
        """How to treat what the folder holds."""
        return Mode(self.overwrite, self.extend)


SETTINGS = tuple(
    field.name for field in fields(SampleConfig) if field.name not in (*EXECUTION, *CHOICE, "shard_items")
)
"""Fields that decide how images come out."""


def run_name(config: SampleConfig, scorers: Mapping[str, str] = {}) -> str:
    """A folder's name that says what the settings are, but for the model, the classes and the seeds.

    ``scorers`` are words for some of them, empty for the usual one.
    """
    chosen = config.selector if config.strategy == LSRS else config.strategy
    words = ["plain" if config.candidates == "1" else f"{chosen} {config.candidates}"]
    for name in SETTINGS:
        value = getattr(config, name)
        if name == "scorer" and value in scorers:
            words.append(scorers[value])
        elif name not in NAMED and value != getattr(SampleConfig, name):
            words.append(f"{name} {'' if value is True else _short(value)}")
    return re.sub(r"[^a-z0-9.]+", "-", " ".join(words).lower()).strip("-.")[:MAX_NAME]


def _short(value: Any) -> str:
    """A value in a name: of a file only the folder and the name."""
    parts = value if isinstance(value, tuple) else (value,)
    return " ".join(" ".join(str(part).split("/")[-2:]) for part in parts)


def check_output(config: SampleConfig) -> None:
    """Refuse unknown formats and numbers out of range before anything is loaded."""
    check_texts(config)
    unknown = [name for name in config.formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"unknown format {unknown[0]!r}; use {' or '.join(FORMATS)}")
    check_sampler(config.sampler, config.compile_parts)
    if config.uint8 not in (None, *UINT8_RULES):
        raise UsageError(f"unknown uint8 rule {config.uint8!r}; use {' or '.join(UINT8_RULES)}")
    check_numbers(config)
    check_mode(config.mode, config.shard)
    if config.extend and config.from_tokens is not None:
        raise UsageError("--extend does not go with --from-tokens: its images are the rows of the file")
    if (config.from_tokens is None) != (config.from_scale is None):
        raise UsageError("--from-tokens FILE and --from-scale K go together; pass both or neither")


def search_settings(config: SampleConfig, info: BackboneInfo) -> SearchSettings:
    """The settings of the search, with the backbone's defaults filled in."""
    defaults = info.sampling
    cfg = defaults.cfg if config.cfg is None else config.cfg
    top_k = defaults.top_k if config.top_k is None else config.top_k
    top_p = defaults.top_p if config.top_p is None else config.top_p
    check_sampling(cfg, top_k, top_p, info.guidance)
    check_numbers(config)
    check_sampler(config.sampler, config.compile_parts)
    if find_strategy(config.strategy).counts == IMAGES:
        candidates, whole_images = (1,) * info.scales, parse_whole_images(config.candidates)
    else:
        candidates, whole_images = most_candidates(config, info), 1
    return SearchSettings(
        candidates=candidates,
        cfg=cfg,
        top_k=top_k,
        top_p=top_p,
        chunk_bytes=config.score_memory * 2**20,
        chunk=config.chunk,
        trace=config.trace,
        whole_images=whole_images,
        sampler=config.sampler,
    )


def own_candidates(config: SampleConfig, info: BackboneInfo) -> dict[int, tuple[int, ...]]:
    """m_1..m_K of the labels that ``candidates_of`` names, as in ``0-4=8;5-9=1,32,32,16``."""
    found: dict[int, tuple[int, ...]] = {}
    for part in [] if config.candidates_of is None else config.candidates_of.split(";"):
        labels, equals, numbers = (text.strip() for text in part.partition("="))
        if not (labels and equals and numbers):
            raise UsageError(f"candidates-of {part!r} must be labels=candidates; for example 0-4=8;5-9=32")
        counts = plan_candidates(numbers, config.start_scale, config.end_scale, info.scales)
        for label in parse_range(labels, "candidates-of label", info.classes):
            if label in found:
                raise UsageError(f"candidates-of names label {label} twice; name each once")
            found[label] = counts
    return found


def most_candidates(config: SampleConfig, info: BackboneInfo) -> tuple[int, ...]:
    """m_1..m_K of all images, or the most that any label has at each scale."""
    plain = plan_candidates(config.candidates, config.start_scale, config.end_scale, info.scales)
    return tuple(map(max, zip(plain, *own_candidates(config, info).values(), strict=True)))


def one_based(config: SampleConfig, info: BackboneInfo, field: str) -> int | None:
    """The zero-based scale of a field that counts from 1."""
    value = getattr(config, field)
    if value is not None and not 1 <= value <= info.scales:
        name = field.replace("_", "-")
        raise UsageError(f"{name} {value} is out of range; {info.name} has scales 1 to {info.scales}")
    return None if value is None else value - 1


def replan(config: SampleConfig, info: BackboneInfo, choice: dict[str, Any]) -> list[Item]:
    """The images of an earlier choice of the same run."""
    return plan(replace(config, **choice), info)[0]


def plan(config: SampleConfig, info: BackboneInfo) -> tuple[list[Item], Prefix | None]:
    """The images to make: labels with seeds, so many a class, or the rows of a file of token maps."""
    items, prefix = _plan(config, info)
    own = own_candidates(config, info)
    if own:
        plain = plan_candidates(config.candidates, config.start_scale, config.end_scale, info.scales)
        items = [replace(item, candidates=own.get(item.label, plain)) for item in items]
    return items, prefix


def _plan(config: SampleConfig, info: BackboneInfo) -> tuple[list[Item], Prefix | None]:
    if config.seeds is not None and config.per_class is not None:
        raise UsageError("--seeds and --per-class both choose seeds; pass one of them")
    if config.from_tokens is not None:
        return _plan_from_tokens(config, info)
    labels = parse_range(config.labels or f"0-{min(10, info.classes) - 1}", "label", info.classes)
    if config.per_class is not None:
        return distinct_items(labels, config.per_class, info.classes), None
    return cross_items(labels, parse_range(config.seeds or "0-4", "seed")), None


def _plan_from_tokens(config: SampleConfig, info: BackboneInfo) -> tuple[list[Item], Prefix]:
    """Rows of the file, each with its own seed or with every seed of ``--seeds``."""
    if config.labels is not None or config.per_class is not None:
        raise UsageError("--labels and --per-class do not go with --from-tokens: the file has its own labels")
    file = Path(str(config.from_tokens))
    scales = one_based(config, info, "from_scale") or 0
    tensors, metadata = load_tensors(file, own=True)
    schedule = ",".join(map(str, info.schedule))
    if not {"tokens", "labels", "seeds"} <= set(tensors) or metadata.get("schedule", schedule) != schedule:
        raise CheckpointError(
            f"{file} holds no token maps of schedule {schedule}; write it with --save-tokens"
        )
    seeds = tensors["seeds"]
    if any(tensors[name].is_floating_point() for name in ("tokens", "labels", "seeds")) or (
        seeds.numel() and int(seeds.min()) < 0
    ):
        raise CheckpointError(
            f"{file} holds tokens, labels or seeds that are no whole numbers of at least 0;"
            " write it with --save-tokens"
        )
    tokens, labels = tensors["tokens"].long(), tensors["labels"].tolist()
    counts = {len(labels), len(tensors["seeds"])}
    fits = tokens.ndim == 2 and tokens.shape[1] == info.tokens and counts == {len(tokens)} != {0}
    if not fits or not 0 <= int(tokens.min()) <= int(tokens.max()) < info.codebook_size:
        raise CheckpointError(
            f"{file} does not fit {info.name} (tokens {tuple(tokens.shape)}); sample it again"
        )
    if not 0 <= min(labels) <= max(labels) < info.classes:
        raise CheckpointError(
            f"{file} has labels outside 0 to {info.classes - 1}; sample it with {info.name}"
        )
    if config.seeds is None:
        rows = [(row, seed) for row, seed in enumerate(tensors["seeds"].tolist())]
    else:
        rows = [(row, seed) for row in range(len(labels)) for seed in parse_range(config.seeds, "seed")]
    items = [Item(labels[row], seed) for row, seed in rows]
    if len(set(items)) != len(items):
        raise UsageError(f"{file} has several rows of one class, which --seeds would give the same name")
    return items, Prefix(tokens[[row for row, _ in rows]], scales)
