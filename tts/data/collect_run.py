"""The work of ``tts collect``: one side of a scorer's data, from a frozen configuration to a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tts.config import Choices, SearchSettings
from tts.data.collect import (
    LAYOUT,
    LISTING,
    CollectJob,
    Digits,
    Generated,
    Images,
    Skips,
    Source,
    skipped_elsewhere,
)
from tts.data.collect_config import CollectConfig, check, is_folder, resolved_settings
from tts.data.decoder import Decoder, default_workers
from tts.data.folders import left_out_line, list_images
from tts.data.listing import ImageFolder
from tts.data.manifest import BackboneIdentity
from tts.data.store import existing
from tts.engine.folder import STAGING, RunFolder
from tts.engine.launch import Launch, agree
from tts.engine.opening import open_together
from tts.engine.plan import Plan, Request, Share
from tts.engine.progress import Report
from tts.engine.stopping import Stop
from tts.engine.work import Outcome, work
from tts.errors import UsageError
from tts.fitting import Fit
from tts.interfaces import Backbone, BackboneInfo
from tts.noise_streams import Stream
from tts.pipeline import Generator, Item, cross_items, default_batch, distinct_items
from tts.resolve import build_backbone, build_selector, find_backbone, remarks_of, torch_device, torch_dtype
from tts.runinfo import environment
from tts.specs import BackboneSpec
from tts.workspace import place_of


@dataclass(frozen=True)
class CollectSummary:
    """What a run made: ``items`` of the data set, or of the plan while it is unfinished.

    ``labels`` says how the class folders of real images were numbered.
    """

    out: Path
    items: int
    outcome: Outcome
    labels: str | None = None
    remarks: tuple[str, ...] = ()


def run_collect(
    config: CollectConfig,
    report: Report = lambda progress: None,
    warn: Callable[[str], None] = lambda message: None,
    prepare: Callable[[RunFolder], None] = lambda run: None,
) -> CollectSummary:
    """Collect one side of the data, together with other processes; a finished folder is left as it is.

    ``prepare`` gets the folder when it is open, before the work.
    """
    check(config)
    launch = Launch.from_environment()
    share = Share.parse(config.shard) if config.shard else None
    device = torch_device(config.device)
    files = tuple(Path(weight) for weight in config.weights)
    choices = Choices(config.schedule, config.guidance, config.sample_all_scales, config.part)
    spec, backbone = build_backbone(config.backbone, files, device, torch_dtype(config.dtype), choices)
    for remark in remarks_of(backbone):
        warn(remark)
    remarks = real_side(config, spec)
    out = Path(config.out or place_of(spec.name).side(config.kind))
    config = replace(config, out=str(out))
    settings = resolved_settings(config, spec, backbone.info)
    identity = BackboneIdentity.from_backbone(backbone)
    listing = agree(launch, partial(find_listing, config, backbone.info)) if is_folder(config) else None
    plan = partial(plan_items, config, backbone.info, listing)
    request = _request(config, settings, identity, listing, plan({"per_class": settings.get("per_class")}))
    with open_together(launch, out, LAYOUT, request, plan, config.mode) as (run, worker), Stop() as stop:
        prepare(run)
        if listing is not None and not (run.path / LISTING).exists():
            listing.save(run.path / LISTING)
        for line in listing_doubts(listing, spec) if listing is not None and launch.main else ():
            warn(line)
        fit = Fit(config.batch_size or default_batch(backbone.info.tokens), say=warn)
        skips = Skips(run.plan.items, config.max_unreadable, warn, partial(skipped_elsewhere, run))
        with _source(config, backbone, settings, fit, listing, skips, launch) as source:
            recorded = {**settings, "environment": environment(device)}
            if listing is not None:
                recorded["folder"] = {"labels": str(listing.classes), "left_out": asdict(listing.left_out)}
            counted = skips if listing is not None else None
            job = CollectJob(source, config.kind, identity, recorded, counted)
            outcome = work(run, worker, job, stop, share, report, warn)
    manifest = existing(out) if outcome.finished else None
    labels = str(listing.classes) if listing is not None else None
    return CollectSummary(out, manifest.items if manifest else run.plan.items, outcome, labels, remarks)


def sides(config: CollectConfig) -> tuple[CollectConfig, ...]:
    """What one command makes: both sides, if no folder and no images are named and real ones are at hand."""
    real = find_backbone(config.backbone, config.weights)[0].real_images
    both = config.out is None and config.real is None and real is not None
    return (config, replace(config, real=real)) if both else (config,)


def real_side(config: CollectConfig, spec: BackboneSpec) -> tuple[str, ...]:
    """How the real side of a scorer's data is made, where the work folder lacks it."""
    known = config.out or config.real or spec.real_images or place_of(spec.name).has("real")
    command = f"tts collect --backbone {config.backbone} --real DIR"
    return () if known else (f"a scorer needs real images, too: '{command}'",)


