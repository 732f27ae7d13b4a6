"""A job without a model, and runs of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from tts.engine.folder import Layout, RunFolder
from tts.engine.opening import Mode, open_run
from tts.engine.plan import Request
from tts.engine.shards import Rows
from tts.engine.stopping import Stop
from tts.engine.work import Outcome, work
from tts.engine.worker import Worker
from tts.io import load_tensors, save_tensors, write_json
from tts.pipeline import Item

LAYOUT = Layout("record.json", ("count",), "parts", ("all.safetensors", "extra"))


@dataclass
class CountJob:
    """Makes rows (label, seed, label x seed), ``batch`` at a time; ``made`` lists the seeds."""

    batch: int = 2
    fail_at: int | None = None
    made: list[int] = field(default_factory=list)
    finished: int = 0
    overlaps: bool = True
    before_batch: Callable[[], None] = lambda: None

    def make(self, items: Any, first: int) -> Iterator[Rows]:
        """Make items; raises at the seed ``fail_at``."""
        for start in range(0, len(items), self.batch):
            self.before_batch()
            part = items[start : start + self.batch]
            if self.fail_at in [item.seed for item in part]:
                raise RuntimeError("broken")
            self.made += [item.seed for item in part]
            values = torch.tensor([[item.label, item.seed, item.label * item.seed] for item in part])
            yield Rows({"values": values}, len(part))

    def publish(self, items: Any, rows: Rows) -> tuple[Rows, dict[str, str]]:
        """Keep the rows."""
        return rows, {"note": "mine"}

    def finish(self, run: RunFolder, timing: Any) -> None:
        """Join all shards, then write the record."""
        self.finished += 1
        parts = [load_tensors(run.shard_path(shard.number))[0]["values"] for shard in run.shards]
        save_tensors(run.path / "all.safetensors", {"values": torch.cat(parts)}, {})
        write_json(run.path / LAYOUT.record, {"plan": run.plan.id, "timed": timing.items})


def request(count: int = 10, shard_items: int | None = 4, **settings: Any) -> Request:
    """The items with seeds 0 to below ``count``, twice label 1 and once label 2 in turn."""
    return Request.of(
        "count", {"colour": "red", **settings}, {"weights": "a"}, {"count": count}, plan(count), shard_items
    )


def plan(count: int) -> list[Item]:
    return [Item(1 + (seed % 3 == 2), seed) for seed in range(count)]


@dataclass(frozen=True)
class Runs:
    """Runs of the job in one folder."""

    out: Path
    layout: Layout = LAYOUT

    def open(
        self, asked: Request | None = None, **mode: Any
    ) -> AbstractContextManager[tuple[RunFolder, Worker]]:
        """Open the folder."""
        return open_run(
            self.out, LAYOUT, asked or request(), lambda choice: plan(choice["count"]), Mode(**mode)
        )

    def run(
        self,
        asked: Request | None = None,
        job: CountJob | None = None,
        share: Any = None,
        warn: Any = None,
        **mode: Any,
    ) -> Outcome:
        """Open the folder and work."""
        with Stop() as stop, self.open(asked, **mode) as (run, worker):
            return work(run, worker, job or CountJob(), stop, share, warn=warn or (lambda message: None))

    def values(self) -> list[list[int]]:
        """The rows of the finished run."""
        found: list[list[int]] = load_tensors(self.out / "all.safetensors")[0]["values"].tolist()
        return found

    def names(self) -> list[str]:
        """All files."""
        return sorted(path.relative_to(self.out).as_posix() for path in self.out.rglob("*") if path.is_file())


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """A folder for runs of ten items in three shards."""
    return Runs(tmp_path / "out")


@pytest.fixture
def job() -> type[CountJob]:
    """The class of the job."""
    return CountJob


@pytest.fixture
def asked() -> Callable[..., Request]:
    """Builds what a run is asked for."""
    return request


@pytest.fixture
def expected() -> Callable[[int], list[list[int]]]:
    """The rows of a run of so many items."""
    return lambda count: [[item.label, item.seed, item.label * item.seed] for item in plan(count)]


@pytest.fixture
def crowd(runs: Runs) -> Callable[..., AbstractContextManager[Worker]]:
    """Another living process at work in the folder, or in one inside it."""

    return lambda inside=".": Worker(runs.out / inside / ".work")
