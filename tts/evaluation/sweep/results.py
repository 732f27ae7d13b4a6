"""The results of a sweep: ``results.json`` for programs, ``results.csv`` with a row a point and seed set."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch

from tts.evaluation.cost import Cost
from tts.evaluation.figures import Figures
from tts.evaluation.sweep.point import SETTING_FIELDS, Setting
from tts.evaluation.sweep.record import FORMAT as SWEEP_FORMAT
from tts.evaluation.sweep.record import Record, SetRecord, SweepRecord
from tts.evaluation.sweep.store import Named, Store
from tts.io import atomic_path, write_json
from tts.records import tagged
from tts.runinfo import environment

FORMAT = "scalewise-tts-results-1"
JSON_FILE, CSV_FILE = "results.json", "results.csv"

FIGURES = tuple(field.name for field in fields(Figures) if field.name != "intervals")
COSTS = tuple(field.name for field in fields(Cost) if field.name not in FIGURES)
NUMERIC = ("candidates", "start_scale", "end_scale", "top_k_select", "temperature", "cfg", "top_k", "top_p")


@dataclass(frozen=True)
class Result:
    """A point with the seed sets that are measured."""

    point: Named
    sets: Mapping[int, SetRecord]

    def values(self, name: str) -> list[float]:
        """A figure or cost in every seed set; nothing if one of them lacks it."""
        found = [numbers(one)[name] for one in self.sets.values()]
        known = [value for value in found if value is not None]
        return known if len(known) == len(found) else []


def numbers(one: SetRecord) -> dict[str, float | None]:
    """Figures and costs of a seed set, by name."""
    found: dict[str, float | None] = {name: getattr(one.figures, name) for name in FIGURES}
    return {**found, **{name: getattr(one.cost, name) for name in COSTS}}


def gather(store: Store, record: SweepRecord) -> list[Result]:
    """All points of a sweep that have a measured seed set, in the order in which they were asked for."""
    found = []
    for id_ in record.points:
        sets = {number: store.read_set(id_, number) for number in store.numbers(id_)}
        if sets:
            found.append(Result(store.point(id_), sets))
    return found


def write_results(store: Store, record: SweepRecord, device: torch.device) -> list[Result]:
    """Write both files from what the folder holds."""
    results = gather(store, record)
    content = {
        "format": FORMAT,
        "sweep": tagged(SWEEP_FORMAT, record),
        "environment": environment(device),
        "axes": axes([result.point.setting for result in results]),
        "points": [_point(result) for result in results],
    }
    write_csv(store, results)
    write_json(store.folder / JSON_FILE, content)
    return results


def axes(settings: list[Setting]) -> dict[str, list[Any]]:
    """The values of the candidates, and of every other field that varies: numbers rise, texts as met."""
    found: dict[str, list[Any]] = {}
    for name in ("candidates", *(name for name in SETTING_FIELDS if name != "candidates")):
        met = dict.fromkeys(getattr(setting, name) for setting in settings)
        values = [value for value in met if value is not None]
        if name == "candidates" or len(values) > 1:
            found[name] = sorted(values, key=_rank) if name in NUMERIC else values
    return found


def _rank(value: Any) -> tuple[bool, float, str]:
    """Numbers before lists of candidates."""
    text = str(value)
    listed = "," in text
    return listed, 0.0 if listed else float(text), text


def _point(result: Result) -> Record:
    """A point's entry: every seed set, then mean and sample standard deviation over them."""
    values = {name: result.values(name) for name in (*FIGURES, *COSTS)}
    sets = {
        str(number): {"figures": asdict(one.figures), "cost": asdict(one.cost)}
        for number, one in result.sets.items()
    }
    return {
        "id": result.point.id,
        "label": result.point.name.label,
        "setting": asdict(result.point.setting),
        "sets": sets,
        "strips": [one.strip for one in result.sets.values() if one.strip],
        "mean": {name: statistics.fmean(found) if found else None for name, found in values.items()},
        "spread": {
            name: statistics.stdev(found) if len(found) > 1 else None for name, found in values.items()
        },
    }


def write_csv(store: Store, results: list[Result]) -> None:
    """A tidy table: id, label, setting, seed set, figures, costs; what does not apply is empty."""
    text = io.StringIO(newline="")
    header = ("id", "label", *SETTING_FIELDS, "seed_set", *FIGURES, *COSTS, "processes")
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    for result in results:
        point = result.point
        start = {"id": point.id, "label": point.name.label, **asdict(point.setting)}
        for number, one in result.sets.items():
            writer.writerow({**start, "seed_set": number, **numbers(one), "processes": one.processes})
    with atomic_path(store.folder / CSV_FILE) as temporary:
        temporary.write_bytes(text.getvalue().encode())
