"""What a guided batch takes, counted without a device: ``python benchmarks/count_operations.py``.

Kernels, bytes, FLOPs and the most memory of VAR-d16 and VAR-d30 in half precision, 24 images of 256x256, by
both samplers and by the eager baseline (``benchmarks/eager.py``), with the decoder, which is also counted by
itself. The counts are those of eager PyTorch: they say what there is to launch, to read and to write, not how
long it takes, and compilation fuses more. They go to ``benchmarks/results/operations.json``.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from eager import EagerSampler

from tts.bench.counting import Count, Counter, WholeAttention
from tts.bench.untrained import META, UntrainedScorer, untrained_var
from tts.config import SearchSettings
from tts.io import write_json
from tts.runinfo import environment
from tts.search import search
from tts.selectors import GreedySelector

RESULTS = Path(__file__).parent / "results" / "operations.json"
CANDIDATES = (4, 32, 128, 1024)
OFTEN = 12


def sampled(depth: int, candidates: int, sampler: str, batch: int) -> tuple[Count, dict[str, int]]:
    """The count of one batch, and the kernels of the most frequent operations."""
    backbone = untrained_var(depth, torch.float16)
    if sampler == "fast":
        backbone = backbone.fast()
    scorer = UntrainedScorer(sampler == "fast", torch.float16)
    labels = torch.zeros(batch, dtype=torch.int64, device=META)
    sampling = backbone.info.sampling
    settings = SearchSettings(
        (1, *[candidates] * (backbone.info.scales - 1)),
        cfg=sampling.cfg,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        sampler=sampler,
    )
    with Counter() as counter, WholeAttention(counter):
        search(backbone, scorer, GreedySelector(), settings, labels, labels)
    often = sorted(counter.by_name.items(), key=lambda item: -item[1])[:OFTEN]
    return counter.count, dict(often)


def eager(depth: int, candidates: int, batch: int) -> tuple[Count, dict[str, int]]:
    """The count of one batch by the eager baseline, whose float32 weights autocast casts."""
    backbone = untrained_var(depth, torch.float32)
    network = UntrainedScorer(False, torch.float32).network
    sampler = EagerSampler(backbone.transformer, backbone.tokenizer, network, torch.float16)
    labels = torch.zeros(batch, dtype=torch.int64, device=META)
    sampling = backbone.info.sampling
    with Counter() as counter, WholeAttention(counter):
        sampler.sample(labels, candidates, sampling.cfg, sampling.top_k, sampling.top_p)
    return counter.count, dict(sorted(counter.by_name.items(), key=lambda item: -item[1])[:OFTEN])


@torch.inference_mode()
def decoded(batch: int) -> Count:
    """The count of decoding a batch."""
    backbone = untrained_var(1, torch.float16)
    info = backbone.info
    latent = torch.zeros(batch, info.channels, info.grid, info.grid, device=META)
    with Counter() as counter, WholeAttention(counter):
        backbone.tokenizer.decode(latent)
    return counter.count


def parts_of(count: Count, base: Count) -> dict[str, float]:
    """A count as parts of the eager baseline's."""
    return {"kernels_of_eager": count.kernels / base.kernels, "bytes_of_eager": count.bytes / base.bytes}


def said(count: Count) -> str:
    """A count in words."""
    return f"{count.kernels:6d} kernels {count.bytes / 1e9:6.1f} GB {count.flops / 1e12:6.2f} TFLOP"


def main() -> None:
    """Count, and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--depths", type=int, nargs="+", default=(16, 30))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    counts: dict[str, object] = {"decoder": asdict(decoded(options.batch))}
    for depth in options.depths:
        base, _ = eager(depth, 1, options.batch)
        for sampler in ("eager", "exact", "fast"):
            run = partial(eager, depth) if sampler == "eager" else partial(sampled, depth, sampler=sampler)
            plain, _ = run(1, batch=options.batch)
            counts[f"d{depth}, {sampler}, M = 1"] = {"count": asdict(plain), **parts_of(plain, base)}
            print(f"d{depth}, {sampler}, M = 1: {said(plain)}", parts_of(plain, base), flush=True)
            for candidates in CANDIDATES:
                found, often = run(candidates, batch=options.batch)
                more = found - plain
                name = f"d{depth}, {sampler}, M = {candidates}"
                counts[name] = {"count": asdict(found), "beyond_M_1": asdict(more), "often": often}
                print(f"{name:24s} {said(found)}; beyond M = 1: {said(more)}", flush=True)
    write_json(
        options.out,
        {"batch": options.batch, "counts": counts, "environment": environment(torch.device("cpu"))},
    )


if __name__ == "__main__":
    main()
