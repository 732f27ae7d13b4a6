"""Folders of sweeps as ``tts sweep`` leaves them, with made-up figures that follow from the settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tts.evaluation.cost import Cost
from tts.evaluation.features import Features
from tts.evaluation.figures import Figures
from tts.evaluation.sweep.lab import Measured
from tts.evaluation.sweep.names import Name
from tts.evaluation.sweep.point import Setting
from tts.evaluation.sweep.record import SetRecord, SweepRecord
from tts.evaluation.sweep.store import Named, Store
from tts.io import make_folder, save_png, write_json
from tts.sample_config import SampleConfig

PLAIN: dict[str, Any] = {
    **{field.name: None for field in fields(Setting)},
    **{"strategy": "lsrs", "candidates": "1", "cfg": 1.5, "top_k": 0, "top_p": 0.0},
    **{"schedule": "1,2,3,4", "guidance": "var"},
}
GREEDY: dict[str, Any] = {"scorer": "learned", "selector": "greedy", "start_scale": 2, "end_scale": 4}
IMAGES, CLASSES, STRIP = 1000, 10, 10


def made_up_figures(setting: Setting, seed_set: int) -> Figures:
    """Figures that improve with M up to 32, most for greedy selection from the second scale on."""
    m = int(setting.candidates) if setting.candidates.isdecimal() else 8
    gain = {"greedy": 1.0, "topk": 0.9, "softmax": 0.8}.get(setting.selector or "", 0.5)
    late = 1 if setting.start_scale == 1 else 0.3 * ((setting.start_scale or 2) - 2)
    steps = math.log2(m)
    change = gain * (0.5 * steps - 0.05 * steps * steps) * (1 - late)
    wobble = 0.02 * (seed_set - 1)
    mean = 0.4 - 0.02 * steps + 0.01 * (setting.cfg or 0)
    samples, root = 19 + 0.5 * gain * steps, 41 + 0.5 * gain * steps
    fid = 2.4 - change + wobble + 0.1 * abs((setting.cfg or 0) - 2)
    return Figures(
        images=IMAGES,
        fid=fid,
        mean_diff2=mean,
        trace_reference=fid - mean + root - samples,
        trace_samples=samples,
        two_trace_sqrt=root,
        sfid=2 * fid + 1,
        inception_score=7 + 0.2 * change + wobble,
        inception_score_single=7 + 0.2 * change + wobble,
        precision=0.8 + 0.01 * steps,
        recall=0.7 - 0.01 * steps + wobble / 10,
        accuracy=0.85 + 0.02 * change + wobble / 10,
        variance=20 - steps,
    )


def made_up_cost(setting: Setting, seed_set: int) -> Cost:
    """Four passes an image, or N times four."""
    m = int(setting.candidates) if setting.candidates.isdecimal() else 8
    whole = setting.strategy == "best-of-n"
    scored = 0 if whole or m == 1 else 3 * m
    return Cost(
        images=IMAGES,
        transformer_passes=IMAGES * 4 * (m if whole else 1),
        scorer_calls=IMAGES * scored,
        decoder_calls=IMAGES * (m if whole else 1),
        image_scorer_calls=IMAGES * m if whole else 0,
        seconds=(2.0 * m if whole else 2 + 0.05 * scored) + 0.1 * seed_set,
        peak_bytes=(300 + scored) * 2**20,
    )


class FakeSweep:
    """A sweep's folder in the making: ``add`` points, then ``write``."""

    def __init__(self, folder: Path, **base: Any) -> None:
        self.folder = folder
        self.base = {**asdict(SampleConfig()), "image_scorer": "digits", **base}
        self.points: dict[str, dict[str, Any]] = {}
        self.reference, self.title, self.features = "all", "FD", "digits"

    def add(self, *sets: int, change: Callable[[Figures], Figures] = lambda f: f, **setting: Any) -> str:
        """Measure a point in some seed sets (0, 1 and 2); returns its id."""
        found = Setting(**{**PLAIN, **setting})
        id_ = f"point-{len(self.points)}"
        entries = {
            str(number): {
                "figures": asdict(change(made_up_figures(found, number))),
                "cost": asdict(made_up_cost(found, number)),
            }
            for number in sets or (0, 1, 2)
        }
        label = " ".join(f"{key}={value}" for key, value in setting.items()) or "plain"
        self.points[id_] = {"id": id_, "label": label, "setting": asdict(found), "sets": entries}
        return id_

    def strip(self, id_: str, number: int, size: int = 4) -> None:
        """First images of a point, each of one colour (column number, row number, 0)."""
        make_folder(self.folder / "points" / id_)
        row = np.zeros((size, STRIP * size, 3), np.uint8)
        row[..., 0], row[..., 1] = number, np.arange(STRIP).repeat(size)
        save_png(self.folder / "points" / id_ / "images.png", row)

    def write(self) -> Path:
        """Write ``results.json``."""
        sweep = {
            "format": "scalewise-tts-sweep-1",
            "base": {k: list(v) if isinstance(v, tuple) else v for k, v in self.base.items()},
            "images": IMAGES,
            "features_title": self.title,
            "features": {"name": self.features},
            "reference": {"text": self.reference},
            "backbone": {"classes": CLASSES},
        }
        make_folder(self.folder)
        content = {
            "format": "scalewise-tts-results-1",
            "sweep": sweep,
            "axes": {},
            "points": list(self.points.values()),
        }
        write_json(self.folder / "results.json", content)
        return self.folder


