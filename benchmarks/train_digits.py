"""Train the embedded digits models from scratch: ``python benchmarks/train_digits.py``.

Fixed seeds; two CPU cores; needs the ``demo`` extra for the scans. Figures go to
``benchmarks/results/train_digits.json``; a stage that is run again replaces its own entry only.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from digits import classifier, flexvae, flexvar, scorers, tokenizer, var
from digits.figures import reconstruction_figures

import tts
from tts.backbones.storage import EMBEDDED
from tts.io import write_json

RESULTS = Path(__file__).parent / "results" / "train_digits.json"
Stage = Callable[[Path], dict[str, Any]]

STAGES: dict[str, Stage] = {
    "tokenizer": tokenizer.stage,
    "classifier": classifier.stage,
    "var-digits": partial(var.stage, "var-digits"),
    "var-digits-l": partial(var.stage, "var-digits-l"),
    "flexvar-tokenizer": flexvae.stage,
    "flexvar-digits": flexvar.stage,
    "var-digits-scorer": partial(scorers.stage, "var-digits"),
    "var-digits-l-scorer": partial(scorers.stage, "var-digits-l"),
    "flexvar-digits-scorer": partial(scorers.stage, "flexvar-digits"),
}


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", default=",".join(STAGES), help="comma-separated; default: %(default)s")
    parser.add_argument("--out", type=Path, default=EMBEDDED, help="folder of the models")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of the figures")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def run_stage(name: str, out: Path) -> dict[str, Any]:
    """Run one stage; returns its figures with the seconds that it took."""
    print(name, flush=True)
    start = time.perf_counter()
    figures = STAGES[name](out)
    figures["seconds"] = round(time.perf_counter() - start, 1)
    print("  " + json.dumps(figures), flush=True)
    return figures


def main() -> None:
    """Run the chosen stages in their order and store the figures."""
    options = parse()
    chosen = options.stages.split(",")
    if strange := sorted(set(chosen) - set(STAGES)):
        raise SystemExit(f"unknown stage {strange[0]!r}; choose from {', '.join(STAGES)}")
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    results = json.loads(options.results.read_text()) if options.results.exists() else {"stages": {}}
    for name in STAGES:
        if name in chosen:
            results["stages"][name] = run_stage(name, options.out)
            write_json(options.results, results)
    results["reconstruction"] = reconstruction_figures(options.out)
    results["versions"] = {
        "tts": tts.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    results["threads"] = options.threads
    results["bytes"] = {
        str(file.relative_to(options.out)): file.stat().st_size
        for file in sorted(options.out.rglob("*.safetensors"))
    }
    write_json(options.results, results)


if __name__ == "__main__":
    main()
