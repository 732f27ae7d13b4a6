"""The work of ``tts bench``: what selection costs, measured on a machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tts.bench.auto import Choice, choose_batch, measured_speed
from tts.bench.config import RESULT, BenchConfig, check_bench
from tts.bench.counts import BatchCounter
from tts.bench.report import (
    ALLOCATOR,
    COUNTED,
    BatchReport,
    BenchReport,
    Memory,
    Point,
    noise_of,
    point_of,
)
from tts.bench.subject import RANDOM, Subject, build_subject
from tts.bench.timing import Arm, Clock, Stopwatch, time_arms
from tts.errors import RunError
from tts.evaluation.sweep.timing import load_average
from tts.io import ensure_writable_dir, write_json
from tts.pipeline import Generator
from tts.resolve import remarks_of
from tts.runinfo import describe_backbone, describe_scorer, environment
from tts.search import effective_candidates

Progress = Callable[[int, int], None]
Say = Callable[[str], None]


def run_bench(
    config: BenchConfig,
    progress: Progress = lambda done, total: None,
    say: Say = lambda message: None,
    clock: Clock = time.perf_counter,
) -> BenchReport:
    """Time every batch size and number of candidates; with ``out``, write ``bench.json`` and a plot."""
    check_bench(config)
    out = None if config.out is None else ensure_writable_dir(config.out)
    subject, before = build_subject(config), load_average()
    for remark in weight_remarks(subject):
        say(remark)
    found = Bench(subject, Stopwatch(subject.model.device, clock), progress, say).run()
    about = {**describe(subject), "load_average": {"before": before, "after": load_average()}}
    report = BenchReport(about, found.auto, found.batches, (*weight_remarks(subject), *found.remarks))
    if out is not None:
        write_report(report, out, say)
    return report


@dataclass(frozen=True)
class Found:
    """The batch sizes' points, and how the size was found if it was."""

    auto: Choice | None
    batches: tuple[BatchReport, ...]
    remarks: tuple[str, ...]


class Bench:
    """Times a built model."""

    def __init__(self, subject: Subject, watch: Stopwatch, progress: Progress, say: Say) -> None:
        self.subject, self.config, self.watch = subject, subject.config, watch
        self.progress, self.say = progress, say
        self.generators = {count: subject.generator(count) for count in self.config.counts}
        self.remarks: list[str] = []
        self.counter = BatchCounter.of(subject, self._remark)
        self._done = 0

    def run(self) -> Found:
        """Time all batch sizes, the smallest first."""
        auto = None
        batches = self.config.batches
        if batches is None:
            auto = choose_batch(measured_speed(self.generators[1], self.watch))
            batches = (auto.batch,)
        total = len(batches) * (1 + len(self.generators)) * (1 + self.config.rounds)
        reports = tuple(self._batch(batch, total) for batch in batches)
        if not any(point.best for report in reports for point in report.points):
            raise RunError(
                f"the device has too little memory for {batches[0]} images; pass a smaller --batch,"
                " --dtype bfloat16 or another --device"
            )
        return Found(auto, reports, tuple(self.remarks))

    def _batch(self, batch: int, total: int) -> BatchReport:
        arms = [Arm(count, generator) for count, generator in self.generators.items()]
        base, again = arms[0], Arm(1, self.generators[1], again=True)
        time_arms([*arms, again], batch, self.config.rounds, self.watch, lambda: self._tick(total))
        points = tuple(self._point(arm, base, batch) for arm in arms)
        for arm in arms:
            if arm.lost:
                self._remark(f"the device has too little memory for {batch} images of M = {arm.candidates}")
        return BatchReport(batch, noise_of(again, base), self._decoder(points[0]), points)

    def _point(self, arm: Arm, base: Arm, batch: int) -> Point:
        counted = self.counter.count(batch, arm.candidates, self.config.decode)
        memory = None
        if arm.peak is not None:
            memory = Memory(arm.peak, ALLOCATOR)
        elif counted is not None:
            memory = Memory(self.counter.peak(counted), COUNTED)
        return point_of(arm, base, batch, batch * among(arm.generator), memory, counted)

    def _decoder(self, plain: Point) -> Any:
        """What the decoder takes of a batch."""
        if plain.counted is None or not self.config.decode:
            return None
        latent = self.counter.count(plain.batch, 1, decode=False)
        return None if latent is None else plain.counted - latent

    def _tick(self, total: int) -> None:
        self._done += 1
        self.progress(self._done, total)

    def _remark(self, text: str) -> None:
        self.remarks.append(text)
        self.say(text)


def among(generator: Generator) -> int:
    """Maps among which an image is chosen, at all scales where there are several."""
    counts = effective_candidates(generator.backbone.info, generator.settings)
    return sum(count for count in counts if count > 1)


def weight_remarks(subject: Subject) -> tuple[str, ...]:
    """What to say of weights that nobody trained."""
    name, remarks = subject.model.info.name, [*remarks_of(subject.model.backbone)]
    if subject.weights == RANDOM:
        remarks.append(
            f"{name} has random weights, which will do for times;"
            f" run 'tts fetch {name}' or pass --weights for its own"
        )
    if subject.scorer_weights == RANDOM:
        remarks.append("the scorer has random weights; pass --scorer FILE for a trained one")
    elif subject.config.sample.scorer == "auto" and subject.model.automatic.note:
        remarks.append(subject.model.automatic.note)
    return tuple(remarks)


def describe(subject: Subject) -> dict[str, Any]:
    """What is timed and on what, for the record."""
    config, model = subject.config, subject.model
    most = subject.generator(config.counts[-1])
    backbone = describe_backbone(model.backbone)
    if subject.weights == RANDOM:
        backbone["weights_sha256"] = None
    scorer = describe_scorer(most.scorer)
    if scorer is not None:
        scorer["weights"] = subject.scorer_weights
    resolved = asdict(most.settings)
    return {
        "settings": config.settings(),
        "resolved": {
            key: resolved[key] for key in ("cfg", "top_k", "top_p", "sampler", "chunk", "chunk_bytes")
        },
        "backbone": {**backbone, "weights": subject.weights},
        "scorer": scorer,
        "selector": most.selector.name,
        "weights": subject.weights,
        "threads": torch.get_num_threads(),
        "processors": os.cpu_count(),
        "environment": environment(model.device),
    }


def write_report(report: BenchReport, out: Path, say: Say) -> None:
    """Write the record, and the plot where matplotlib is installed."""
    from tts.bench.plot import cost_plot
    from tts.evaluation.sweep.drawing import can_draw, style

    write_json(out / RESULT, report.record())
    if not can_draw():
        say("no plot without matplotlib; install the extra 'demo' and run it again with --overwrite")
        return
    with style():
        plot = cost_plot(report)
    if plot is not None:
        plot.write(out)
