"""What a second process brings to `tts collect`, and what memory `tts train-scorer` needs for more data.

Collection: the toy VAR on two cores, one thread a process; arms 1, 1 again (the noise floor) and 2 processes
in random order within each round. A run's rate is taken from the times of its shard files, first to last, so
that starting Python counts in the seconds of the command only. Memory: one short training for each size of
data, in a process of its own whose resident memory is read every 50 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from tts.data.manifest import BackboneIdentity
from tts.data.store import TokenStore
from tts.data.writing import StoreWriter
from tts.io import write_json
from tts.resolve import build_backbone
from tts.runinfo import environment

RESULTS = Path(__file__).parent / "results" / "throughput.json"
CPU = torch.device("cpu")
BACKBONE = "var-digits"
ARMS = ("1", "1 again", "2")
SHARD_ITEMS = 250
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(processes: int) -> list[str]:
    """Python with ``tts`` in one process or under torchrun."""
    if processes == 1:
        return [sys.executable, "-m", "tts_cli"]
    run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [sys.executable, *run, "-m", "tts_cli"]


def collect(processes: int, per_class: int, out: Path) -> tuple[float, float]:
    """Images a second between the first and the last shard, and the seconds of the whole command."""
    options = ["--backbone", BACKBONE, "--per-class", str(per_class), "--shard-items", str(SHARD_ITEMS)]
    line = [*command(processes), "collect", *options, "--batch-size", str(SHARD_ITEMS), "--out", str(out)]
    started = time.perf_counter()
    subprocess.run(line, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    times = sorted(path.stat().st_mtime_ns for path in out.glob("shard-*"))[processes - 1 :]
    return SHARD_ITEMS * (len(times) - 1) / ((times[-1] - times[0]) / 1e9), seconds


def collection(rounds: int, per_class: int) -> dict[str, object]:
    """All arms, interleaved; ratios are of the same round. Every run must have the same tokens."""
    order = random.Random(0)
    rates: dict[str, list[float]] = {arm: [] for arm in ARMS}
    seconds: dict[str, list[float]] = {arm: [] for arm in ARMS}
    expected = None
    for round_ in range(rounds):
        for arm in order.sample(ARMS, len(ARMS)):
            with tempfile.TemporaryDirectory() as folder:
                rate, taken = collect(int(arm[0]), per_class, Path(folder) / "set")
                shards = TokenStore.open(Path(folder) / "set").manifest.shards
            expected = expected or shards
            if shards != expected:
                raise SystemExit(f"arm {arm} made other tokens: the measurement is void")
            rates[arm].append(rate)
            seconds[arm].append(taken)
            print(f"round {round_ + 1}: {arm:8s} {rate:7.0f} images/s, {taken:.1f} s", flush=True)
    return {
        "images": per_class * 10,
        "rounds": rounds,
        "images_per_second": rates,
        "command_seconds": seconds,
        "ratio_2_to_1": ratios(rates["2"], rates["1"]),
        "ratio_1_again_to_1": ratios(rates["1 again"], rates["1"]),
        "command_ratio_1_to_2": ratios(seconds["1"], seconds["2"]),
    }


def ratios(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest ratio of a round."""
    found = [a / b for a, b in zip(above, below, strict=True)]
    return {"median": statistics.median(found), "lowest": min(found), "highest": max(found)}


def make_data(root: Path, items: int) -> None:
    """Both sides with random codes: their values do not matter for memory."""
    identity = BackboneIdentity.from_backbone(build_backbone(BACKBONE, (), CPU, torch.float32)[1])
    generator = torch.Generator().manual_seed(0)
    for kind in ("generated", "real"):
        with StoreWriter(root / kind, kind, identity, {"backbone": BACKBONE}) as writer:
            for first in range(0, items, 10_000):
                count = min(10_000, items - first)
                tokens = torch.randint(identity.codebook_size, (count, identity.tokens), generator=generator)
                numbers = torch.arange(first, first + count)
                writer.append(tokens, numbers % identity.classes, numbers)


def memory(items: int) -> dict[str, float]:
    """Highest resident memory of a training, in MiB: of its own, and of mapped files."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_data(root, items)
        size = sum(path.stat().st_size for path in root.rglob("shard-*"))
        sides = ["--real", str(root / "real"), "--generated", str(root / "generated")]
        line = [*command(1), "train-scorer", *sides, "--epochs", "1", "--epoch-pairs", "6400"]
        process = subprocess.Popen(
            [*line, "--out", str(root / "scorer")],
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        own, mapped = 0.0, 0.0
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            kib = {line.split(":")[0]: int(line.split()[1]) for line in status if line.endswith("kB")}
            own, mapped = max(own, kib.get("RssAnon", 0) / 1024), max(mapped, kib.get("RssFile", 0) / 1024)
            time.sleep(0.05)
        if process.returncode:
            raise SystemExit(f"the training of {items} items failed with exit code {process.returncode}")
    row = {"items_a_side": items, "data_mib": size / 2**20, "own_mib": own, "mapped_files_mib": mapped}
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    """Measure both and write the numbers down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--per-class", type=int, default=2000)
    parser.add_argument("--items", type=int, default=100_000, help="items a side at 1x")
    options = parser.parse_args()
    record = {
        "environment": environment(CPU),
        "collection": collection(options.rounds, options.per_class),
        "train_scorer_memory": [memory(options.items * factor) for factor in (1, 4, 16)],
    }
    write_json(RESULTS, record)
    print(json.dumps({key: record["collection"][key] for key in record["collection"] if "ratio" in key}))


if __name__ == "__main__":
    main()
