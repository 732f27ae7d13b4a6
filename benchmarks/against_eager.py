"""The samplers beside the eager baseline, on this machine: ``python benchmarks/against_eager.py``.

VAR-d16 with random weights, one guided image, float32, decoder included. A gate comes first: with the most
probable token everywhere, all arms must make the same image. Then every arm runs in rounds of random order,
the baseline (``benchmarks/eager.py``) twice, which shows the noise. Ratios are those of a round. Figures go
to ``benchmarks/results/against_eager.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from eager import EagerSampler
from torch import Tensor

from tts.bench.untrained import UntrainedScorer, untrained_var
from tts.config import SearchSettings
from tts.io import write_json
from tts.runinfo import environment
from tts.search import search
from tts.selectors import GreedySelector

RESULTS = Path(__file__).parent / "results" / "against_eager.json"
CPU = torch.device("cpu")
LABEL = torch.tensor([207])
BASE = "eager, M = 1"
Arm = Callable[[], object]


def arms(depth: int, candidates: int) -> dict[str, Arm]:
    """All arms, once they agree."""
    torch.manual_seed(0)
    backbone = untrained_var(depth, torch.float32, CPU)
    spread_logits(backbone.transformer.head.weight)
    scorer = UntrainedScorer(False, torch.float32, CPU)
    eager = EagerSampler(backbone.transformer, backbone.tokenizer, scorer.network, torch.float32)

    def ours(count: int, sampler: str, top_k: int = 900) -> Tensor:
        counts = (1, *[count] * (backbone.info.scales - 1))
        settings = SearchSettings(counts, cfg=1.5, top_k=top_k, top_p=0.96, sampler=sampler)
        images = search(backbone, scorer, GreedySelector(), settings, LABEL, LABEL).images
        assert images is not None
        return images

    def baseline(count: int, top_k: int = 900) -> Tensor:
        return eager.sample(LABEL, count, 1.5, top_k, 0.96)

    wanted = baseline(1, top_k=1)
    for sampler in ("exact", "fast"):
        error = float((ours(1, sampler, top_k=1) - wanted).abs().max())
        if error > 1e-3:
            raise SystemExit(f"{sampler} makes another image (error {error:.2g}): the measurement is void")
    return {
        BASE: lambda: baseline(1),
        f"{BASE} again": lambda: baseline(1),
        f"eager, M = {candidates}": lambda: baseline(candidates),
        "exact, M = 1": lambda: ours(1, "exact"),
        f"exact, M = {candidates}": lambda: ours(candidates, "exact"),
        "fast, M = 1": lambda: ours(1, "fast"),
        f"fast, M = {candidates}": lambda: ours(candidates, "fast"),
    }


def spread_logits(head: Tensor) -> None:
    """Make random logits as different as trained ones, so that the filters leave some hundred codes."""
    head.data *= 2.5 / (float(head.detach().std()) * head.shape[1] ** 0.5)


def main() -> None:
    """Measure, and write the figures beside those of other numbers of threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=16)
    parser.add_argument("--candidates", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    runs = arms(options.depth, options.candidates)
    before, order = os.getloadavg()[0], random.Random(0)
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name in order.sample(list(runs), len(runs)):
            started = time.perf_counter()
            runs[name]()
            taken[name].append(time.perf_counter() - started)
            print(f"{name:18s} {taken[name][-1]:6.2f} s", flush=True)
    found = {}
    for name, seconds in taken.items():
        ratios = sorted(base / value for base, value in zip(taken[BASE], seconds, strict=True))
        found[name] = {
            "median_seconds": statistics.median(seconds),
            "times_as_fast_as_eager": statistics.median(ratios),
            "range": [ratios[0], ratios[-1]],
        }
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    results[f"d{options.depth}, {options.threads} threads"] = {
        "rounds": options.rounds,
        "load_average": {"before": before, "after": os.getloadavg()[0]},
        "arms": found,
        "environment": environment(CPU),
    }
    write_json(options.out, results)


if __name__ == "__main__":
    main()
