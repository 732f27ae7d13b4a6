"""Time of the Frechet distance of 2048 features beside scipy's matrix root: ``python benchmarks/frechet.py``.

Both arms get the same covariances and give the distance; they take turns, in random order within a round. The
features are made up, with a spectrum that falls as those of images do: 5 000 images on both sides, and 1 000
on one, whose covariance is singular. ``cpu_seconds`` is the time of all threads, which says more than the
clock where other work shares the machine. Figures go to ``benchmarks/results/frechet.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.linalg import sqrtm
from threadpoolctl import threadpool_limits

from tts.evaluation.frechet import FrechetStatistics, frechet_distance
from tts.io import write_json
from tts.runinfo import environment

RESULTS = Path(__file__).parent / "results" / "frechet.json"
FACTORS = 256
Arm = Callable[[], float]


def features(images: int, dimensions: int, seed: int) -> torch.Tensor:
    """Non-negative features (N, D) of a few strong factors and much weak noise."""
    mixing = torch.randn(FACTORS, dimensions, generator=torch.Generator().manual_seed(0)) / FACTORS**0.5
    generator = torch.Generator().manual_seed(seed)
    strong = torch.randn(images, FACTORS, generator=generator) @ mixing
    return (strong + 0.3 * torch.randn(images, dimensions, generator=generator) - 0.3).relu()


def by_scipy(a: FrechetStatistics, b: FrechetStatistics) -> float:
    """The distance by the root of the product of the covariances."""
    covariance_a, covariance_b = a.covariance, b.covariance
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that a singular product may have an inaccurate root
        root = np.real(sqrtm(covariance_a @ covariance_b))
    difference = a.mean - b.mean
    return float(
        difference @ difference + np.trace(covariance_a) + np.trace(covariance_b) - 2 * np.trace(root)
    )


def measure(arms: dict[str, Arm], rounds: int) -> dict[str, dict[str, object]]:
    """Seconds of every round, and the distance, of each arm."""
    order = random.Random(0)
    wall: dict[str, list[float]] = {name: [] for name in arms}
    cpu: dict[str, list[float]] = {name: [] for name in arms}
    distance: dict[str, float] = {}
    for round_ in range(rounds):
        for name in order.sample(list(arms), len(arms)):
            clock, spent = time.perf_counter(), time.process_time()
            distance[name] = arms[name]()
            wall[name].append(time.perf_counter() - clock)
            cpu[name].append(time.process_time() - spent)
            print(
                f"round {round_ + 1}: {name:24s} {wall[name][-1]:6.1f} s, cpu {cpu[name][-1]:6.1f} s",
                flush=True,
            )
    return {
        name: {
            "distance": distance[name],
            "seconds": wall[name],
            "median_seconds": statistics.median(wall[name]),
            "cpu_seconds": cpu[name],
            "median_cpu_seconds": statistics.median(cpu[name]),
        }
        for name in arms
    }


def main() -> None:
    """Measure, and write the figures beside those of other numbers of threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dimensions", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    many, others, few = (
        FrechetStatistics.of(features(images, options.dimensions, seed))
        for seed, images in enumerate((5000, 5000, 1000), 1)
    )
    arms: dict[str, Arm] = {
        "tts": lambda: frechet_distance(many, others),
        "scipy": lambda: by_scipy(many, others),
        "tts, 1000 images": lambda: frechet_distance(many, few),
        "scipy, 1000 images": lambda: by_scipy(many, few),
    }
    before = os.getloadavg()[0]
    with threadpool_limits(options.threads, user_api="blas"):
        found = measure(arms, options.rounds)
        itself = frechet_distance(many, many)
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    results[f"{options.threads} threads"] = {
        "dimensions": options.dimensions,
        "rounds": options.rounds,
        "load_average": {"before": before, "after": os.getloadavg()[0]},
        "note": "where the load is above the number of threads, other work shared the machine: see"
        " cpu_seconds; with several threads these count waiting for each other, too",
        "arms": found,
        "distance_to_itself": itself,
        "environment": environment(torch.device("cpu")),
    }
    write_json(options.out, results)


if __name__ == "__main__":
    main()
