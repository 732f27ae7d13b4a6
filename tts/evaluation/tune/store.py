"""The folder of a tune: what was asked for with all measurements, the settings that were found, a summary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts.engine.folder import WORK
from tts.engine.plan import PLAN_FILE
from tts.errors import CheckpointError, UsageError
from tts.evaluation.tune.confirm import Finding
from tts.evaluation.tune.records import Ledger
from tts.io import atomic_path, read_json, write_json
from tts.outputs import RECORD

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

    def differences(self, record: dict[str, Any]) -> list[str]:
        """Names of what another tune's record says differently."""
        mine, others = self.options, record["options"]
        parts = ("backbone", "scorer", "features", "reference")
        return [
            *(name for name in {**mine, **others} if mine.get(name) != others.get(name)),
            *(name for name in parts if _identity(getattr(self, name)) != _identity(record[name])),
        ]

    def to_json(self) -> dict[str, Any]:
        """The record for JSON."""
        return {"format": FORMAT, **{name: getattr(self, name) for name in self.__dataclass_fields__}}


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
        names, ledger = self._read(path, asked)
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

    def _read(self, path: Path, asked: TuneRecord) -> tuple[list[str], Ledger]:
        """What differs from what was asked for before, and what was measured then."""
        record = read_json(path, own=True)
        try:
            if record["format"] != FORMAT:
                raise ValueError(f"format {record['format']}, this version reads {FORMAT}")
            return asked.differences(record), Ledger.of({**record, "spent": record["budget"]["spent"]})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path} is no record of 'tts tune' that this version reads ({error});"
                " choose another --out or pass --overwrite"
            ) from error

    def write(self, record: dict[str, Any]) -> None:
        """Write all there is to say."""
        write_json(self.folder / TUNE, record)

    def write_summary(self, text: str) -> None:
        """Write the summary for people."""
        with atomic_path(self.folder / SUMMARY) as temporary:
            temporary.write_text(text, encoding="utf-8")


def full_record(
    asked: TuneRecord,
    seconds: float,
    ledger: Ledger,
    halves: dict[str, int],
    environment: dict[str, Any],
    finding: Finding | None = None,
) -> dict[str, Any]:
    """The content of ``tune.json``: what was asked for, every measurement and, at the end, the finding."""
    measured = ledger.record()
    spent, confirmation = measured.pop("spent"), measured.pop("confirmation")
    if finding is not None:
        confirmation = {**confirmation, **finding.record()}
    return {
        **asked.to_json(),
        "halves": halves,
        "budget": {"seconds": seconds, "spent": spent},
        **measured,
        "baseline": None if finding is None else finding.baseline.setting(),
        "winner": None if finding is None else finding.winner.setting(),
        "recommended": None if finding is None else finding.recommended.setting(),
        "confirmation": confirmation,
        "environment": environment,
    }


def _identity(record: dict[str, Any]) -> dict[str, Any]:
    """A record without the names under which its files happen to lie."""
    return {key: value for key, value in record.items() if key not in ("text", "file")}