def fill(sweep: FakeSweep, other: str) -> None:
    """All kinds of points; ``other`` is a second scorer."""
    counts = (2, 4, 8, 16, 32, 64)
    greedy = {**GREEDY}
    topk = {**GREEDY, "selector": "topk", "temperature": 1.0}
    sweep.add()
    for m in counts:
        sweep.add(candidates=str(m), **greedy)
        sweep.add(candidates=str(m), **{**greedy, "selector": "softmax", "temperature": 1.0})
        sweep.add(candidates=str(m), **topk, top_k_select=8)
        sweep.add(candidates=str(m), **{**greedy, "scorer": other})
    for start in (1, 3, 4):
        sweep.add(candidates="32", **{**greedy, "start_scale": start})
    for m in (2, 4, 8):
        sweep.add(candidates=str(m), **{**greedy, "start_scale": 1})
    for k in (2, 4, 16):
        sweep.add(candidates="64", **topk, top_k_select=k)
    for n in (2, 4, 8):
        sweep.add(candidates=str(n), strategy="best-of-n", image_scorer="digits")
    for cfg in (0.0, 3.0):
        sweep.add(cfg=cfg)
        sweep.add(cfg=cfg, candidates="8", **greedy)
    sweep.add(candidates="1,8,8,4", **{**greedy, "start_scale": None, "end_scale": None})
    for number, (id_, point) in enumerate(sweep.points.items()):
        if point["setting"]["selector"] in (None, "greedy"):
            sweep.strip(id_, number)


@pytest.fixture
def sweep(tmp_path: Path) -> FakeSweep:
    """An empty sweep with the digits' features."""
    return FakeSweep(tmp_path / "sweep")


@pytest.fixture
def full_sweep(sweep: FakeSweep) -> FakeSweep:
    """A sweep with all kinds of points."""
    fill(sweep, "runs/pointwise/scorer.safetensors")
    sweep.write()
    return sweep


PLAIN_POINT = Setting("lsrs", None, None, None, "1", None, None, None, None, 1.5, 0, 0.0, "1,2,3,4", "var")
GREEDY_POINT = replace(
    PLAIN_POINT, scorer="learned", selector="greedy", candidates="8", start_scale=2, end_scale=4
)
POINTS = [
    Named(Name("plain", "plain"), PLAIN_POINT),
    Named(Name("greedy-m8", 'greedy, "M" 8'), GREEDY_POINT),
]


def sweep_record(**changes: Any) -> SweepRecord:
    """What was asked for: two points with two seed sets."""
    made = SweepRecord(
        command="tts sweep",
        base={"backbone": "var-digits", "weights": []},
        grids=("candidates=1,8",),
        images=40,
        seed_sets=(0, 1),
        features={"name": "digits"},
        features_title="FD",
        reference={"text": "heldout", "images": 364},
        metrics={},
        backbone={"backbone": "var-digits", "classes": 10},
        judges={},
        shared={},
        points=("plain", "greedy-m8"),
    )
    return replace(made, **changes)


@dataclass(frozen=True)
class Asked:
    """A store with the settings of its points, and what they were asked for by."""

    store: Store
    plain: Setting = PLAIN_POINT
    greedy: Setting = GREEDY_POINT

    def record(self, **changes: Any) -> SweepRecord:
        """What was asked for."""
        return sweep_record(**changes)

    def open(self, record: SweepRecord, *points: tuple[str, Setting]) -> None:
        """Ask for more."""
        self.store.open(record, [Named(Name(id_, id_), setting) for id_, setting in points])

    def put(self, point: str, number: int, fid: float, level: int = 0, **figures: Any) -> None:
        """Store the figures of a seed set, and images of one level of grey."""
        cost = Cost(40, 160, 0, 40, 0, fid / 10, None)
        found = Figures(40, fid, 1.0, 2.0, 2.0, 5.0 - fid, **figures)
        strip = np.full((10, 4, 4, 3), level, np.uint8)
        measured = Measured(found, cost, Features(torch.zeros(40, 2)), strip)
        self.store.write_set(point, number, measured, SetRecord(found, cost, {"device": "cpu"}, 1, "0"))


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    """A store of two points, one with two seed sets and one with one."""
    made = Asked(Store(tmp_path))
    made.store.open(sweep_record(), POINTS)
    made.put("plain", 1, 3.0, accuracy=0.5)
    made.put("plain", 0, 2.0, accuracy=0.7, intervals={"fid": (1.0, 3.0)})
    made.put("greedy-m8", 0, 1.0)
    return made
