"""How long ``tts eval`` takes for 50 000 images of 256x256: ``python benchmarks/eval_50k.py``.

The images are smooth noise, and Inception has random weights: neither changes the time, so nothing has to be
downloaded, but the figures mean nothing. The reference is made like the ADM evaluation's: an npz of 10 000
images (for precision and recall) with stored mean and covariance of both kinds of features, here those of its
own first ``--statistics`` images in place of a whole training set's. What is measured is the public command,
all five figures, in a process of its own or several under torchrun; making the images is not.

A stage's speed is taken between the first and the last line of progress that the command prints about it, one
every ten seconds, so that short runs have none. Memory is that of the whole tree of processes, read five
times a second: ``own`` without mapped files, ``resident`` with them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tts.evaluation.frechet import FrechetStatistics
from tts.evaluation.inception_network import InceptionNetwork
from tts.io import save_tensors, write_json
from tts.outputs import NpzWriter
from tts.pipeline import Item
from tts.resolve import build_features
from tts.runinfo import environment

RESULTS = Path(__file__).parent / "results" / "eval_50k.json"
CPU = torch.device("cpu")
CLASSES, BATCH, PATTERNS = 1000, 100, 200
OCTAVES = (4, 16, 64)
PROGRESS = re.compile(r"(?P<stage>.+): (?P<done>\d+)/\d+ images")


def make_weights(file: Path) -> None:
    """Random weights that keep the size of the maps through all layers, under the published names."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in InceptionNetwork().state_dict().items()}
    state = {}
    for key, shape in shapes.items():
        if len(shape) > 1:
            state[key] = torch.randn(shape, generator=generator) * math.sqrt(2 / math.prod(shape[1:]))
        else:
            state[key] = torch.full(shape, float(key.endswith(("bn.weight", "running_var"))))
    save_tensors(file, state, {})


def pixels(first: int, count: int, size: int, seed: int) -> NDArray[np.uint8]:
    """Images (n, S, S, 3), each one of ``PATTERNS`` moved around its edges by what its number says."""
    found = patterns(size, seed)
    made = np.empty((count, size, size, 3), np.uint8)
    for i, number in enumerate(range(first, first + count)):
        turn, which = divmod(number, PATTERNS)
        made[i] = np.roll(found[which], (37 * turn % size, 101 * turn % size), axis=(0, 1))
    return made


