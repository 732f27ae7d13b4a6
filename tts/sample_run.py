"""The work of ``tts sample``: from a frozen configuration to a folder of images and records."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tts.manager import get_plugins
from tts.outputs import SampleWriter, prepare_folder, replace_run
from tts.pipeline import Generator, Item, Prefix, default_batch
from tts.resolve import (
    FALLBACK_SCORER,
    build_backbone,
    build_scorer,
    build_selector,
    torch_device,
    torch_dtype,
)
from tts.runinfo import describe_backbone, describe_scorer, environment
from tts.sample_config import SampleConfig, check_output, one_based, plan, search_settings
from tts.search import effective_candidates

Progress = Callable[[int, int], None]
"""Called with the number of finished and of all images."""

NO_SCORER = (
    f"has no scorer of its own, so candidates are ranked by {FALLBACK_SCORER}, which may make images worse;"
    " train one with 'tts train-scorer' and pass --scorer FILE, or pass --candidates 1"
)


@dataclass(frozen=True)
class SampleSummary:
    """What a run made: for the command's last line."""

    out: Path
    images: int
    seconds: float
    candidates: tuple[int, ...]
    remarks: tuple[str, ...]


def run_sample(config: SampleConfig, progress: Progress = lambda done, total: None) -> SampleSummary:
    """Generate the images of a configuration and write them to its folder."""
    check_output(config)
    device = torch_device(config.device)
    files = tuple(Path(weight) for weight in config.weights)
    dtype = torch_dtype(config.dtype)
    spec, backbone = build_backbone(config.backbone, files, device, dtype, config.choices)
    info = backbone.info
    settings = search_settings(config, info)
    items, prefix = plan(config, info)
    selector = build_selector(config.selector, config.top_k_select, config.temperature)
    scored = max(effective_candidates(info, settings)) > 1 and selector.needs_scores
    scorer = (
        build_scorer(config.scorer, spec, backbone, device) if scored or config.scorer != "auto" else None
    )
    observers = get_plugins().observers()
    generator = Generator(
        backbone, scorer, selector, settings, device, observers, one_based(config, info, "randomize_scale")
    )
    out = Path(config.out or f"samples/{info.name}")
    folder = prepare_folder(out, config.settings(), config.overwrite)
    uint8 = config.uint8 or info.uint8
    metadata = {"backbone": info.name, "schedule": ",".join(map(str, info.schedule))}
    started = time.perf_counter()
    with SampleWriter(folder, items, info.image_size, frozenset(config.formats), uint8, metadata) as writer:
        size = config.batch_size or default_batch(info.tokens)
        seconds = _generate(generator, items, size, prefix, writer, progress)
    record = {
        "finished": True,
        "settings": config.settings(),
        "resolved": {**asdict(settings), "stream": settings.stream.name, "uint8": uint8, "items": len(items)},
        "backbone": describe_backbone(backbone),
        "scorer": describe_scorer(scorer),
        "selector": selector.name,
        "environment": environment(device),
        "timing": timing(seconds, time.perf_counter() - started, len(items), size),
    }
    writer.finish(config.save_tokens, config.trace, record)
    if folder != out:
        replace_run(out, folder)
    note = (
        f"{spec.name} {NO_SCORER}" if scorer and config.scorer == "auto" and not spec.default_scorer else None
    )
    candidates = effective_candidates(info, settings)
    return SampleSummary(out, len(items), seconds, candidates, remarks(generator, note))


def _generate(
    generator: Generator,
    items: Sequence[Item],
    size: int,
    prefix: Prefix | None,
    writer: SampleWriter,
    progress: Progress,
) -> float:
    """Run all batches; returns the seconds spent generating, without writing files."""
    seconds, done = 0.0, 0
    batches = generator.batches(items, size, prefix)
    while True:
        started = time.perf_counter()
        batch = next(batches, None)
        if generator.device.type == "cuda":
            torch.cuda.synchronize(generator.device)
        seconds += time.perf_counter() - started
        if batch is None:
            return seconds
        writer.append(batch)
        done += len(batch.items)
        progress(done, len(items))


def timing(seconds: float, total: float, images: int, batch: int) -> dict[str, Any]:
    """Seconds of generation and in all, with the batch size that they hold for."""
    return {
        "generate_seconds": seconds,
        "total_seconds": total,
        "images_per_second": images / seconds if seconds else None,
        "batch_size": batch,
    }


def remarks(generator: Generator, note: str | None = None) -> tuple[str, ...]:
    """What the user should know of this run beside its result, ``note`` first."""
    notes = [note] if note else []
    remark = getattr(generator.scorer, "remark", None)
    if isinstance(remark, str):
        notes.append(remark)
    wanted = generator.settings.candidates
    used = effective_candidates(generator.backbone.info, generator.settings)
    if used != wanted:
        scales = ", ".join(str(k + 1) for k, (a, b) in enumerate(zip(wanted, used, strict=True)) if a != b)
        mend = "" if generator.settings.top_k == 1 else "; --sample-all-scales draws there too"
        notes.append(
            f"decoding is greedy at scale {scales}: one candidate there, since all would be equal{mend}"
        )
    return tuple(notes)
