"""The folder of a tune: what was asked for with all measurements, the settings that were found, a summary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tts.engine.folder import WORK
from tts.engine.plan import PLAN_FILE
from tts.errors import UsageError
from tts.evaluation.tune.confirm import Finding
from tts.evaluation.tune.records import Ledger
from tts.io import atomic_path, write_json
from tts.outputs import RECORD
from tts.records import plain, read_record, tagged

T = TypeVar("T")

FORMAT = "scalewise-tts-tune-1"
TUNE, SUMMARY = "tune.json", "tune.md"
SETTINGS_FILE, BASELINE_FILE, WINNER_FILE = "settings.json", "baseline.json", "winner.json"
"""What is recommended, and both of what was compared."""


@dataclass(frozen=True)
class TuneRecord:
    """What was asked for: ``command`` is as typed, the others decide the outcome and may not change."""

    command: str
    base: dict[str, Any]
    options: dict[str, Any]
    backbone: dict[str, Any]
    scorer: dict[str, Any]
    features: dict[str, Any]
    features_title: str
    reference: dict[str, Any]

    def differences(self, other: TuneRecord) -> list[str]:
        """Names of what another tune's record says differently."""
        mine, others = self.options, other.options
        parts = ("backbone", "scorer", "features", "reference")
        return [
            *(name for name in {**mine, **others} if mine.get(name) != others.get(name)),
            *(name for name in parts if _identity(getattr(self, name)) != _identity(getattr(other, name))),
        ]


@dataclass(frozen=True)
class TuneStore:
    """The files of a tune."""

    folder: Path

    @property
    def work(self) -> Path:
        """Folder of locks."""
        return self.folder / WORK

    def open(self, asked: TuneRecord, overwrite: bool) -> Ledger:
        """What the folder holds of this tune; refuses another one by what differs."""
        path = self.folder / TUNE
        if not path.exists():
            for name in (PLAN_FILE, RECORD, "sweep.json"):
                if (self.folder / name).exists():
                    raise UsageError(f"{self.folder} holds a run of another command; choose another --out")
        if overwrite or not path.exists():
            return self._emptied()
        names, ledger = asked.differences(read_tune(path, TuneRecord)), read_tune(path, Ledger)
        if ledger.shape is None:  # a budget that was too small, say: nothing has been decided
            return self._emptied()
        if names:
            raise UsageError(
                f"{self.folder} holds a tune with other settings ({', '.join(names)});"
                " choose another --out or pass --overwrite"
            )
        return ledger

    def _emptied(self) -> Ledger:
        """Remove a tune's files, and begin anew."""
        for name in (TUNE, SUMMARY, SETTINGS_FILE, BASELINE_FILE, WINNER_FILE):
            (self.folder / name).unlink(missing_ok=True)
        return Ledger()

    def write(self, record: dict[str, Any]) -> None:
        """Write all there is to say."""
        write_json(self.folder / TUNE, record)

    def write_summary(self, text: str) -> None:
        """Write the summary for people."""
        with atomic_path(self.folder / SUMMARY) as temporary:
            temporary.write_text(text, encoding="utf-8")


def read_tune(path: Path, kind: type[T]) -> T:
    """A part of ``tune.json``: ``TuneRecord`` or ``Ledger``."""
    remedy = "choose another --out or pass --overwrite"
    return read_record(path, kind, "record of 'tts tune'", remedy, FORMAT, own=True)


def full_record(
    asked: TuneRecord,
    seconds: float,
    ledger: Ledger,
    halves: dict[str, int],
    environment: dict[str, Any],
    finding: Finding | None = None,
) -> dict[str, Any]:
    """The content of ``tune.json``: what was asked for, every measurement and, at the end, the finding."""
    return {
        **tagged(FORMAT, asked),
        **plain(ledger),
        "halves": halves,
        "budget": {"seconds": seconds},
        "baseline": None if finding is None else finding.baseline.setting(),
        "winner": None if finding is None else finding.winner.setting(),
        "recommended": None if finding is None else finding.recommended.setting(),
        "confirmation": None if finding is None else finding.record(),
        "environment": environment,
    }


def _identity(record: dict[str, Any]) -> dict[str, Any]:
    """A record without the names under which its files happen to lie."""
    return {key: value for key, value in record.items() if key not in ("text", "file")}
