"""The work of ``tts collect``: one side of a scorer's data, from a frozen configuration to a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tts.config import Choices, SearchSettings, check_sampling
from tts.data.collect import FolderImages, collect_generated, collect_real, digit_images
from tts.data.folders import Crop
from tts.data.manifest import BackboneIdentity, Kind, Manifest
from tts.data.store import StoreWriter, existing
from tts.errors import UsageError
from tts.interfaces import Backbone, BackboneInfo
from tts.noise_streams import Stream
from tts.pipeline import Generator, default_batch
from tts.resolve import build_backbone, build_selector, torch_device, torch_dtype
from tts.runinfo import environment
from tts.specs import BackboneSpec

EXECUTION = ("out", "batch_size", "device", "overwrite")
DEFAULT_PER_CLASS = 1000
"""Images of each class, as in the paper's data (appendix A)."""


@dataclass(frozen=True)
class CollectConfig:
    """Everything that ``tts collect`` takes; ``real`` is a folder or ``digits``, ``None`` means generated."""

    backbone: str = "var-digits"
    weights: tuple[str, ...] = ()
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
    out: str = "data"
    batch_size: int | None = None
    device: str = "auto"
    overwrite: bool = False


@dataclass(frozen=True)
class CollectSummary:
    """What a run made; ``finished_before`` if the folder already held exactly this."""

    out: Path
    items: int
    finished_before: bool = False


def run_collect(
    config: CollectConfig,
    progress: Callable[[int, int], None] = lambda done, total: None,
    warn: Callable[[str], None] = lambda message: None,
) -> CollectSummary:
    """Collect one side of the data; a folder that holds exactly this data set is left as it is."""
    for name in ("per_class", "batch_size"):
        value = getattr(config, name)
        if value is not None and value < 1:
            raise UsageError(f"{name.replace('_', '-')} {value} must be at least 1")
    if config.crop not in ("center", "random"):
        raise UsageError(f"unknown crop {config.crop!r}; use center or random")
    device = torch_device(config.device)
    files = tuple(Path(weight) for weight in config.weights)
    choices = Choices(config.schedule, config.guidance, config.sample_all_scales)
    spec, backbone = build_backbone(config.backbone, files, device, torch_dtype(config.dtype), choices)
    settings = resolved_settings(config, spec, backbone.info)
    identity = BackboneIdentity.from_backbone(backbone)
    out = Path(config.out)
    if not config.overwrite and (before := existing(out)) is not None:
        if (before.identity, _comparable(before.settings)) == (identity, _comparable(settings)):
            return CollectSummary(out, before.items, finished_before=True)
        raise UsageError(
            f"{out} holds another data set ({_differing(before, identity, settings)}); choose another"
            " --out or pass --overwrite"
        )
    settings["environment"] = environment(device)
    batch = config.batch_size or default_batch(backbone.info.tokens)
    kind: Kind = "generated" if config.real is None else "real"
    with StoreWriter(out, kind, identity, settings, overwrite=config.overwrite) as writer:
        if config.real is None:
            items = _generated(config, backbone, settings, batch, writer, progress)
        else:
            items = _real(config, backbone, settings, batch, writer, progress, warn)
    return CollectSummary(out, items)


def resolved_settings(config: CollectConfig, spec: BackboneSpec, info: BackboneInfo) -> dict[str, Any]:
    """The configuration with defaults filled in: the preset's settings for collecting, then for sampling."""
    fields = {key: value for key, value in asdict(config).items() if key not in EXECUTION}
    fields["weights"] = list(config.weights)
    fields.pop("schedule")  # the identity has it
    if info.guidance == spec.guidance[0]:
        fields.pop("guidance")
    if not config.sample_all_scales:
        fields.pop("sample_all_scales")
    if config.real is None:
        fields["per_class"] = config.per_class or DEFAULT_PER_CLASS
        for name in ("cfg", "top_k", "top_p"):
            choices = (getattr(config, name), getattr(spec.collect, name), getattr(info.sampling, name))
            fields[name] = next(value for value in choices if value is not None)
        check_sampling(fields["cfg"], fields["top_k"], fields["top_p"], info.guidance)
        return {key: value for key, value in fields.items() if key not in ("crop", "seed")}
    if config.real == "digits":
        fields["per_class"] = config.per_class or DEFAULT_PER_CLASS
    drawn = ("cfg", "top_k", "top_p", "guidance", "sample_all_scales")
    return {key: value for key, value in fields.items() if key not in drawn}


def _comparable(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in ("environment", "skipped")}


def _differing(before: Manifest, identity: BackboneIdentity, settings: dict[str, Any]) -> str:
    a, b = _comparable(before.settings), _comparable(settings)
    names = sorted(key for key in {*a, *b} if a.get(key) != b.get(key))
    same_weights = replace(identity, weights=before.identity.weights)
    return ", ".join(names) or before.identity.mismatch(same_weights) or "other weights"


def _generated(
    config: CollectConfig,
    backbone: Backbone,
    settings: dict[str, Any],
    batch: int,
    writer: StoreWriter,
    progress: Callable[[int, int], None],
) -> int:
    info = backbone.info
    search = SearchSettings(
        candidates=(1,) * info.scales,
        cfg=settings["cfg"],
        top_k=settings["top_k"],
        top_p=settings["top_p"],
        stream=Stream.COLLECT,
        decode=False,
    )
    selector = build_selector("random", 1, 1.0)
    generator = Generator(backbone, None, selector, search, torch_device(config.device))
    total = settings["per_class"] * info.classes
    counter = _Counter(progress, total)
    collect_generated(generator, settings["per_class"], batch, writer, counter)
    return counter.done


def _real(
    config: CollectConfig,
    backbone: Backbone,
    settings: dict[str, Any],
    batch: int,
    writer: StoreWriter,
    progress: Callable[[int, int], None],
    warn: Callable[[str], None],
) -> int:
    info = backbone.info
    if config.real == "digits":
        counter = _Counter(progress, settings["per_class"] * info.classes)
        collect_real(backbone, digit_images(info, settings["per_class"], batch), writer, counter)
        return counter.done
    images = FolderImages(Path(str(config.real)), info, config.crop, config.seed, config.per_class, warn)
    counter = _Counter(progress, len(images))
    collect_real(backbone, images.batches(batch), writer, counter)
    writer.note("skipped", images.skipped)
    return counter.done


class _Counter:
    """Adds up finished items for a progress function that wants totals."""

    def __init__(self, progress: Callable[[int, int], None], total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def __call__(self, items: int) -> None:
        """Count ``items`` more."""
        self.done += items
        self.progress(self.done, self.total)
