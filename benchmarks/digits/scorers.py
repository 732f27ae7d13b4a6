"""Training of the embedded scorers, through the public command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tts.backbones.storage import EMBEDDED
from tts.io import atomic_path
from tts.scorers.learned import shipped_scorer

PER_CLASS = "1000"
CONDITION = {"flexvar-digits": "side"}  # where one scorer serves several schedules
RECIPE = ("--loss", "pairwise", "--lr", "1e-3", "--epochs", "4", "--epoch-pairs", "51200", "--ema", "0.998")


def run(folder: Path, *arguments: str) -> None:
    """Run ``tts`` in a folder, so that records hold relative paths."""
    subprocess.run([sys.executable, "-m", "tts_cli", *arguments], cwd=folder, check=True)


def train(model: str, folder: Path) -> dict[str, Any]:
    """Collect both sides for one model and train its scorer; returns the held-out figures."""
    run(folder, "collect", "--backbone", model, "--per-class", PER_CLASS, "--out", f"{model}-generated")
    real = ("--real", "digits", "--per-class", PER_CLASS)
    run(folder, "collect", "--backbone", model, *real, "--out", f"{model}-real")
    sides = ("--real", f"{model}-real", "--generated", f"{model}-generated")
    condition = ("--condition", CONDITION.get(model, "scale"))
    run(folder, "train-scorer", *sides, *RECIPE, *condition, "--out", f"{model}-scorer")
    metrics = json.loads((folder / f"{model}-scorer" / "metrics.json").read_text())
    with atomic_path(shipped_scorer(model)) as temporary:
        shutil.copyfile(folder / f"{model}-scorer" / "scorer.safetensors", temporary)
    return {"training_seconds": metrics["seconds"], **metrics["held_out"]}


def stage(model: str, out: Path) -> dict[str, Any]:
    """Train the scorer of a model that lies in the package; returns its figures."""
    if out.resolve() != EMBEDDED.resolve():
        raise SystemExit(
            f"the scorers are trained on the models in {EMBEDDED}; leave --out out for this stage"
        )
    with tempfile.TemporaryDirectory() as folder:
        return train(model, Path(folder))
