"""Every record that the toolkit reads, with each of its values replaced by what no record should hold.

Whatever comes, a reader gives a result or refuses the file in one line, at once and in little memory.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tts.backbones.storage import EMBEDDED, read_folder_config
from tts.contents import sealed
from tts.data.classes import Classes
from tts.data.listing import ImageFolder
from tts.data.manifest import BackboneIdentity, Manifest, Shard
from tts.data.store import existing
from tts.engine.job import Timing as ShardTiming
from tts.engine.plan import Plan, Segment
from tts.engine.shards import skipped_in
from tts.errors import CheckpointError, UsageError
from tts.evaluation.cost import Cost
from tts.evaluation.figures import Figures
from tts.evaluation.npz_source import open_npz
from tts.evaluation.report.comparisons import read_comparison
from tts.evaluation.sweep.against import FORMAT as AGAINST
from tts.evaluation.sweep.against import Comparison, Difference, Pair
from tts.evaluation.sweep.figures import Entry, read_index
from tts.evaluation.sweep.point import Setting
from tts.evaluation.sweep.reading import FORMAT as RESULTS
from tts.evaluation.sweep.reading import read_results
from tts.evaluation.sweep.record import FORMAT as SWEEP
from tts.evaluation.sweep.record import SetRecord, SweepRecord
from tts.evaluation.sweep.scorer_analysis import FORMAT as SCORERS
from tts.evaluation.sweep.scorer_analysis import Analysis, Judged, read_analysis
from tts.evaluation.sweep.store import Store
from tts.evaluation.sweep.timed import FORMAT as TIMING
from tts.evaluation.sweep.timed import Timing, read_timing
from tts.evaluation.tune.records import Ledger, Rung, Shape, Trial
from tts.evaluation.tune.rows import Row
from tts.evaluation.tune.space import Arm
from tts.evaluation.tune.store import TuneRecord, full_record, read_tune
from tts.io import load_tensors, save_npz, save_tensors
from tts.outputs import recorded_speed
from tts.records import plain, tagged
from tts.sample_config import SampleConfig
from tts.scorers.checkpoint import load_scorer
from tts.scorers.resume import FORMAT as TRAINING
from tts.scorers.resume import load_checkpoint
from tts.scorers.train_files import read_summary
from tts.settings_file import FORMAT as SETTINGS
from tts.settings_file import read_settings

POISON = {
    "infinity": "1e999",
    "not a number": "NaN",
    "many items": "1000000000000000",
    "many digits": "9" * 400,
    "too many digits": "9" * 5000,
    "negative": "-1",
    "deep": "[" * 5000 + "]" * 5000,
    "half deep": "[" * 500 + "]" * 500,
    "text": '"\\u001b[31m\\ud800"',
    "object": '{"a": {}}',
    "null": "null",
    "true": "true",
    "half": "0.5",
}

LENIENT = ("time", "analysis")
"""Kinds whose readers leave out what cannot be read, since it is made again."""

MEMORY = 200 << 20
SECONDS = 20.0

IDENTITY = BackboneIdentity("var-test", (1, 2), 2, 50, 4, 2, "ab" * 32)
FIGURES = Figures(40, 1.0, 0.5, 2.0, 2.0, 3.5, accuracy=0.9, intervals={"fid": (0.5, 1.5)})
COST = Cost(40, 160, 480, 40, 0, 0.25, None)
POINT = Setting("lsrs", "learned", None, "greedy", "8", 2, 4, None, None, 1.5, 0, 0.0, "1-2", "var")
ARM = Arm(1.5, 8, 2, "softmax", None, 0.5)
ROW = Row(ARM, FIGURES, COST, 1.0)
LEDGER = Ledger(
    1.0, [ROW], Shape(4, 2, 50), [Rung(50, 3, (ARM,), [ROW])], Trial(50, (4,), ARM, (ARM,), {4: [ROW]})
)
ASKED = TuneRecord("tts tune", {}, {"objective": "fid"}, {"name": "x"}, {}, {}, "FD", {"text": "heldout"})
SWEPT = SweepRecord(
    command="tts sweep",
    base=plain(SampleConfig()),
    grids=("candidates=1,2",),
    images=40,
    seed_sets=(0, 1),
    features={"name": "digits"},
    features_title="FD",
    reference={"text": "heldout"},
    metrics={"neighbours": 3},
    backbone={"backbone": "var-digits", "classes": 10},
    judges={},
    shared={},
    points=("plain",),
)


@dataclass(frozen=True)
class Kind:
    """A kind of record: where it lies in a folder, one that is valid, and what reads it."""

    path: str
    valid: Any
    read: Callable[[Path], object]


def listing(folder: Path) -> object:
    return ImageFolder.load(folder / "images.txt", folder)


KINDS = {
    "plan": Kind(
        "plan.json",
        tagged(1, Plan("sample", {"a": 1}, {"b": 2}, 512, (Segment({"c": 3}, 600, "ff"),))),
        lambda folder: [plan.shards() for plan in [Plan.load(folder)] if plan],
    ),
    "manifest": Kind(
        "manifest.json",
        tagged(1, Manifest("real", IDENTITY, {}, 2, (1, 1), (Shard("shard-00000.safetensors", 2, "0"),), {})),
        existing,
    ),
    "run": Kind(
        "run.json",
        {
            "plan": "a",
            "backbone": {"family": "var"},
            "timing": asdict(ShardTiming()) | {"generate_seconds": 1.0, "images": 2},
        },
        recorded_speed,
    ),
    "time": Kind("time-00000.json", {"seconds": 1.5, "items": 3}, ShardTiming.of),
    "metrics": Kind(
        "metrics.json",
        {
            "held_out": {"loss": [0.5], "accuracy": [0.9]},
            "history": [{"epoch": 1, "train_loss": 0.5, "loss": [0.5], "accuracy": [0.9]}],
            "scales": [1, 2],
            "seconds": 1.0,
            "kept_epoch": 1,
            "settings": {"epochs": 1},
        },
        read_summary,
    ),
    "sweep": Kind("sweep.json", tagged(SWEEP, SWEPT), lambda folder: Store(folder).record()),
    "point": Kind(
        "points/p/point.json",
        {"id": "p", "label": "P", "setting": asdict(POINT)},
        lambda folder: Store(folder).point("p"),
    ),
    "seed set": Kind(
        "points/p/set-0.json",
        plain(SetRecord(FIGURES, COST, {"device": "cpu"}, 1)),
        lambda folder: Store(folder).read_set("p", 0),
    ),
    "results": Kind(
        "results.json",
        {
            "format": RESULTS,
            "sweep": tagged(SWEEP, SWEPT),
            "points": [
                {
                    "id": "p",
                    "label": "P",
                    "setting": asdict(POINT),
                    "sets": {"0": plain({"figures": FIGURES, "cost": COST})},
                }
            ],
        },
        read_results,
    ),
    "timing": Kind(
        "timing.json",
        tagged(TIMING, Timing(1, 500, 1, 50, {}, {"before": (1.0,)}, {"p": (1.0,)}, (1.1,), "p")),
        read_timing,
    ),
    "comparison": Kind(
        "against-x.json",
        tagged(
            AGAINST,
            Comparison(
                "x",
                "y",
                "FD",
                {"cfg": (1, 2)},
                (Pair("p", "P", "q", "Q", (0,), {"fid": Difference(1.0)}),),
                (),
                (),
            ),
        ),
        lambda folder: read_comparison(folder / "against-x.json"),
    ),
    "analysis": Kind(
        "scorers.json",
        tagged(
            SCORERS, Analysis("b", 1, "r", 1, 1, ("s",), (Judged("n", "s", "f", "a", 1, None, (1,), None),))
        ),
        lambda folder: read_analysis(folder, ("s",)),
    ),
    "figures": Kind(
        "figures.json",
        plain({"figures": [Entry("table", "a.md", "T", "c", None, None, ("h",), (("1",),), ((0, 0),))]}),
        read_index,
    ),
    "tune": Kind(
        "tune.json",
        full_record(ASKED, 90.0, LEDGER, {"search": 2}, {}),
        lambda folder: [read_tune(folder / "tune.json", kind) for kind in (TuneRecord, Ledger)],
    ),
    "settings": Kind(
        "settings.json",
        {
            "format": SETTINGS,
            "settings": {"candidates": "8", "cfg": 1.5, "weights": ["a.pth"], "start_scale": 2},
        },
        lambda folder: read_settings(folder / "settings.json"),
    ),
}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values, and of all that holds some."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from leaves(part, (*path, key))


def poisoned(valid: Any) -> Iterator[str]:
    """A record's text with each of its values in turn replaced by each poison."""
    mark = "@poison@"
    for path in leaves(valid):
        copy = json.loads(json.dumps({"": valid}))
        inner = copy
        for key in ("", *path)[:-1]:
            inner = inner[key]
        inner[("", *path)[-1]] = mark
        text = json.dumps(copy[""])
        for poison in POISON.values():
            yield text.replace(f'"{mark}"', poison)


