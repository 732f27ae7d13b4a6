"""The work of ``tts bench``: what candidates cost, measured on this machine and counted without it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tts.bench.config import BenchConfig
from tts.bench.counting import Count, Counter, WholeAttention
from tts.bench.model import RANDOM, BenchModel, bench_model, on_meta
from tts.bench.plot import overhead_plot
from tts.bench.timing import AGAIN, Seconds, Spread, best_batch, measure, peak_bytes
from tts.evaluation.sweep.drawing import can_draw
from tts.io import make_folder, write_json
from tts.runinfo import describe_scorer, environment
from tts.search import effective_candidates

Say = Callable[[str], None]


@dataclass(frozen=True)
class BenchSummary:
    """The record, and what the user should know of it."""

    record: dict[str, Any]
    remarks: tuple[str, ...]


@torch.inference_mode()
def run_bench(
    config: BenchConfig, report: Callable[[int, int], None] = lambda done, of: None
) -> BenchSummary:
    """Measure every batch size with every number of candidates."""
    model, remarks = bench_model(config.base), []
    if model.weights == RANDOM:
        remarks.append(f"no weights of {model.backbone.info.name} here: random ones, which are as fast")
    counts, sizes = config.counts(), config.batches()
    if sizes is None:
        sizes = (best_batch(model, max(counts)),)
        remarks.append(f"a batch of {sizes[0]} makes most images a second with {max(counts)} candidates")
    meta, before = on_meta(model), os.getloadavg()[0]
    points = [point for size in sizes for point in _points(model, meta, config, size, report)]
    record = {
        "backbone": model.backbone.info.name,
        "weights": model.weights,
        "scorer": describe_scorer(model.scorer),
        "selector": model.selector.name,
        "sampler": config.base.sampler,
        "dtype": config.base.dtype,
        "rounds": config.rounds,
        "batch": config.batch,
        "points": points,
        "load_average": {"before": before, "after": os.getloadavg()[0]},
        "environment": environment(model.device),
    }
    if config.out is not None:
        _write(Path(config.out), record, remarks)
    return BenchSummary(record, tuple(remarks))


def _points(
    model: BenchModel,
    meta: BenchModel | None,
    config: BenchConfig,
    batch: int,
    report: Callable[[int, int], None],
) -> list[dict[str, Any]]:
    counts = config.counts()
    seconds = measure(model, batch, counts, config.rounds, report)
    noise = [100 * (a / b - 1) for a, b in zip(seconds.latent[AGAIN], seconds.latent[1], strict=True)]
    base = counted(meta, batch, 1) if meta else None
    points = []
    for count in counts:
        found = counted(meta, batch, count) if meta else None
        point = {
            "batch": batch,
            "candidates": count,
            **_measured(model, seconds, batch, count),
            "peak_bytes": peak_bytes(model, batch, count),
            "counted": asdict(found) if found else None,
            "counted_beyond_one": asdict(found - base) if found and base else None,
            "noise_percent": asdict(Spread.of(noise)),
        }
        points.append(point)
    return points


def _measured(model: BenchModel, seconds: Seconds, batch: int, count: int) -> dict[str, Any]:
    """Seconds, images a second, and overheads with and without the decoder."""
    info = model.backbone.info
    scored = batch * sum(m for m in effective_candidates(info, model.settings(count, False)) if m > 1)
    whole, latent = Spread.of(seconds.whole(count)), Spread.of(seconds.latent[count])
    beyond = seconds.overhead(count, decoder=False)
    middle = Spread.of([a - b for a, b in zip(seconds.latent[count], seconds.latent[1], strict=True)]).median
    return {
        "seconds": asdict(whole),
        "seconds_without_decoder": asdict(latent),
        "images_per_second": batch / whole.median,
        "overhead": seconds.overhead(count, decoder=True),
        "overhead_without_decoder": beyond,
        "milliseconds_a_thousand_candidates": 1e6 * middle / scored if scored else None,
    }


def counted(meta: BenchModel, batch: int, count: int) -> Count:
    """Kernels, bytes, FLOPs and most bytes alive of a batch with the decoder, as eager PyTorch on a GPU."""
    with Counter() as counter, WholeAttention(counter):
        meta.run(batch, count, decode=True)
    return counter.count


def _write(out: Path, record: dict[str, Any], remarks: list[str]) -> None:
    make_folder(out)
    write_json(out / "bench.json", record)
    if can_draw():
        overhead_plot(record).write(out)
    else:
        remarks.append("no plot: matplotlib is missing; pip install 'scalewise-tts[demo]'")
