"""How many images another precision changes on a CPU: ``python benchmarks/precision.py``.

The same items with the same noise, 8 candidates a scale, by both samplers, in float32, bfloat16 and float16.
An image counts as changed where any token differs from those of float32 and the exact sampler.
``first_scale`` is the median of the first scale that differs. ``distance`` is the Frechet distance of the
digits' features from the held-out real digits, with its interval, so that a change for the worse would show.
Figures go to ``benchmarks/results/precision.json``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tts.building import build_generator
from tts.evaluation.compute import evaluate
from tts.evaluation.digits import build
from tts.evaluation.digits_source import open_digits
from tts.evaluation.figures import MetricOptions, Reference
from tts.io import to_uint8, write_json
from tts.pipeline import Item
from tts.runinfo import environment
from tts.sample_config import SampleConfig
from tts.specs import FeatureRequest

RESULTS = Path(__file__).parent / "results" / "precision.json"
ARMS = (
    ("float32", "exact"),
    ("float32", "fast"),
    ("bfloat16", "exact"),
    ("bfloat16", "fast"),
    ("float16", "exact"),
    ("float16", "fast"),
)


def generate(backbone: str, dtype: str, sampler: str, items: list[Item]) -> tuple[Tensor, Tensor, float]:
    """Tokens (N, L), images (N, 3, S, S) and seconds an image."""
    config = SampleConfig(backbone=backbone, candidates="8", dtype=dtype, sampler=sampler, device="cpu")
    generator = build_generator(config)
    list(generator.batches(items[:2], 2))
    started = time.perf_counter()
    results = [batch.result for batch in generator.batches(items, 50)]
    seconds = (time.perf_counter() - started) / len(items)
    images = [result.images for result in results if result.images is not None]
    return torch.cat([result.tokens for result in results]), torch.cat(images), seconds


def main() -> None:
    """Measure every arm and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backbones", nargs="+", default=["var-digits", "flexvar-digits"])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    extractor = build(FeatureRequest(torch.device("cpu"), None))
    real = torch.from_numpy(open_digits("heldout").pixels).permute(0, 3, 1, 2)
    reference, metrics = Reference.of(extractor.extract(real)), MetricOptions(bootstrap=200, manifold=False)
    items = [Item(number % 10, number) for number in range(options.images)]
    found: dict[str, Any] = {}
    for backbone in options.backbones:
        info = build_generator(SampleConfig(backbone=backbone, device="cpu")).backbone.info
        ends = torch.tensor([side * side for side in info.schedule]).cumsum(0)
        plain: Tensor | None = None
        for dtype, sampler in ARMS:
            tokens, images, seconds = generate(backbone, dtype, sampler, items)
            plain = tokens if plain is None else plain
            differs = tokens != plain  # N L
            changed = differs.any(dim=1)
            first = torch.bucketize(differs[changed].int().argmax(dim=1), ends, right=True) + 1
            pixels = torch.from_numpy(to_uint8(images, "round")).permute(0, 3, 1, 2)
            figures = evaluate(extractor.extract(pixels), reference, metrics)
            row = {
                "changed": float(changed.double().mean()),
                "first_scale": statistics.median(first.tolist()) if len(first) else None,
                "ms_per_image": 1000 * seconds,
                "distance": figures.fid,
                "interval": figures.intervals["fid"],
            }
            found[f"{backbone}, {dtype}, {sampler}"] = row
            print(backbone, dtype, sampler, row, flush=True)
    write_json(
        options.out,
        {"images": options.images, "arms": found, "environment": environment(torch.device("cpu"))},
    )


if __name__ == "__main__":
    main()
