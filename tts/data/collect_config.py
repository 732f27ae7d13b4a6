"""What ``tts collect`` is asked for, and the settings that follow from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tts.config import check_sampling, dtype_name
from tts.data.decode import Crop
from tts.data.manifest import Kind
from tts.engine.opening import Mode, check_mode
from tts.errors import UsageError
from tts.interfaces import BackboneInfo
from tts.limits import check_numbers, check_texts
from tts.specs import BackboneSpec

EXECUTION = (
    *("out", "batch_size", "device", "overwrite", "extend", "shard", "shard_items"),
    *("workers", "max_unreadable"),
)
"""Fields that say how a run is carried out and do not change what it makes."""

DEFAULT_PER_CLASS = 1000
"""Images of each class, as in the paper's data (appendix A)."""


@dataclass(frozen=True)
class CollectConfig:
    """Everything that ``tts collect`` takes.

    ``real`` is a folder or ``digits``, ``None`` means generated images; without ``out`` the work folder has
    a place for either.
    """

    backbone: str = "var-digits"
    weights: tuple[str, ...] = ()
    part: str | None = None
    schedule: str | None = None
    guidance: str | None = None
    sample_all_scales: bool = False
    real: str | None = None
    per_class: int | None = None
    cfg: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    crop: Crop = "center"
    seed: int = 0
    dtype: str = "float32"
    out: str | None = None
    batch_size: int | None = None
    device: str = "auto"
    overwrite: bool = False
    extend: bool = False
    shard: str | None = None
    shard_items: int | None = None
    workers: int | None = None
    max_unreadable: float = 0.01
    apply_orientation: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", dtype_name(self.dtype))  # records have one name of each type

    @property
    def kind(self) -> Kind:
        """Which side of the data."""
        return "generated" if self.real is None else "real"

    @property
    def mode(self) -> Mode:
        """How to treat what the folder holds."""
        return Mode(self.overwrite, self.extend)


def check(config: CollectConfig) -> None:
    """Refuse what is out of range before anything is loaded."""
    check_texts(config)
    check_numbers(config, workers="0 decodes in the process itself")
    if config.crop not in ("center", "random"):
        raise UsageError(f"unknown crop {config.crop!r}; use center or random")
    if config.apply_orientation and not is_folder(config):
        raise UsageError("--apply-orientation is for image folders; pass --real FOLDER, or leave it out")
    if not 0 <= config.max_unreadable <= 1:
        raise UsageError(f"max-unreadable {config.max_unreadable} must be a share from 0 to 1")
    check_mode(config.mode, config.shard)


def is_folder(config: CollectConfig) -> bool:
    """Whether real images come from a folder."""
    return config.real not in (None, "digits")


def per_class(spec: BackboneSpec) -> int:
    """Images of each class where none are asked for."""
    return spec.collect.per_class or DEFAULT_PER_CLASS


def resolved_settings(config: CollectConfig, spec: BackboneSpec, info: BackboneInfo) -> dict[str, Any]:
    """The configuration with defaults filled in: the preset's settings for collecting, then for sampling."""
    fields = {key: value for key, value in asdict(config).items() if key not in EXECUTION}
    fields["weights"] = list(config.weights)
    fields.pop("schedule")  # the identity has it
    if info.guidance == spec.guidance[0]:
        fields.pop("guidance")
    for name in ("sample_all_scales", "apply_orientation"):
        if not fields[name]:
            fields.pop(name)
    if config.real is None:
        fields["per_class"] = config.per_class or per_class(spec)
        for name in ("cfg", "top_k", "top_p"):
            choices = (getattr(config, name), getattr(spec.collect, name), getattr(info.sampling, name))
            fields[name] = next(value for value in choices if value is not None)
        check_sampling(fields["cfg"], fields["top_k"], fields["top_p"], info.guidance)
        return {key: value for key, value in fields.items() if key not in ("crop", "seed")}
    if config.real == "digits":
        fields["per_class"] = config.per_class or per_class(spec)
    drawn = ("cfg", "top_k", "top_p", "guidance", "sample_all_scales")
    return {key: value for key, value in fields.items() if key not in drawn}
