"""Checkpoints of unfinished trainings: whole or refused, and never of another training."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
import torch

from tts.data.store import TokenStore
from tts.data.writing import StoreWriter
from tts.errors import CheckpointError
from tts.io import save_tensors
from tts.scorers.network import ScorerNetwork, default_config
from tts.scorers.resume import (
    CHECKPOINT_FILE,
    beginning,
    check_same,
    clear,
    facts,
    load_checkpoint,
    restore,
    save_checkpoint,
)
from tts.scorers.settings import TrainSettings
from tts.scorers.state import Position, Reached, Snapshot, TrainState

SETTINGS = TrainSettings("pairwise", (0, 1))
KNOWN = {"epochs": 4, "learning_rate": 3e-4, "scales": [0, 1], "real data": "ab"}
REACHED = Reached(Position(epoch=2), None, {})
CPU = torch.device("cpu")


@pytest.fixture
def path(tmp_path):
    snapshot = Snapshot({"net.a": torch.arange(3)}, REACHED)
    save_checkpoint(tmp_path / CHECKPOINT_FILE, snapshot, KNOWN)
    return tmp_path / CHECKPOINT_FILE


def test_a_checkpoint_is_read_as_it_was_written(path):
    found = load_checkpoint(path, KNOWN)
    assert found.record == REACHED
    assert torch.equal(found.tensors["net.a"], torch.arange(3))
    found.tensors["net.a"].zero_()  # memory of its own, not the file's
    assert torch.equal(load_checkpoint(path, KNOWN).tensors["net.a"], torch.arange(3))


def test_other_settings_are_refused_and_all_named(path, refused):
    now = {**KNOWN, "epochs": 8, "learning_rate": 1e-3, "real data": "cd"}
    words = "(epochs 4, got 8, lr 0.0003, got 0.001, real data ab, got cd)"
    with refused(str(path), "other settings", words, "--overwrite"):
        load_checkpoint(path, now)


def test_a_setting_that_is_new_is_named(path, refused):
    with refused("(patience None, got 3)"):
        check_same(path, KNOWN, {**KNOWN, "patience": 3})


def test_facts_are_the_settings_and_the_contents_of_the_data(digit_stores, digits_identity, tmp_path):
    known = facts(SETTINGS, *digit_stores)
    assert known == json.loads(json.dumps(known))
    assert known["scales"] == [0, 1]
    assert known == facts(replace(SETTINGS, accumulate=4), *digit_stores)
    assert known != facts(replace(SETTINGS, seed=4), *digit_stores)
    copies = []
    for name, shift in (("same", 0), ("other", 1)):
        with StoreWriter(tmp_path / name, "generated", digits_identity, {}) as writer:
            tokens = (digit_stores[1].tokens.long() + shift) % 256
            writer.append(tokens, digit_stores[1].labels, digit_stores[1].seeds)
        copies.append(facts(SETTINGS, digit_stores[0], TokenStore.open(tmp_path / name)))
    assert copies[0] == known  # wherever the data lie
    assert [key for key in known if copies[1][key] != known[key]] == ["generated data"]


def test_a_truncated_checkpoint_is_one_line(path, refused):
    path.write_bytes(path.read_bytes()[:-2])
    with refused(f"{path} is damaged", "pass --overwrite to train anew", kind=CheckpointError):
        load_checkpoint(path, KNOWN)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"training": "{"},
        {"training": "[]"},
        {"training": '{"format": "scalewise-tts-scorer-1"}'},
        {"training": '{"format": "scalewise-tts-training-1", "facts": {}, "state": 3}'},
    ],
)
def test_a_damaged_description_is_one_line(path, metadata, refused):
    save_tensors(path, {"a": torch.zeros(1)}, metadata)
    with refused(f"{path} is not a valid checkpoint (", kind=CheckpointError):
        load_checkpoint(path, KNOWN)


def test_a_checkpoint_of_another_network_is_one_line(path, refused):
    state = TrainState(ScorerNetwork(default_config(4, 4, 3, 2)), SETTINGS, CPU)
    with refused(f"{path} is damaged (", "--overwrite", kind=CheckpointError):
        restore(path, state, load_checkpoint(path, KNOWN))


def test_a_failed_write_keeps_the_checkpoint_before(path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, Snapshot({"net.a": torch.zeros(9)}, {}), KNOWN)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [CHECKPOINT_FILE]


def test_clearing_takes_leftovers_along(path):
    (path.parent / f".{CHECKPOINT_FILE}.0123456789ab.tmp").write_bytes(b"half")
    (path.parent / "notes.txt").write_text("mine")
    clear(path.parent)
    clear(path.parent)
    assert [file.name for file in path.parent.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("unfinished", "finished", "resume", "overwrite", "expected"),
    [
        (False, False, False, False, "anew"),
        (False, False, False, True, "anew"),
        (False, True, False, True, "anew"),
        (True, False, False, True, "anew"),
        (True, True, False, True, "anew"),
        (True, False, True, False, "resume"),
        (True, True, True, False, "resume"),
        (False, True, True, False, "finished"),
    ],
)
def test_what_to_do_with_a_folder(tmp_path, unfinished, finished, resume, overwrite, expected):
    if unfinished:
        (tmp_path / CHECKPOINT_FILE).touch()
    assert beginning(tmp_path, finished, resume, overwrite) == expected


@pytest.mark.parametrize(
    ("unfinished", "finished", "resume", "overwrite", "words"),
    [
        (True, False, False, False, ("holds an unfinished training", "--resume", "--overwrite")),
        (True, True, False, False, ("holds an unfinished training", "--resume", "--overwrite")),
        (False, True, False, False, ("already holds a scorer", "--overwrite")),
        (False, False, True, False, ("holds no last.safetensors to go on from", "--resume")),
        (True, True, True, True, ("--resume goes on and --overwrite starts anew", "pass one of them")),
    ],
)
def test_what_is_refused(tmp_path, unfinished, finished, resume, overwrite, words, refused):
    if unfinished:
        (tmp_path / CHECKPOINT_FILE).touch()
    with refused(*words):
        beginning(tmp_path, finished, resume, overwrite)
