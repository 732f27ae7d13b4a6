"""Unfinished trainings on disk: their checkpoint, and what to do with a folder that has one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tts.data.store import TokenStore
from tts.errors import CheckpointError, UsageError, reason
from tts.io import load_tensors, remove_path, save_tensors
from tts.records import digest, encode, parse_record, plain, tagged
from tts.scorers.settings import TrainSettings, option
from tts.scorers.state import Reached, Snapshot, TrainState

CHECKPOINT_FILE = "last.safetensors"
FORMAT = "scalewise-tts-training-1"
FREE = ("accumulate",)
"""Settings that a training may go on with changed: like the processes, they change no more than rounding."""

Facts = dict[str, Any]
"""What makes a training the one that it is: its settings, and the contents of both data sets."""


@dataclass(frozen=True)
class _Record:
    facts: Facts
    state: Reached


def facts(settings: TrainSettings, real: TokenStore, generated: TokenStore) -> Facts:
    """The facts of a training, as JSON gives them back."""
    chosen = {key: value for key, value in asdict(settings).items() if key not in FREE}
    contents = {"real data": _digest(real), "generated data": _digest(generated)}
    found: Facts = plain({**chosen, **contents})
    return found


def _digest(store: TokenStore) -> str:
    """The contents of a data set, wherever it lies."""
    shards = [(shard.items, shard.sha256) for shard in store.manifest.shards]
    return digest([store.identity, shards])[:12]


def check_same(path: Path, before: Facts, now: Facts) -> None:
    """Refuse to go on with other facts, and name them."""
    other = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if other:
        words = ", ".join(f"{option(key)} {before.get(key)}, got {now.get(key)}" for key in other)
        raise UsageError(
            f"{path} is of a training with other settings ({words});"
            " pass the same ones to go on, --overwrite to train anew, or another --out"
        )


def save_checkpoint(path: Path, snapshot: Snapshot, known: Facts) -> None:
    """Write a training's state in one piece, in place of the one before."""
    record = tagged(FORMAT, _Record(known, snapshot.record))
    save_tensors(path, snapshot.tensors, {"training": encode(record)})


def load_checkpoint(path: Path, now: Facts) -> Snapshot:
    """Read the state of a training with the given facts, into memory of its own."""
    try:
        tensors, metadata = load_tensors(path, own=True)
    except CheckpointError as error:
        raise _damaged(path, error) from error
    record = parse_record(
        metadata.get("training", ""),
        _Record,
        str(path),
        "checkpoint",
        "pass --overwrite to train anew",
        FORMAT,
    )
    check_same(path, record.facts, now)
    return Snapshot({key: value.clone() for key, value in tensors.items()}, record.state)


def restore(path: Path, state: TrainState, snapshot: Snapshot) -> None:
    """Put a snapshot that was read from ``path`` into a training's state."""
    try:
        state.restore(snapshot)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CheckpointError:
    fault = f"no {error}" if isinstance(error, KeyError) else reason(error)[:200]
    return CheckpointError(f"{path} is damaged ({fault}); pass --overwrite to train anew")


Beginning = Literal["anew", "resume", "finished"]


def beginning(out: Path, finished: bool, resume: bool, overwrite: bool) -> Beginning:
    """What to do with a folder that may hold an unfinished or a finished training; refuses to guess."""
    unfinished = (out / CHECKPOINT_FILE).exists()
    if resume and overwrite:
        raise UsageError("--resume goes on and --overwrite starts anew; pass one of them")
    if resume and unfinished:
        return "resume"
    if resume and finished:
        return "finished"
    if resume:
        raise UsageError(f"{out} holds no {CHECKPOINT_FILE} to go on from; leave --resume out to start")
    if unfinished and not overwrite:
        raise UsageError(
            f"{out} holds an unfinished training; pass --resume to go on or --overwrite to train anew"
        )
    if finished and not overwrite:
        raise UsageError(f"{out} already holds a scorer; choose another --out or pass --overwrite")
    return "anew"


def clear(out: Path) -> None:
    """Remove the checkpoint, and what a killed process left of the next one."""
    for path in (out / CHECKPOINT_FILE, *out.glob(f".{CHECKPOINT_FILE}.*.tmp")):
        remove_path(path)
