"""Numbers on the command line that no run can have: one line, at once, and no memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BAD = {
    "sample": (
        *(("--per-class", value) for value in ("100000000000", "0", "-1", "9" * 400)),
        ("--candidates", "1000000000000000000000"),
        ("--candidates", "9" * 5000),
        ("--candidates", "1,2,100000,4"),
        ("--strategy", "best-of-n", "--candidates", "100000000"),
        ("--strategy", "beam:1000000000000"),
        ("--strategy", "beam:" + "9" * 5000),
        ("--strategy", "particles:strength=nan"),
        ("--candidates-of", "0-4=1000000000000"),
        ("--seeds", "0-99999999999"),
        ("--seeds", ",".join(f"{i}000000-{i}999999" for i in range(1, 40))),
        ("--seeds", "9" * 5000),
        ("--labels", "0-9", "--seeds", "0-999999,1000000-1999999"),
        ("--labels", "99999999999999999999999"),
        ("--labels", "11"),
        *(("--temperature", value, "--selector", "softmax") for value in ("nan", "inf", "1e300", "-1", "0")),
        *(("--cfg", value) for value in ("nan", "inf", "1e300", "-1")),
        *(("--top-p", value) for value in ("nan", "inf", "2", "-1")),
        *(("--top-k", value) for value in ("1000000000000000000000", "-1")),
        ("--top-k-select", "1000000000000000000000", "--selector", "topk"),
        ("--start-scale", "1000000000000000000000"),
        ("--end-scale", "1000000000000000000000"),
        ("--randomize-scale", "1000000000000000000000"),
        ("--batch-size", "1000000000000000000000"),
        ("--chunk", "1000000000000000000000"),
        ("--score-memory", "1000000000000000000000"),
        ("--shard-items", "1000000000000000000000"),
        ("--shard", "1/1000000000000000000000"),
        ("--shard", f"{'9' * 5000}/{'9' * 5000}"),
        ("--backbone", "flexvar-digits", "--schedule", "1,1000000000000"),
        ("--backbone", "flexvar-digits", "--schedule", "1," + "9" * 5000),
    ),
    "collect": (
        ("--per-class", "100000000000"),
        ("--per-class", "100001"),
        ("--workers", "1000000000000000000000"),
        ("--max-unreadable", "nan"),
        ("--seed", "1000000000000000000000"),
        ("--seed", "-1"),
        ("--batch-size", "0"),
    ),
    "train-scorer": (
        *(("--epochs", value) for value in ("1000000000000000000000", "0")),
        ("--batch", "1000000000000000000000"),
        *(("--lr", value) for value in ("nan", "inf", "0", "1e300")),
        *(("--ema", value) for value in ("nan", "inf", "1", "-1")),
        *(("--held-out", value) for value in ("nan", "inf", "-1", "1")),
        ("--epoch-pairs", "1000000000000000000000"),
        ("--accumulate", "1000000000000000000000"),
        ("--patience", "1000000000000000000000"),
        ("--checkpoint-steps", "1000000000000000000000"),
        ("--seed", "1000000000000000000000"),
    ),
    "eval": (
        ("--split", "100000000000000000000"),
        ("--bootstrap", "100000000000000000000"),
        ("--neighbours", "100000000000000000000"),
        ("--batch-size", "100000000000000000000"),
        ("--seed", "100000000000000000000"),
    ),
    "sweep": (
        ("--images", "100000000000000000000"),
        ("--seeds", "100000000000000000000"),
        ("--seeds", "9" * 5000),
        ("--seeds", "0-100000000"),
        ("--time", "100000000000000000000"),
        ("--time-images", "100000000000000000000"),
        ("--threads", "100000000000000000000"),
        *(("--grid", f"candidates={value}") for value in ("1000000000000", "9" * 5000)),
        *(("--grid", f"cfg={value}") for value in ("nan", "inf", "1e300")),
        *(("--grid", f"top-k={value}") for value in ("1000000000000000", "9" * 5000)),
        ("--grid", "start-scale=100000000000000000000"),
    ),
    "tune": (
        *(("--budget", value) for value in ("1" + "0" * 400 + "s", "100000000000h", "nan")),
        ("--max-candidates", "100000000000000000000"),
        *(("--max-overhead", value) for value in ("nan", "inf", "-1")),
        *(("--cfgs", value) for value in ("nan", "inf", "1e300", "-1", "0,1e999")),
        ("--min-images", "100000000000000000000"),
        ("--seed", "100000000000000000000"),
    ),
    "bench": (
        ("--candidates", "100000000000"),
        ("--candidates", "1-100000"),
        ("--batch", "100000000000"),
        ("--rounds", "100000000000"),
    ),
    "grid": (("--columns", "100000000000"), ("--rows", "100000000000")),
    "pack": (("--seed", "100000000000"),),
}

NEEDED = {
    "collect": ("--out", "OUT"),
    "train-scorer": ("--real", "OUT/real", "--generated", "OUT/generated", "--out", "OUT/scorer"),
    "eval": ("heldout",),
    "grid": ("OUT",),
    "pack": ("OUT", "--to", "OUT/a.npz"),
}
"""What a command cannot do without; train-scorer refuses numbers before it looks for data."""

SECONDS, MEMORY = 30.0, 400 << 20


@pytest.fixture(autouse=True)
def bounds() -> Iterator[None]:
    """Bounds on the memory and the time of all of a command's refusals together."""
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("command", BAD)
def test_a_number_out_of_range_is_one_line(command: str, run: Callable[..., Any], tmp_path: Path) -> None:
    faults = []
    for options in BAD[command]:
        needed = [word.replace("OUT", str(tmp_path)) for word in NEEDED.get(command, ())]
        out = ["--out", f"{tmp_path}/out"] if command in ("sample", "sweep", "tune") else []
        done = run(command, *needed, *out, *options)
        lines = done.stderr.splitlines()
        if done.code != 2 or len(lines) != 1 or len(lines[0]) > 1500:
            faults.append((options, done))
    assert not faults


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("sample", "--out", ""), "out"),
        (("sample", "--out="), "out"),
        (("sample", "--candidates-of", ""), "candidates-of"),
        (("collect", "--real", ""), "real"),
        (("train-scorer", "--generated="), "generated"),
        (("eval", ""), "an argument"),
        (("grid", "--columns", "3", ""), "an argument"),
        (("data", "verify", ""), "an argument"),
        (("plugin", "new", "--", ""), "an argument"),
    ],
)
def test_an_empty_text_is_one_line(words: tuple[str, ...], name: str, run: Callable[..., Any]) -> None:
    done = run(*words)
    assert done.code == 2
    assert done.stderr == f"error: {name} is empty; give a value or leave it out\n"
