"""The npz of the ADM evaluation protocol from a finished run of ``tts sample``, streamed in a random order.

Axis letters: N images, n images of a portion, S pixels a side.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tts import __version__
from tts.engine.folder import RunFolder, recorded_plan
from tts.engine.plan import PLAN_FILE, Plan
from tts.errors import RunError, UsageError
from tts.images import Pixels
from tts.locks import sole_writer
from tts.outputs import NPZ, RECORD, NpzWriter, check_target, read_run, recorded_family
from tts.pipeline import Item
from tts.run_images import RunImage, check_listed, checked_shards, images_of
from tts.sample_job import LAYOUT

PORTION = 64
THREADS = 8
ORDER = "numpy.random.RandomState(seed).permutation(N) of the images in the plan's order"

Progress = Callable[[int, int], None]
Bar = Callable[[str, str], AbstractContextManager[Progress]]
"""Shows how far a stage is, given its name and its unit."""


@contextmanager
def no_bar(stage: str, unit: str) -> Iterator[Progress]:
    """Show nothing."""
    yield lambda done, total: None


@dataclass(frozen=True)
class Packed:
    """What was written: images of ``classes`` classes, bytes."""

    path: Path
    images: int
    classes: int
    bytes: int


@dataclass(frozen=True)
class Source:
    """The images of a run in the plan's order: ``items``, and ``pixels`` (S, S, 3) by number."""

    items: list[Item]
    pixels: Callable[[int], Pixels]


def pack(
    folder: Path,
    to: Path,
    seed: int = 0,
    unbalanced: bool = False,
    overwrite: bool = False,
    bar: Bar = no_bar,
) -> Packed:
    """Write ``arr_0`` (N, S, S, 3), ``arr_1`` labels, seeds and a record of a finished run to one file."""
    run = finished_run(folder)
    _check_target(run, to, overwrite)
    with sole_writer(to):
        return _pack(run, to, seed, unbalanced, bar)


def _pack(run: RunFolder, to: Path, seed: int, unbalanced: bool, bar: Bar) -> Packed:
    with bar("checking", "shards") as tell:
        source = _source(run, tell)
    counts = Counter(item.label for item in source.items)
    if not unbalanced:
        check_balance(counts)
    order = shuffled(len(source.items), seed)
    items = [source.items[number] for number in order]
    size = len(source.pixels(0))
    record = {"record": np.array(json.dumps(_record(run, seed, counts), sort_keys=True))}
    with NpzWriter(to, items, size, record) as writer, bar("packing", "images") as tell:
        for first, portion in _portions(source, order.tolist(), size):
            writer.append(portion)
            tell(first + len(portion), len(items))
    return Packed(to, len(items), len(counts), to.stat().st_size)


def shuffled(count: int, seed: int = 0) -> NDArray[np.int64]:
    """Numbers 0 to ``count`` - 1 in the random order that evaluation takes images in.

    RandomState's numbers are frozen for all versions and machines; those of newer generators are not.
    """
    return np.random.RandomState(seed).permutation(count).astype(np.int64)


def check_balance(counts: Counter[int]) -> None:
    """Refuse different numbers of images a class: averages over the images would favour some."""
    most, least = min(counts, key=lambda c: (-counts[c], c)), min(counts, key=lambda c: (counts[c], c))
    if counts[most] != counts[least]:
        raise UsageError(
            f"class {least} has {counts[least]} images and class {most} has {counts[most]}, the protocol"
            " wants equal numbers; sample the missing ones with --extend or pass --unbalanced"
        )


def sample_run(folder: Path) -> RunFolder:
    """The run of a folder."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; give the output folder of 'tts sample'")
    plan = Plan.load(folder)
    if plan is None or plan.kind not in LAYOUT.kinds:
        what = f"{plan.kind} data" if plan else f"no {PLAN_FILE}"
        raise UsageError(f"{folder} holds {what}, no run of 'tts sample'; give its output folder")
    return RunFolder(folder, folder, LAYOUT, plan, ())


def finished_run(folder: Path) -> RunFolder:
    """The run of a folder, which must be finished."""
    run = sample_run(folder)
    if (folder / RECORD).is_file():
        read_run(folder)
    if recorded_plan(folder, LAYOUT) != run.plan.id:
        raise UsageError(
            f"{folder} is unfinished (no {RECORD} of all its images); see 'tts data info {folder}' for the"
            " command that goes on"
        )
    return run


def _check_target(run: RunFolder, to: Path, overwrite: bool) -> None:
    if to.is_dir():
        raise UsageError(f"{to} is a folder; give a file such as {to / NPZ}")
    if to.exists() and not overwrite:
        raise UsageError(f"{to} exists; choose another --to or pass --overwrite")
    check_target(to, [run.path])


def _source(run: RunFolder, tell: Progress) -> Source:
    """The images of a run: of its shards if these hold pixels, else of its PNG files."""
    images: list[RunImage] = []
    for number, rows in enumerate(checked_shards(run)):
        images += images_of(run, rows)
        tell(number + 1, len(run.shards))
    check_listed(run, images)

    return Source([image.item for image in images], lambda number: images[number].read())


def _portions(source: Source, order: Sequence[int], size: int) -> Iterator[tuple[int, Pixels]]:
    """Images (n, S, S, 3) in an order, with the number of the first; all must have the size of the first."""
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(order), PORTION):
            numbers = order[start : start + PORTION]
            images = list(pool.map(source.pixels, numbers))
            for number, image in zip(numbers, images, strict=True):
                if image.shape != (size, size, 3):
                    item, shape = source.items[number], "x".join(map(str, image.shape[:2]))
                    raise RunError(
                        f"image of class {item.label}, seed {item.seed} has {shape} pixels, others have"
                        f" {size}x{size}; mend the run with 'tts data verify' and --repair"
                    )
            yield start, np.stack(images)


def _record(run: RunFolder, seed: int, counts: Counter[int]) -> dict[str, Any]:
    """How the images were made and ordered."""
    plan = run.plan
    return {
        "made_by": f"scalewise-tts {__version__}",
        "plan": plan.id,
        "settings": plan.settings,
        "choices": [segment.choice for segment in plan.segments],
        "identity": plan.identity,
        "uint8": plan.identity.get("uint8_rule"),
        "family": recorded_family(run.path),
        "images": sum(counts.values()),
        "classes": len(counts),
        "images_per_class": [min(counts.values()), max(counts.values())],
        "order": {"seed": seed, "rule": ORDER},
    }
