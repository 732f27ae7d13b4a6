"""The work of ``tts sample``: from a frozen configuration to a folder of images and records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tts.building import PartsCache, build_generator, settled
from tts.config import SearchSettings
from tts.engine.folder import RunFolder
from tts.engine.launch import Launch
from tts.engine.opening import open_together
from tts.engine.plan import Request, Share
from tts.engine.progress import Report
from tts.engine.stopping import Stop
from tts.engine.work import Outcome, work
from tts.fitting import Fit
from tts.interfaces import BackboneInfo
from tts.io import sha256_file
from tts.outputs import recorded_speed
from tts.pipeline import Generator, Prefix, default_batch
from tts.resolve import remarks_of, torch_dtype
from tts.runinfo import describe_backbone, describe_scorer, environment
from tts.sample_config import (
    EXECUTION,
    SampleConfig,
    check_output,
    plan,
    replan,
    run_name,
)
from tts.sample_job import LAYOUT, SampleJob, Wanted
from tts.scorers.automatic import FALLBACK_SCORER
from tts.scorers.checkpoint import SCORER_FILE
from tts.search import effective_candidates
from tts.specs import BackboneSpec
from tts.strategies.best_of_n import effective_images
from tts.strategies.choose import find_strategy
from tts.workspace import place_of

ROUNDED = {
    "bfloat16": "changes 74 to 91 % of images",
    "float16": "changes 21 to 33 % of images",
}
"""What was measured with 8 candidates of the digits models (benchmarks/precision.py)."""

SLOW = {
    "bfloat16": "; without AVX-512-BF16 or AMX it is also slower on a CPU",
    "float16": "; on a CPU it is also slower",
}


@dataclass(frozen=True)
class SampleSummary:
    """What a run made, for the command's last line: ``images`` of the plan, of which ``outcome.made`` now.

    Each was chosen among ``candidates`` at each scale, or at most so many if labels have ``mixed`` numbers,
    or among so many ``whole_images``; by ``scorer``, a text of ``--scorer``, where one judged.
    """

    out: Path
    images: int
    outcome: Outcome
    images_per_second: float | None
    candidates: tuple[int, ...]
    remarks: tuple[str, ...]
    whole_images: int = 1
    mixed: bool = False
    scorer: str | None = None


def run_sample(
    config: SampleConfig,
    report: Report = lambda progress: None,
    warn: Callable[[str], None] = lambda message: None,
    prepare: Callable[[RunFolder], None] = lambda run: None,
) -> SampleSummary:
    """Generate the images of a configuration and write them to its folder, together with other processes.

    ``prepare`` gets the folder when it is open, before the work.
    """
    check_output(config)
    parts = build_parts(config)
    config = parts.config
    out = parts.out
    share = Share.parse(config.shard) if config.shard else None
    launch = Launch.from_environment()
    again = partial(replan, config, parts.info)
    with (
        open_together(launch, out, LAYOUT, parts.request, again, config.mode) as (run, worker),
        Stop() as stop,
    ):
        prepare(run)
        job = parts.job(run, warn)
        outcome = work(run, worker, job, stop, share, report, warn)
    return SampleSummary(
        out=out,
        images=run.plan.items,
        outcome=outcome,
        images_per_second=recorded_speed(out),
        candidates=effective_candidates(parts.info, parts.generator.settings),
        remarks=parts.remarks,
        whole_images=effective_images(parts.info, parts.generator.settings),
        mixed=config.candidates_of is not None,
        scorer=config.scorer if parts.generator.scorer else None,
    )


@dataclass(frozen=True)
class Parts:
    """Everything built that a configuration names."""

    config: SampleConfig
    info: BackboneInfo
    generator: Generator
    prefix: Prefix | None
    request: Request
    uint8: str
    note: str | None
    out: Path

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should know of this run beside its result."""
        return remarks(self.config, self.generator, self.note)

    def job(self, run: RunFolder, warn: Callable[[str], None]) -> SampleJob:
        """The work on a folder."""
        config, info = self.config, self.info
        metadata = {"backbone": info.name, "schedule": ",".join(map(str, info.schedule))}
        formats = frozenset(config.formats)
        widths = effective_candidates(info, self.generator.settings) if config.candidates_of else None
        wanted = Wanted(formats, config.save_tokens, config.trace, self.uint8, metadata, widths)
        fit = Fit(config.batch_size or default_batch(info.tokens), say=warn)
        return SampleJob(self.generator, self.prefix, fit, wanted, run.path, self.record(run))

    def record(self, run: RunFolder) -> dict[str, Any]:
        """How the images are made, for the run's record."""
        generator, unused = self.generator, find_strategy(self.config.strategy).refused
        return {
            "settings": {**self.config.settings(), **self.config.choice()},
            "resolved": {**resolved(generator.settings), "uint8": self.uint8, "items": run.plan.items},
            "backbone": describe_backbone(generator.backbone),
            "strategy": self.config.strategy,
            "scorer": describe_scorer(generator.scorer),
            "selector": None if "selector" in unused else generator.selector.name,
            "image_scorer": describe_scorer(generator.image_scorer),
            "remarks": list(self.remarks),
            "environment": environment(generator.device),
        }


