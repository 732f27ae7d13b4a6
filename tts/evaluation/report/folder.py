"""From a folder to its page: what the folder holds decides which page is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tts.errors import CheckpointError, UsageError
from tts.evaluation.report.page import Page
from tts.evaluation.report.record import Record
from tts.evaluation.report.render import write_page
from tts.evaluation.report.sample import sample_page
from tts.evaluation.report.sweep import sweep_page
from tts.evaluation.report.training import training_page
from tts.evaluation.report.tuning import tuning_page
from tts.io import ensure_writable_dir

REPORT = "report.html"
PLAN = "plan.json"
GIVE = "give an output folder of 'tts sweep', 'tts sample', 'tts train-scorer' or 'tts tune'"
SUFFIXES = (".html", ".htm")


@dataclass(frozen=True)
class Kind:
    """A kind of folder: ``finished`` is its last file, ``begun`` one that is there before.

    ``go_on`` says how a folder that is only begun is finished.
    """

    name: str
    finished: str
    begun: str
    go_on: str
    page: Callable[[Path], Page]


KINDS = (
    Kind("sweep", "results.json", "sweep.json", "run its 'tts sweep' again to go on", sweep_page),
    Kind("tuning", "tune.json", "", "", tuning_page),
    Kind(
        "training",
        "metrics.json",
        "last.safetensors",
        "go on with 'tts train-scorer --resume'",
        training_page,
    ),
    Kind("run", "run.json", PLAN, "run its 'tts sample' again to go on", sample_page),
)


@dataclass(frozen=True)
class ReportSummary:
    """What was made: the kind of folder, the file, its size in bytes, the number of figures in it."""

    kind: str
    out: Path
    size: int
    figures: int


def write_report(folder: Path, out: Path | None = None) -> ReportSummary:
    """Make the page of a folder; ``out`` is ``report.html`` in it by default."""
    kind = find_kind(folder)
    target = folder / REPORT if out is None else out
    if target.suffix.lower() not in SUFFIXES or target.is_dir():
        raise UsageError(f"{target} is no name for an HTML file; pass --out FILE.html")
    ensure_writable_dir(target.parent)
    page = kind.page(folder)
    return ReportSummary(kind.name, target, write_page(page, target), page.figures)


def find_kind(folder: Path) -> Kind:
    """What a folder holds; one that is not finished, or holds nothing of the kind, is refused."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; {GIVE}")
    for kind in KINDS:
        if (folder / kind.finished).is_file():
            return kind
        if kind.begun and (folder / kind.begun).is_file() and _is(folder / kind.begun, kind):
            raise CheckpointError(f"{folder} holds an unfinished {kind.name}; {kind.go_on}")
    raise CheckpointError(f"{folder} holds nothing that a report can be made of; {GIVE}")


def _is(begun: Path, kind: Kind) -> bool:
    """Whether a file that several commands write belongs to this kind."""
    return begun.name != PLAN or Record.open(begun, kind.go_on).text("kind") == "sample"