def as_written(text: str) -> bytes:
    """A record with its checksum, as the toolkit writes it."""
    return sealed(text.replace("{", "{\n", 1).encode())


def check(read: Callable[[], object]) -> bool:
    """Whether a file is taken; else it is refused as it should be."""
    try:
        read()
    except UsageError as error:
        said = str(error)
    else:
        return True
    assert "\n" not in said
    assert len(said) < 1000
    return False


@pytest.fixture(autouse=True)
def bounds() -> Iterator[None]:
    """Bounds on the memory and the time of a test's whole list."""
    torch.zeros(1)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    yield
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MEMORY
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("name", KINDS)
def test_a_poisoned_record_is_one_line(tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    path = tmp_path / kind.path
    path.parent.mkdir(parents=True, exist_ok=True)
    valid = json.loads(json.dumps(plain(kind.valid)))
    path.write_bytes(as_written(json.dumps(valid)))
    assert check(lambda: kind.read(tmp_path))
    taken = 0
    for text in poisoned(valid):
        path.write_bytes(as_written(text))
        taken += check(lambda: kind.read(tmp_path))
    if name not in LENIENT:
        assert taken < len(list(leaves(valid))) * len(POISON)


@pytest.mark.parametrize("name", KINDS)
def test_a_record_that_is_too_large_is_not_read(tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    path = tmp_path / kind.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse
    if name in LENIENT:
        kind.read(tmp_path)
        return
    with pytest.raises(CheckpointError, match="more than 16 MiB"):
        kind.read(tmp_path)


def described(folder: Path, key: str, text: str, source: Path) -> Path:
    """A file with another text in its metadata."""
    tensors, metadata = load_tensors(source)
    save_tensors(folder / "x.safetensors", tensors, {**metadata, key: text})
    return folder / "x.safetensors"


@pytest.mark.parametrize(("key", "start"), [("config", None), ("identity", None), ("training", -1)])
def test_a_poisoned_description_of_a_scorer_is_one_line(tmp_path: Path, key: str, start: int | None) -> None:
    source = EMBEDDED / "var-digits-scorer.safetensors"
    valid = dict(list(json.loads(load_tensors(source)[1][key]).items())[start:])  # all of training is free
    assert check(lambda: load_scorer(described(tmp_path, key, json.dumps(valid), source), 4))
    for text in poisoned(valid):
        check(lambda text=text: load_scorer(described(tmp_path, key, text, source), 4))


def test_a_poisoned_description_of_a_model_is_one_line(tmp_path: Path) -> None:
    source = EMBEDDED / "var-digits" / "transformer.safetensors"
    _, metadata = load_tensors(source)
    for text in poisoned(json.loads(metadata["config"])):
        save_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {**metadata, "config": text})
        check(lambda: read_folder_config(tmp_path / "x.safetensors"))


def test_a_poisoned_checkpoint_of_a_training_is_one_line(tmp_path: Path) -> None:
    path, position = tmp_path / "last.safetensors", {"epoch": 1, "step": 0, "loss_sum": 0.0, "seconds": 1.0}
    row = {"epoch": 1, "train_loss": 0.5, "loss": [0.5], "accuracy": [0.9]}
    state = {"position": {**position, "history": [row]}, "kept": 1, "scaler": {"scale": 2.0}}
    for text in poisoned({"format": TRAINING, "facts": {}, "state": state}):
        save_tensors(path, {"a": torch.zeros(1)}, {"training": text})
        check(lambda: load_checkpoint(path, {}))


def test_poisoned_names_of_skipped_items_are_one_line(tmp_path: Path) -> None:
    for text in poisoned(["a", "b"]):
        save_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {"skipped": text})
        check(lambda: skipped_in(tmp_path / "x.safetensors"))


def test_a_poisoned_record_of_an_npz_is_as_none(tmp_path: Path) -> None:
    images = np.zeros((2, 4, 4, 3), np.uint8)
    for text in poisoned({"uint8": "round", "family": "var"}):
        save_npz(tmp_path / "x.npz", arr_0=images, record=np.array(text.replace("\\ud800", "")))
        assert open_npz(tmp_path / "x.npz").count == 2


def test_a_poisoned_list_of_images_is_one_line(tmp_path: Path) -> None:
    folder = ImageFolder(tmp_path, Classes.of(["a"]), ("a/1.png",), np.zeros(1, np.int32))
    folder.save(tmp_path / "images.txt")
    header, _, rest = (tmp_path / "images.txt").read_text().partition("\n")
    assert check(lambda: listing(tmp_path))
    for text in poisoned(json.loads(header)):
        (tmp_path / "images.txt").write_text(f"{text}\n{rest}")
        check(lambda: listing(tmp_path))
