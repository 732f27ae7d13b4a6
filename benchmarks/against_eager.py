"""The samplers beside the eager baseline, on this machine: ``python benchmarks/against_eager.py``.

VAR-d16 with random weights, decoder included, in float32 and, with weights or autocast, in half precision. A
gate comes first: with the most probable token everywhere, all float32 arms must make the same image, and half
precision must give nearly the same logits. Then every arm runs in rounds of random order, the baseline
(``benchmarks/eager.py``) twice, which shows the noise. Ratios are those of a round. Figures go to
``benchmarks/results/against_eager.json``. ``--compiled`` adds the baseline with half weights and compiled
blocks and the fast sampler with compiled parts, ``--reference-repo PATH`` the authors' sampler from a
checkout of theirs. On a GPU:
``python benchmarks/against_eager.py --device cuda --depth 30 --batch 24 --half float16 --candidates 4 128``.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from eager import EagerSampler, compiled
from reference import ReferenceSampler
from torch import Tensor

from tts.backbones.var_adapter import VarBackbone
from tts.bench.untrained import UntrainedScorer, untrained_var
from tts.config import SearchSettings
from tts.interfaces import Scorer
from tts.io import write_json
from tts.resolve import torch_device
from tts.runinfo import environment
from tts.search import search
from tts.selectors import GreedySelector

RESULTS = Path(__file__).parent / "results" / "against_eager.json"
BASE = "eager float32, M = 1"
CFG, TOP_K, TOP_P = 1.5, 900, 0.96
Arm = Callable[..., Tensor]


@dataclass
class Bench:
    """Arms on the same weights, by name; each takes the number of candidates and top-k."""

    options: argparse.Namespace
    device: torch.device
    labels: Tensor

    def eager(self, backbone: VarBackbone, dtype: torch.dtype) -> EagerSampler:
        """The baseline, with the published scorer."""
        network = UntrainedScorer(False, torch.float32, self.device).network
        return EagerSampler(backbone.transformer, backbone.tokenizer, network, dtype)

    def ours(self, backbone: VarBackbone, sampler: str, scorer: Scorer, compile_parts: bool = False) -> Arm:
        """A sampler of this project."""

        def run(count: int = 1, top_k: int = TOP_K) -> Tensor:
            counts = (1, *[count] * (backbone.info.scales - 1))
            settings = SearchSettings(
                counts, cfg=CFG, top_k=top_k, top_p=TOP_P, sampler=sampler, compiled=compile_parts
            )
            images = search(backbone, scorer, GreedySelector(), settings, self.labels, self.labels).images
            assert images is not None
            return images

        return run

    def arms(self) -> dict[str, Arm]:
        """All arms, once they agree."""
        options, half = self.options, getattr(torch, self.options.half)
        whole = untrained_var(options.depth, torch.float32, self.device)
        parts = copy.deepcopy(whole.transformer), copy.deepcopy(whole.tokenizer)
        halved = VarBackbone(whole.info, *parts, (), self.device, half)
        plain = UntrainedScorer(False, torch.float32, self.device)
        fused = plain if self.device.type == "cpu" else UntrainedScorer(True, half, self.device)
        eager = {dtype: self.eager(whole, dtype) for dtype in (torch.float32, half)}
        arms: dict[str, Arm] = {
            "eager float32": baseline(eager[torch.float32], self.labels),
            "exact float32": self.ours(whole, "exact", plain),
            "fast float32": self.ours(whole.fast(), "fast", plain),
        }
        self.gate(arms)
        self.gate_half(whole, halved.fast())
        arms[f"eager {options.half} autocast"] = baseline(eager[half], self.labels)
        arms[f"fast {options.half}"] = self.ours(halved.fast(), "fast", fused)
        if options.compiled:
            arms[f"eager {options.half} compiled"] = baseline(compiled(eager[half]), self.labels)
            fast = halved.fast(True)
            self.gate_half(whole, fast)
            judge = UntrainedScorer(True, half, self.device, compile_blocks=True)
            scorer = plain if self.device.type == "cpu" else judge
            arms[f"fast {options.half} compiled"] = self.ours(fast, "fast", scorer, True)
        if options.reference_repo:
            arms["reference"] = baseline(ReferenceSampler(options.reference_repo, whole, half), self.labels)
        return arms

    def gate(self, arms: dict[str, Arm]) -> None:
        """Void the measurement unless all arms make the same image of the most probable tokens."""
        wanted = arms["eager float32"](top_k=1)
        for name, arm in arms.items():
            error = float((arm(top_k=1) - wanted).abs().max())
            if error > 1e-3:
                raise SystemExit(f"{name} makes another image (error {error:.2g}): the measurement is void")

    @torch.inference_mode()
    def gate_half(self, whole: VarBackbone, halved: VarBackbone) -> None:
        """Void it if half precision changes the first logits by more than a tenth of their spread."""
        wanted, found = (backbone.begin(self.labels, CFG).logits() for backbone in (whole, halved))
        error = float((found - wanted).std() / wanted.std())
        if not error < 0.1:
            raise SystemExit(f"half precision changes the logits by {error:.2g} of their spread: void")


def baseline(sampler: EagerSampler | ReferenceSampler, labels: Tensor) -> Arm:
    """A baseline as an arm."""
    return lambda count=1, top_k=TOP_K: sampler.sample(labels, count, CFG, top_k, TOP_P)


def runs_of(arms: dict[str, Arm], candidates: Sequence[int]) -> dict[str, Callable[[], Tensor]]:
    """Every arm with every number of candidates that it can have; the baseline twice."""
    runs = {
        f"{name}, M = {count}": partial(arm, count)
        for name, arm in arms.items()
        for count in (1, *candidates)
        if count == 1 or name != "reference"
    }
    return {f"{BASE} again": runs[BASE], **runs}


def measured(
    runs: dict[str, Callable[[], Tensor]], rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of every run in rounds of random order, after one of each that does not count."""
    order = random.Random(0)
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name in order.sample(list(runs), len(runs)):
            started = time.perf_counter()
            runs[name]().sum().item()  # waits for a GPU
            if number:
                taken[name].append(time.perf_counter() - started)
                print(f"{name:32s} {taken[name][-1]:7.3f} s", flush=True)
    return taken


def options_of(description: str | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--depth", type=int, default=16)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--candidates", type=int, nargs="+", default=[32])
    parser.add_argument("--half", choices=("bfloat16", "float16"), default="bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--reference-repo", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error(f"rounds {options.rounds} must be at least 2; 15 give an interval that means something")
    return options


def main() -> None:
    """Measure, and write the figures beside those of other settings."""
    options = options_of(__doc__)
    torch.set_num_threads(options.threads)
    device = torch_device(options.device)
    labels = (207 + torch.arange(options.batch, device=device)) % 1000
    runs = runs_of(Bench(options, device, labels).arms(), options.candidates)
    before = os.getloadavg()[0]
    taken = measured(runs, options.rounds, device)
    found = {}
    for name, seconds in taken.items():
        ratios = [base / value for base, value in zip(taken[BASE], seconds, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        found[name] = {
            "median_seconds": statistics.median(seconds),
            "times_as_fast_as_eager": middle,
            "middle_half": [low, high],
            "range": [min(ratios), max(ratios)],
        }
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    results[f"d{options.depth}, batch {options.batch}, {device.type}, {options.threads} threads"] = {
        "rounds": options.rounds,
        "load_average": {"before": before, "after": os.getloadavg()[0]},
        "arms": found,
        "environment": environment(device),
    }
    write_json(options.out, results)


if __name__ == "__main__":
    main()