@lru_cache(maxsize=2)
def patterns(size: int, seed: int) -> NDArray[np.uint8]:
    """Images (n, S, S, 3) of noise that is coarse for the most part."""
    count = PATTERNS
    small = torch.full((count, 3, OCTAVES[-1], OCTAVES[-1]), 0.5)
    for octave in OCTAVES:
        noise = torch.stack([_noise(seed, number, octave) for number in range(count)])  # n 3 O O
        small += F.interpolate(noise, small.shape[2:], mode="bilinear") * (0.5 / octave**0.5)
    images = F.interpolate(small, (size, size), mode="bilinear")  # n 3 S S
    levels: Tensor = (images.clamp(0, 1) * 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().numpy()


def _noise(seed: int, number: int, octave: int) -> Tensor:
    generator = torch.Generator().manual_seed((seed * 10_000_000 + number) * 1000 + octave)
    return torch.randn(3, octave, octave, generator=generator)


def make_set(path: Path, count: int, size: int, seed: int, extra: dict[str, NDArray[Any]]) -> None:
    """An npz of so many images, class after class in turn, as ``tts pack`` lays them out."""
    items = [Item(number % CLASSES, number) for number in range(count)]
    with NpzWriter(path, items, size, extra) as writer:
        for first in range(0, count, BATCH):
            writer.append(pixels(first, min(BATCH, count - first), size, seed))


def statistics(weights: Path, count: int, size: int, seed: int) -> dict[str, NDArray[Any]]:
    """What a reference file stores beside its images."""
    extractor = build_features(f"inception:{weights}", CPU)
    pool, spatial = [], []
    for first in range(0, count, BATCH):
        made = torch.from_numpy(pixels(first, min(BATCH, count - first), size, seed))
        found = extractor.extract(made.permute(0, 3, 1, 2))
        assert found.spatial is not None
        pool.append(found.pool)
        spatial.append(found.spatial)
    a, b = FrechetStatistics.of(torch.cat(pool)), FrechetStatistics.of(torch.cat(spatial))
    return {"mu": a.mean, "sigma": a.covariance, "mu_s": b.mean, "sigma_s": b.covariance}


def descendants(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from descendants(int(child))


def memory(pid: int) -> tuple[float, float]:
    """Own and resident memory of a tree of processes now, in MiB."""
    own = resident = 0.0
    for process in descendants(pid):
        with suppress(OSError):
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
            kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
            own += kib.get("RssAnon", 0) / 1024
            resident += kib.get("VmRSS", 0) / 1024
    return own, resident


@dataclass
class Watch:
    """What is seen of a command while it runs: progress with its time, and the highest memory."""

    started: float = field(default_factory=time.perf_counter)
    stages: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    own: float = 0.0
    resident: float = 0.0
    other_lines: list[str] = field(default_factory=list)

    def read(self, stderr: IO[str]) -> None:
        """Note every line of progress, and keep the others."""
        for line in stderr:
            found = PROGRESS.match(line)
            if found is None:
                self.other_lines.append(line.rstrip())
                continue
            seen = (time.perf_counter() - self.started, int(found["done"]))
            self.stages.setdefault(found["stage"], []).append(seen)
            print(line.rstrip(), flush=True)

    def look(self, pid: int) -> None:
        """Look at the memory."""
        own, resident = memory(pid)
        self.own, self.resident = max(self.own, own), max(self.resident, resident)

    def speeds(self) -> dict[str, float]:
        """Images a second of each stage that took long enough to tell."""
        speeds = {}
        for stage, seen in self.stages.items():
            (begun, before), (ended, after) = seen[0], seen[-1]
            if after > before:
                speeds[stage] = (after - before) / (ended - begun)
        return speeds


def command(processes: int) -> list[str]:
    """Python with ``tts`` in one process or under torchrun."""
    if processes == 1:
        return [sys.executable, "-m", "tts_cli"]
    run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [sys.executable, *run, "-m", "tts_cli"]


def measure(arguments: Sequence[str], processes: int, threads: int) -> tuple[dict[str, Any], Watch, float]:
    """Run ``tts`` to its end; gives its JSON, what was seen, and its seconds."""
    watch = Watch()
    process = subprocess.Popen(
        [*command(processes), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    printed: list[str] = []
    readers = (
        threading.Thread(target=watch.read, args=(process.stderr,)),
        threading.Thread(target=lambda: printed.append(process.stdout.read())),  # type: ignore[union-attr]
    )
    for reader in readers:
        reader.start()
    while process.poll() is None:
        watch.look(process.pid)
        time.sleep(0.2)
    seconds = time.perf_counter() - watch.started
    for reader in readers:
        reader.join()
    if process.returncode:
        raise SystemExit(f"tts failed with exit code {process.returncode}: {watch.other_lines[-1:]}")
    return json.loads(printed[0]), watch, seconds


def prepare(folder: Path, options: argparse.Namespace) -> list[str]:
    """Make weights, reference and samples; gives the arguments of ``tts``."""
    torch.set_num_threads(options.threads * options.processes)
    weights, reference, samples = (folder / name for name in ("inception.safetensors", "ref.npz", "gen.npz"))
    make_weights(weights)
    extra = statistics(weights, min(options.statistics, options.reference_images), options.size, seed=1)
    make_set(reference, options.reference_images, options.size, 1, extra)
    make_set(samples, options.images, options.size, 2, {})
    print(f"made {options.reference_images} + {options.images} images in {folder}", flush=True)
    return ["eval", str(samples), "--reference", str(reference), "--features", f"inception:{weights}"]


def parse() -> argparse.Namespace:
    """The command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--reference-images", type=int, default=10_000)
    parser.add_argument("--statistics", type=int, default=2500, help="images of the stored statistics")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of each process")
    parser.add_argument("--processes", type=int, default=1, help="more than one run under torchrun")
    parser.add_argument("--work", type=Path, help="where the images lie for a while: 200 KB each")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    """Make the images, run the command, and write the numbers down."""
    options = parse()
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        arguments = [*prepare(Path(folder), options), "--device", "cpu", "--json"]
        result, watch, seconds = measure(arguments, options.processes, options.threads)
    speeds = watch.speeds()
    counts = {"reference": options.reference_images, "gen.npz": options.images}
    extraction = {stage: counts[stage] / speed for stage, speed in speeds.items()}
    row = {
        **{name: getattr(options, name) for name in ("images", "reference_images", "statistics", "size")},
        **{name: getattr(options, name) for name in ("threads", "processes")},
        "seconds": seconds,
        "images_per_second": (options.images + options.reference_images) / seconds,
        "stage_images_per_second": speeds,
        "stage_seconds": extraction,
        "other_seconds": seconds - sum(extraction.values()) if len(extraction) == 2 else None,
        "peak_own_mib": watch.own,
        "peak_resident_mib": watch.resident,
        "figures": {key: value for key, value in result["runs"][0].items() if key != "path"},
    }
    write_json(options.out, {"environment": environment(CPU), "eval": row})
    print(json.dumps(row, indent=2))


if __name__ == "__main__":
    main()
