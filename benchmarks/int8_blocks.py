"""Are int8 blocks on a CPU worth it? ``python benchmarks/int8_blocks.py``.

The arms are the fast sampler in float32 and bfloat16, and with blocks whose linear layers are int8
(``int8_linear.py``), activations with a scale for each row or each tensor. Head and decoder stay as they are.

- ``layers``, ``blocks``, ``image``: seconds of the last scale's layers, of all scales through the blocks, and
  of a guided image with its decoder, of VAR-d16 with random weights, one image, M = 1. Rounds of random
  order, bfloat16 twice, which shows the noise; ratios are those of a round.
- ``changes``: logits, draws and choices on the same prefixes as in float32, of VAR-d16 and of the trained
  digits models (``int8_quality.py``).
- ``frechet``: Frechet distances of the digits models' plain samples, several sets of seeds.

Gates void the measurement: a layer that does not compute its definition, and bfloat16 that changes logits by
a tenth of their spread. Needs the ``demo`` extra. Figures go to ``benchmarks/results/int8_blocks.json``.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from against_eager import measured
from int8_linear import Int8Linear, error, int8_works, quantised_rows
from int8_quality import Comparison, Prefixes, frechet_distances
from torch import Tensor

from tts.backbones.blocks import Block
from tts.backbones.var_adapter import VarBackbone
from tts.bench.untrained import untrained_var
from tts.config import SearchSettings
from tts.fast.linear import MakeLinear, fast_linear
from tts.fast.transformer import FastBlock, FastTransformer
from tts.io import write_json
from tts.resolve import build_backbone, build_scorer
from tts.runinfo import environment
from tts.search import search
from tts.selectors import GreedySelector

RESULTS = Path(__file__).parent / "results" / "int8_blocks.json"
CPU = torch.device("cpu")
LABELS = torch.tensor([207])
FLOAT, HALF = "float32", "bfloat16"
ROWS, TENSOR = partial(Int8Linear, rows=True), partial(Int8Linear, rows=False)
ARMS: dict[str, tuple[torch.dtype, MakeLinear]] = {
    FLOAT: (torch.float32, fast_linear),
    HALF: (torch.bfloat16, fast_linear),
    "int8 rows": (torch.bfloat16, ROWS),
    "int8 tensor": (torch.bfloat16, TENSOR),
    "int8 rows in float32": (torch.float32, ROWS),
}
"""The precision of everything in the blocks but the layers, and what makes these."""

MODELS = ("var-digits", "flexvar-digits")
LAYERS = {"qkv": (1, 3, False), "proj": (1, 1, False), "fc1": (1, 4, True), "fc2": (4, 1, False)}
"""Inputs and outputs in widths, and whether GELU follows."""

Runs = dict[str, Callable[[], Tensor]]


def arms_of(kinds: Mapping[torch.dtype, Any]) -> dict[str, Any]:
    """All arms, of the same backbone in both precisions; where layers are int8 the decoder is in bfloat16."""
    decoding, arms = kinds[torch.bfloat16].fast().tokenizer, {}
    for name, (dtype, make) in ARMS.items():
        arms[name] = kinds[dtype].fast()
        if make is not fast_linear:
            blocks = cast(list[Block], kinds[dtype].transformer.blocks)
            arms[name].engine.blocks = [FastBlock(block, make) for block in blocks]
            arms[name].tokenizer = decoding
    return arms


def untrained_arms(depth: int) -> dict[str, VarBackbone]:
    """VAR with the same random weights in all arms."""
    whole = untrained_var(depth, torch.float32, CPU)
    parts = copy.deepcopy(whole.transformer), copy.deepcopy(whole.tokenizer)
    return arms_of(
        {torch.float32: whole, torch.bfloat16: VarBackbone(whole.info, *parts, (), CPU, torch.bfloat16)}
    )


def trained_arms(model: str) -> dict[str, Any]:
    """An embedded model in all arms."""
    return arms_of(
        {dtype: build_backbone(model, (), CPU, dtype)[1] for dtype in (torch.float32, torch.bfloat16)}
    )


def layer_runs(shape: tuple[int, int, bool], rows: int, dtype: torch.dtype = torch.bfloat16) -> Runs:
    """One layer on some rows, and the integer product alone."""
    inputs, outputs, gelu = shape
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(outputs, inputs, generator=generator) / inputs**0.5
    bias, x = torch.randn(outputs, generator=generator), torch.randn(1, rows, inputs, generator=generator)
    for kind in (True, False):
        if error(weight, bias, x, gelu, kind) > 1e-3:
            raise SystemExit("an int8 layer does not compute its definition: the measurement is void")
    half, product = x.to(dtype), Int8Linear(weight, bias, gelu)
    codes, _ = quantised_rows(half)
    return {
        FLOAT: partial(fast_linear(weight, bias, gelu), x),
        HALF: partial(fast_linear(weight.to(dtype), bias.to(dtype), gelu), half),
        "int8 rows": partial(ROWS(weight, bias, gelu), half),
        "int8 tensor": partial(TENSOR(weight, bias, gelu), half),
        "int8 product": lambda: product.product(codes, product.one, product.middle, None, dtype, False),
    }


def block_run(backbone: VarBackbone) -> Callable[[], Tensor]:
    """All scales of an image through the blocks, without embeddings or head, from random inputs."""
    info, width = backbone.info, backbone.transformer.config.width
    headless = copy.copy(cast(FastTransformer, backbone.engine))
    headless.head = torch.clone
    session = headless.start(torch.cat((LABELS, torch.tensor([info.classes]))), info.tokens)
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(2, length, width, generator=generator) for length in info.lengths]

    def run() -> Tensor:
        start = 0
        for x in inputs:
            out = session.logits(x, start)  # R L D
            start += x.shape[1]
        return out

    return run


def image_run(backbone: VarBackbone) -> Callable[[], Tensor]:
    """A guided image with its decoder."""
    sampling, plan = backbone.info.sampling, (1,) * backbone.info.scales
    settings = SearchSettings(plan, sampling.cfg, sampling.top_k, sampling.top_p, sampler="fast")

    def run() -> Tensor:
        images = search(backbone, None, GreedySelector(), settings, LABELS, LABELS).images
        assert images is not None
        return images

    return run


@torch.inference_mode()
def timed(runs: Runs, rounds: int) -> dict[str, object]:
    """Seconds of every run, with its ratios to float32 and to bfloat16, which runs twice: the noise."""
    taken = measured({**runs, f"{HALF} again": runs[HALF]}, rounds, CPU)
    found: dict[str, object] = {}
    for name, seconds in taken.items():
        figures: dict[str, object] = {"median_seconds": statistics.median(seconds)}
        for base in (FLOAT, HALF):
            ratios = [other / own for other, own in zip(taken[base], seconds, strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            figures[f"times_as_fast_as_{base}"] = {"median": middle, "middle_half": [low, high]}
        found[name] = figures
    return found


def gate(changes: Mapping[str, Mapping[str, float]]) -> None:
    """Void the measurement if bfloat16 changes logits by more than a tenth of their spread."""
    if not changes[HALF]["logits_mean_change"] < 0.1:
        raise SystemExit("half precision changes the logits by more than a tenth of their spread: void")


def untrained_figures(options: argparse.Namespace) -> dict[str, object]:
    """Times and changes of the model with random weights."""
    width, arms = 64 * options.depth, untrained_arms(options.depth)
    changes = Comparison(arms, None, Prefixes.sampled(arms[FLOAT], options.prefixes)).figures()
    gate(changes)
    rows = 2 * arms[FLOAT].info.lengths[-1]
    layers = {
        name: timed(layer_runs((width * inputs, width * outputs, gelu), rows), 5 * options.rounds)
        for name, (inputs, outputs, gelu) in LAYERS.items()
    }
    with torch.inference_mode():
        blocks = {name: block_run(arm) for name, arm in arms.items()}
    images = {name: image_run(arm) for name, arm in arms.items()}
    return {
        "layers": layers,
        "blocks": timed(blocks, options.rounds),
        "image": timed(images, options.rounds),
        "changes": changes,
    }


def trained_figures(model: str, options: argparse.Namespace) -> dict[str, object]:
    """Changes and Frechet distances of an embedded model."""
    arms = trained_arms(model)
    spec, backbone = build_backbone(model, (), CPU, torch.float32)
    prefixes = Prefixes.sampled(backbone, 100 * options.prefixes)
    changes = Comparison(arms, build_scorer("auto", spec, backbone, CPU), prefixes).figures()
    gate(changes)
    return {"changes": changes, "frechet": frechet_distances(model, arms, options.repeats, options.images)}


def main() -> None:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--prefixes", type=int, default=4, help="images; a hundred times as many digits")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    if not int8_works():
        raise SystemExit("this PyTorch has no exact int8 layers on this CPU")
    torch.set_num_threads(options.threads)
    before = os.getloadavg()[0]
    found = {f"var-d{options.depth}, random weights": untrained_figures(options)}
    after = os.getloadavg()[0]
    found |= {model: trained_figures(model, options) for model in MODELS}
    settings = ("depth", "rounds", "prefixes", "images", "repeats", "threads")
    record = {name: getattr(options, name) for name in settings}
    load = {"before": before, "after": after}
    write_json(options.out, {**record, "load_average": load, **found, "environment": environment(CPU)})


if __name__ == "__main__":
    main()
