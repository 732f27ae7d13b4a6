"""What the printed intervals hold, where the truth is known: ``python benchmarks/coverage.py``.

- ``eval``: intervals of ``tts eval --bootstrap`` of N samples of 64 features. Samples are Gaussian with a
  falling spectrum, or features of real digits drawn with replacement; they come from the reference's own
  distribution (``near``), where the distance is all bias, or from another (``far``).
- ``paired``: intervals of k differences (``tts sweep --against``, ``tts tune``), normal and skewed ones.
- ``median``: medians of n rounds (``tts bench``), of times with a long tail.

``cover`` is the share of intervals that hold the mean figure of many sets of N samples, which should be 0.95;
``width`` is their mean width in that of an interval of the right width, 2 x 1.96 standard deviations of the
figure over those sets. ``cover_truth`` is the share that holds the figure at infinitely many samples. With
60 sets a cover of 0.95 comes out between 0.88 and 1. Figures go to ``benchmarks/results/coverage.json``;
``--only recall paired`` measures these anew and leaves the others there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tts.bench.figures import Estimate
from tts.evaluation.compute import evaluate
from tts.evaluation.digits import DigitsFeatures, build
from tts.evaluation.digits_source import open_digits
from tts.evaluation.features import Features
from tts.evaluation.figures import Figures, MetricOptions, Reference
from tts.evaluation.frechet import FrechetStatistics, frechet_distance
from tts.evaluation.paired import paired_interval
from tts.io import read_json, write_json
from tts.runinfo import environment
from tts.specs import FeatureRequest

RESULTS = Path(__file__).parent / "results" / "coverage.json"
FEATURES, RESAMPLES, NORMAL = 64, 100, 1.959964
COUNTS = (50, 64, 100, 200, 512, 1000)
NAMES = [field.name for field in fields(Figures) if field.name not in ("images", "intervals")]
EVERY = [*NAMES, "paired", "median"]
Draw = Callable[[int, int], Features]
Report = dict[str, Any]


def gaussian(shift: float, scale: float) -> Draw:
    """Features of a Gaussian whose deviations fall by e^2 from the first to the last."""
    deviations = torch.linspace(0, -2, FEATURES).exp()

    def draw(count: int, seed: int) -> Features:
        noise = torch.randn(count, FEATURES, generator=torch.Generator().manual_seed(seed))
        pool = noise * deviations * scale + shift
        return Features(pool, None, 2 * pool[:, :10])

    return draw


def real_digits(contrast: float) -> Draw:
    """Features of real digits of less contrast, each drawn any number of times."""
    source = open_digits("all")
    images = torch.from_numpy(source.pixels).permute(0, 3, 1, 2).float() * contrast
    extractor: DigitsFeatures = build(FeatureRequest(torch.device("cpu"), None))
    found = extractor.extract(images.to(torch.uint8))
    labels = torch.from_numpy(source.labels)

    def draw(count: int, seed: int) -> Features:
        rows = torch.randint(len(labels), (count,), generator=torch.Generator().manual_seed(seed))
        spatial, logits = found.spatial, found.logits
        assert spatial is not None
        assert logits is not None
        return Features(found.pool[rows], spatial[rows], logits[rows], labels[rows])

    return draw


def measure(draw: Draw, other: Draw, count: int, truths: int, sets: int, names: list[str]) -> Report:
    """Cover and width of the interval of every figure of ``count`` samples among ``names``."""
    reference = Reference.of(other(1000, 10**6))
    extrapolate = count >= 512 and "fid_infinity" in names  # which have intervals at infinity
    plain = MetricOptions(extrapolate=extrapolate)
    options = MetricOptions(bootstrap=RESAMPLES, extrapolate=extrapolate)
    figures = [evaluate(draw(count, seed), reference, plain, True) for seed in range(truths)]
    intervals = [evaluate(draw(count, seed), reference, options, True).intervals for seed in range(sets)]
    truth = {}
    if extrapolate:
        limit = FrechetStatistics.of(draw(200_000, 10**6 + 1).pool)
        truth["fid_infinity"] = frechet_distance(reference.pool, limit)
    found: Report = {}
    for name in names:
        values = [getattr(one, name) for one in figures]
        ends = np.array([one[name] for one in intervals if name in one])
        if not len(ends) or None in values:
            continue
        mean, deviation = np.mean(values), np.std(values, ddof=1)
        found[name] = {
            "mean": float(mean),
            "intervals": len(ends),
            "cover": _cover(ends, mean),
            "width": float(np.mean(ends[:, 1] - ends[:, 0]) / (2 * NORMAL * deviation)),
        }
        if name in truth:
            found[name] |= {"truth": truth[name], "cover_truth": _cover(ends, truth[name])}
    return found


def _cover(ends: Any, value: Any) -> float:
    return float(np.mean((ends[:, 0] <= value) & (value <= ends[:, 1])))


def paired(sets: int) -> Report:
    """Cover of the interval of k differences with mean 0, and its mean width in standard deviations."""
    random = np.random.default_rng(0)
    kinds = {"normal": random.normal, "skewed": lambda size: random.exponential(size=size) - 1}
    found: Report = {}
    for kind, draw in kinds.items():
        for count in (3, 4, 5, 6, 8, 10, 20):
            ends = [paired_interval(list(row)) for row in draw(size=(sets, count))]
            holds = [one.low <= 0 <= one.high for one in ends]
            found[f"{kind}, k {count}"] = {
                "cover": float(np.mean(holds)),
                "mean_width": float(np.mean([one.high - one.low for one in ends])),
            }
    return found


def median(sets: int) -> Report:
    """Cover of the interval of the median of n rounds of times with a long tail."""
    random = np.random.default_rng(0)
    found: Report = {}
    for count in (5, 6, 8, 15, 30):
        ends = [Estimate.of(list(row)) for row in random.lognormal(sigma=0.3, size=(sets, count))]
        there = [one for one in ends if one.low is not None and one.high is not None]
        holds = [one.low <= 1 <= one.high for one in there]  # type: ignore[operator]
        found[f"n {count}"] = {"intervals": len(there), "cover": float(np.mean(holds)) if holds else None}
    return found


def main() -> None:
    """Measure all, print a line a case, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--truths", type=int, default=300, help="sets that give the true figures")
    parser.add_argument("--sets", type=int, default=60, help="sets whose intervals are judged")
    parser.add_argument("--images", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--only", nargs="+", choices=EVERY, default=EVERY, metavar="FIGURE")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.process_time()
    cases = {
        "gaussian, near": (gaussian(0, 1), gaussian(0, 1)),
        "gaussian, far": (gaussian(0.3, 1.3), gaussian(0, 1)),
        "digits, near": (real_digits(1), real_digits(1)),
        "digits, far": (real_digits(0.7), real_digits(1)),
    }
    before = read_json(options.out) if options.out.exists() else {}
    found: Report = before.get("eval", {})
    names = [name for name in NAMES if name in options.only]
    for kind, (draw, other) in cases.items() if names else ():
        for count in options.images:
            row = measure(draw, other, count, options.truths, options.sets, names)
            found[f"{kind}, N {count}"] = found.get(f"{kind}, N {count}", {}) | row
            told = [f"{name} {one['cover']:.2f} x{one['width']:.2f}" for name, one in row.items()]
            print(f"{kind}, N {count}: {'; '.join(told)}", flush=True)
    kinds = {"paired": paired, "median": median}
    others = {kind: run(4000) for kind, run in kinds.items() if kind in options.only}
    settings = {"features": FEATURES, "resamples": RESAMPLES, "truths": options.truths, "sets": options.sets}
    spent = {"cpu_seconds": time.process_time() - started, "environment": environment(torch.device("cpu"))}
    made = (
        {**settings, **spent}
        if len(options.only) == len(EVERY)
        else {"anew": {"only": options.only, **settings, **spent}}
    )
    write_json(options.out, {**before, **made, "eval": found, **others})


if __name__ == "__main__":
    main()
