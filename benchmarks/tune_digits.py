"""Tune an embedded model, and check what is recommended: ``python benchmarks/tune_digits.py BACKBONE``.

``tts tune`` searches and confirms. An independent run follows: the recommended settings and the plain model
with its best guidance, with seed sets that the tuning never saw, against all real digits, and their paired
difference. Everything goes to ``benchmarks/results/tune_BACKBONE``, the second run to ``rerun`` in it. Both
go on where they stopped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tts.evaluation.sweep.reading import read_results
from tts.settings_file import read_settings

RESULTS = Path(os.path.relpath(Path(__file__).parent / "results"))  # records hold relative paths
AXES = ("candidates", "cfg", "selector", "temperature", "top_k_select", "start_scale")
SETS, IMAGES = "500-509", "2000"


def tts(*arguments: str) -> None:
    """Run the public command."""
    subprocess.run([sys.executable, "-m", "tts_cli", *arguments], check=True)


def grid(file: Path) -> str:
    """The settings of a file as a grid of one point."""
    settings = read_settings(file)
    return " ".join(f"{axis}={settings[axis]}" for axis in AXES if settings.get(axis) is not None)


def main() -> None:
    """Tune one backbone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backbone")
    parser.add_argument("--budget", default="5m")
    options = parser.parse_args()
    out = RESULTS / f"tune_{options.backbone}"
    reference = ("--backbone", options.backbone, "--reference", "all")
    tts("tune", *reference, "--budget", options.budget, "--batch-size", "50", "--out", str(out))
    tts("report", str(out))
    grids = {grid(out / name) for name in ("baseline.json", "settings.json")}
    again = out / "rerun"
    asked = [part for text in sorted(grids) for part in ("--grid", text)]
    measured = ("--images", IMAGES, "--seeds", SETS, "--batch-size", "50", "--out", str(again))
    tts("sweep", *reference, *measured, *asked)
    plain = next(point.id for point in read_results(again).points if point.plain)
    tts("sweep", "--out", str(again), "--against", plain)


if __name__ == "__main__":
    main()