def find_listing(config: CollectConfig, info: BackboneInfo) -> ImageFolder:
    """The images of the folder: as listed when the run began, or listed now."""
    root = Path(str(config.real))
    for folder in () if config.overwrite else (Path(str(config.out)) / STAGING, Path(str(config.out))):
        plan = Plan.load(folder)
        if plan and plan.settings.get("real") == config.real and (folder / LISTING).is_file():
            return ImageFolder.load(folder / LISTING, root)
    return list_images(root, info.classes)


def listing_doubts(listing: ImageFolder, spec: BackboneSpec) -> Iterator[str]:
    """What to warn of before images of a folder are encoded."""
    yield from listing.classes.doubts(spec.class_names, spec.classes)
    if listing.left_out.count:
        yield left_out_line(listing.left_out)


def plan_items(
    config: CollectConfig, info: BackboneInfo, listing: ImageFolder | None, choice: dict[str, Any]
) -> list[Item]:
    """The items of a choice of ``per_class``: class by class."""
    if listing is not None:
        return [
            Item(int(listing.labels[number]), int(number)) for number in listing.first(choice["per_class"])
        ]
    per_class: int = choice["per_class"]
    if config.real is None:
        return distinct_items(range(info.classes), per_class, info.classes)
    if info.classes != 10:
        raise UsageError(
            f"--real digits has 10 classes, {info.name} has {info.classes}; give an image folder"
        )
    return cross_items(range(10), range(per_class))


def _request(
    config: CollectConfig,
    settings: dict[str, Any],
    identity: BackboneIdentity,
    listing: ImageFolder | None,
    items: list[Item],
) -> Request:
    fixed = {key: value for key, value in settings.items() if key != "per_class"}
    who = {**asdict(identity), "images": listing.fingerprint() if listing is not None else None}
    choice = {"per_class": settings.get("per_class")}
    return Request.of(config.kind, fixed, who, choice, items, config.shard_items)


@contextmanager
def _source(
    config: CollectConfig,
    backbone: Backbone,
    settings: dict[str, Any],
    fit: Fit,
    listing: ImageFolder | None,
    skips: Skips,
    launch: Launch,
) -> Iterator[Source]:
    """Where the token maps come from."""
    if config.real is None:
        yield Generated(_generator(config, backbone, settings), fit)
    elif listing is None:
        yield Digits(backbone, fit)
    else:
        workers = config.workers
        if workers is None:
            workers = default_workers(skips.total, launch.local_world)
        size, upright = backbone.info.image_size, config.apply_orientation
        with Decoder(workers, size, config.crop, config.seed, upright) as decoder:
            yield Images(backbone, fit, listing, decoder, skips)


def _generator(config: CollectConfig, backbone: Backbone, settings: dict[str, Any]) -> Generator:
    search = SearchSettings(
        candidates=(1,) * backbone.info.scales,
        cfg=settings["cfg"],
        top_k=settings["top_k"],
        top_p=settings["top_p"],
        stream=Stream.COLLECT,
        decode=False,
    )
    return Generator(backbone, None, build_selector("random", 1, 1.0), search, torch_device(config.device))
