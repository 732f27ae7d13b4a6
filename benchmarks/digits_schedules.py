"""One scorer for several schedules: ``python benchmarks/digits_schedules.py``.

``flexvar-digits`` is sampled at three schedules, plain, with the shipped scorer (conditioned on the side,
trained on the whole schedule), and with a scorer trained at that very schedule. Three disjoint sets of seeds;
the spread is their sample standard deviation. Needs the ``demo`` extra. Figures go to
``benchmarks/results/schedules_flexvar-digits.json``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from digits.scorers import RECIPE, run
from digits_quality import CPU, RESULTS, Setting, measure

from tts.io import write_json
from tts.runinfo import environment

BACKBONE = "flexvar-digits"
SCHEDULES = ("1,2,3,4", "1,2,4", "1,3,4")
CANDIDATES = 32


def train(schedule: str, folder: Path) -> str:
    """A scorer trained at one schedule, told the scale index as published; returns its folder."""
    name = f"native-{schedule.replace(',', '-')}"
    common = ("collect", "--backbone", BACKBONE, "--schedule", schedule, "--per-class", "1000")
    run(folder, *common, "--out", f"{name}-generated")
    run(folder, *common, "--real", "digits", "--out", f"{name}-real")
    sides = ("--real", f"{name}-real", "--generated", f"{name}-generated")
    run(folder, "train-scorer", *sides, *RECIPE, "--out", name)
    return str(folder / name)


def main() -> None:
    """Measure plain sampling and both scorers at every schedule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for schedule in SCHEDULES:
            native = train(schedule, Path(folder))
            for kind, candidates, scorer in (
                ("plain", 1, "auto"),
                ("shipped", CANDIDATES, "auto"),
                ("native", CANDIDATES, native),
            ):
                setting = Setting(BACKBONE, candidates, scorer=scorer, schedule=schedule)
                found = measure(setting, options.repeats, options.images)
                row = {"schedule": schedule, "scorer": kind, "candidates": candidates}
                rows.append({**row, **{key: found[key] for key in ("mean", "spread", "values")}})
                print(schedule, kind, found["mean"], found["spread"], flush=True)
    record = {"images": options.images, "repeats": options.repeats, "environment": environment(CPU)}
    write_json(RESULTS / f"schedules_{BACKBONE}.json", {**record, "rows": rows})


if __name__ == "__main__":
    main()