def build_parts(config: SampleConfig) -> Parts:
    """Build what the configuration names, and plan its images."""
    cache = PartsCache()
    config, note = settled(config, cache)
    generator = build_generator(config, cache)
    info, scorer, settings = generator.backbone.info, generator.scorer, generator.settings
    items, prefix = plan(config, info)
    uint8 = config.uint8 or info.uint8
    identity = {
        "weights_sha256": generator.backbone.weights_hash(),
        "schedule": list(info.schedule),
        "scorer_sha256": (describe_scorer(scorer) or {}).get("sha256"),
        "tokens_sha256": sha256_file(config.from_tokens) if config.from_tokens else None,
        **{key: value for key, value in resolved(settings).items() if key not in EXECUTION},
        "uint8_rule": uint8,
    }
    for said in (
        "chunk_bytes",
        "whole_images",
        "sampler",
        "compiled",
    ):  # how it is carried out; what the settings say already
        identity.pop(said)
    if generator.image_scorer is not None:
        judge = describe_scorer(generator.image_scorer) or {}
        identity["image_scorer"] = {key: value for key, value in judge.items() if key != "file"}
    request = Request.of("sample", config.settings(), identity, config.choice(), items, config.shard_items)
    return Parts(
        config, info, generator, prefix, request, uint8, note, _out(config, cache.model(config).spec)
    )


def _out(config: SampleConfig, spec: BackboneSpec) -> Path:
    """The folder that is named, or the one of these settings in the work folder."""
    place = place_of(spec.name)
    words = {spec.default_scorer or FALLBACK_SCORER: "", str(place.scorer / SCORER_FILE): "trained"}
    return Path(config.out) if config.out else place.samples(run_name(config, words))


def resolved(settings: SearchSettings) -> dict[str, Any]:
    """The settings of the search for a record."""
    return {**asdict(settings), "stream": settings.stream.name}


def precision_note(config: SampleConfig, generator: Generator) -> str | None:
    """What to say of images that another precision than float32 makes."""
    dtype = str(torch_dtype(config.dtype)).removeprefix("torch.")
    if dtype not in ROUNDED:
        return None
    slow = SLOW[dtype] if generator.device.type == "cpu" else ""
    return (
        f"{dtype} {ROUNDED[dtype]} against float32, as near ties among candidates have another"
        f" winner, for no better or worse distance (measured with M = 8 on digits){slow}"
    )


def remarks(config: SampleConfig, generator: Generator, note: str | None = None) -> tuple[str, ...]:
    """What the user should know of images that a configuration's generator makes, ``note`` first."""
    notes = [*filter(None, (note, precision_note(config, generator)))]
    for part in (generator.backbone, generator.scorer, generator.image_scorer):
        notes += remarks_of(part)
    wanted = generator.settings.candidates
    used = effective_candidates(generator.backbone.info, generator.settings)
    if used != wanted:
        scales = ", ".join(str(k + 1) for k, (a, b) in enumerate(zip(wanted, used, strict=True)) if a != b)
        mend = "" if generator.settings.top_k == 1 else "; --sample-all-scales draws there too"
        notes.append(
            f"decoding is greedy at scale {scales}: one candidate there, since all would be equal{mend}"
        )
    if effective_images(generator.backbone.info, generator.settings) < generator.settings.whole_images:
        notes.append("decoding is greedy at every scale: one image an item, since all would be equal")
    return tuple(notes)
