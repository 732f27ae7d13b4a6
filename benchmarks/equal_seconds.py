"""Best-of-N against LSRS at equal seconds: ``python benchmarks/equal_seconds.py SWEEP``.

Times every setting in interleaved rounds of random order, with the same images, batch and threads; ratios
are to the plain model of the same round, and a second plain arm gives the noise floor. Figures come from the
sweep's folder, which must have the points. Each LSRS point is set beside the smallest measured N that takes
at least as long, in favour of best-of-N. The table joins the sweep's tables and its report; the numbers go
to ``benchmarks/results/equal_seconds.json``.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tts.building import PartsCache, build_generator
from tts.evaluation.report.folder import write_report
from tts.evaluation.sweep.figures import Entry
from tts.evaluation.sweep.reading import ResultPoint, read_results
from tts.evaluation.sweep.tables import Table
from tts.io import read_json, write_json
from tts.pipeline import Generator, Item
from tts.runinfo import environment
from tts.sample_config import SampleConfig

RESULTS = Path(__file__).parent / "results" / "equal_seconds.json"
SEED = 900_000_000


@dataclass(frozen=True)
class Arm:
    """A setting to be timed, and its point in the sweep."""

    name: str
    generator: Generator
    point: ResultPoint | None = None
    lsrs: bool = False
    size: int = 1


def arms(folder: Path, base: SampleConfig) -> list[Arm]:
    """The plain model twice, LSRS at ST = 2 with the default scorer, and best-of-N."""
    cache = PartsCache()
    points = read_results(folder).points
    plain = build_generator(replace(base, candidates="1"), cache)
    found = [Arm("plain", plain, next(p for p in points if p.plain)), Arm("plain again", plain)]
    for point in points:
        setting, count = point.setting, point.candidates
        if count is None or count == 1:
            continue
        if setting.strategy == "best-of-n":
            config = replace(base, strategy="best-of-n", candidates=str(count))
            found.append(Arm(f"best of {count}", build_generator(config, cache), point, False, count))
        elif (setting.selector, setting.start_scale, setting.scorer) == ("greedy", 2, "learned"):
            config = replace(base, candidates=str(count))
            found.append(Arm(f"LSRS M = {count}", build_generator(config, cache), point, True, count))
    return found


def seconds(generator: Generator, images: int, batch: int) -> float:
    """Seconds that the images of a round take."""
    items = [Item(i % generator.backbone.info.classes, SEED + i) for i in range(images)]
    started = time.perf_counter()
    for _ in generator.batches(items, batch):
        pass
    return time.perf_counter() - started


def measure(all_arms: list[Arm], rounds: int, images: int, batch: int) -> dict[str, list[float]]:
    """Seconds of every arm in every round; one short round first, to warm up."""
    found: dict[str, list[float]] = {arm.name: [] for arm in all_arms}
    for arm in all_arms:
        seconds(arm.generator, batch, batch)
    order = random.Random(0)
    for number in range(rounds):
        for arm in order.sample(all_arms, len(all_arms)):
            found[arm.name].append(seconds(arm.generator, images, batch))
        print(f"round {number + 1}/{rounds}", flush=True)
    return found


def ratios(found: dict[str, list[float]]) -> dict[str, tuple[float, float, float]]:
    """Median, lowest and highest ratio of every arm to the plain model of the same round."""
    plain = found["plain"]
    by_arm = {
        name: [a / b for a, b in zip(times, plain, strict=True)]
        for name, times in found.items()
        if name != "plain"
    }
    return {name: (statistics.median(r), min(r), max(r)) for name, r in by_arm.items()}


def cell(point: ResultPoint | None, key: str) -> str:
    """A figure with its spread."""
    if point is None:
        return "–"
    return f"{point.mean(key):.3f} ± {point.spread(key) or 0:.3f}"


def table(title: str, all_arms: list[Arm], ratio: dict[str, tuple[float, float, float]]) -> Table:
    """LSRS with M candidates a row, beside best-of-N with at least its seconds."""
    rest = sorted((arm for arm in all_arms if not arm.lsrs and arm.size > 1), key=lambda arm: arm.size)
    rows = []
    for arm in sorted((arm for arm in all_arms if arm.lsrs), key=lambda arm: arm.size):
        assert arm.point is not None
        cost = ratio[arm.name][0]
        rival = next((other for other in rest if ratio[other.name][0] >= cost), None)
        names = (str(arm.size), f"{cost:.2f}", cell(arm.point, "fid"), cell(arm.point, "accuracy"))
        theirs = (str(rival.size), f"{ratio[rival.name][0]:.2f}") if rival else ("–", "–")
        figures = (cell(rival.point if rival else None, key) for key in ("fid", "accuracy"))
        rows.append((*names, *theirs, *figures))
    low, high = ratio["plain again"][1:]
    plain = next(arm.point for arm in all_arms if arm.name == "plain")
    caption = (
        "Times are medians of ratios to the plain model in interleaved rounds (the plain model against"
        f" itself: {low:.2f} to {high:.2f}). Best-of-N has the smallest measured N that takes at least as"
        f" long; its judge is the network whose features are compared, which favours it. Plain: {title}"
        f" {cell(plain, 'fid')}, accuracy {cell(plain, 'accuracy')}."
    )
    header = ("LSRS M", "time", title, "accuracy", "best of N", "time", title, "accuracy")
    return Table(
        "equal-seconds", "Best-of-N against LSRS at equal seconds", caption, None, header, tuple(rows)
    )


def publish(folder: Path, made: Table) -> None:
    """Add the table to the sweep's figures and make the report anew."""
    made.write(folder)
    entry = Entry(
        "table", f"tables/{made.name}.md", made.title, made.caption, None, None, made.header, made.rows
    )
    entries = [old for old in read_json(folder / "figures.json") if old["file"] != entry.file]
    write_json(folder / "figures.json", [*entries, entry.to_json()])
    write_report(folder)


def main() -> None:
    """Time the settings of a sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=250)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = read_results(options.folder)
    all_arms = arms(options.folder, replace(results.base, device="cpu"))
    found = measure(all_arms, options.rounds, options.images, options.batch)
    ratio = ratios(found)
    made = table(results.title, all_arms, ratio)
    print(made.markdown)
    settings = {key: getattr(options, key) for key in ("rounds", "images", "batch", "threads")}
    write_json(
        RESULTS,
        {
            "backbone": results.base.backbone,
            **settings,
            "seconds": found,
            "ratio_to_plain": {
                name: dict(zip(("median", "low", "high"), r, strict=True)) for name, r in ratio.items()
            },
            "header": made.header,
            "rows": made.rows,
            "environment": environment(torch.device("cpu")),
        },
    )
    publish(options.folder, made)


if __name__ == "__main__":
    main()
