"""What killed processes leave behind."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from tts.engine.folder import STAGING, remove_leftovers
from tts.io import load_tensors, save_tensors
from tts.scorers.resume import CHECKPOINT_FILE, clear

KILLED = """
import os, sys, pathlib
from tts import io


def die(tensors, path, metadata):
    (pathlib.Path(path).parent / ".tmpAbCdEf").write_bytes(b"")  # as safetensors names its own
    os._exit(9)


io.save_file = die
import torch
io.save_tensors(sys.argv[1], {"a": torch.zeros(3)}, {})
"""


def killed_while_writing(path):
    """Leave what a process leaves that ends within safetensors' own writing."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], timeout=120, check=False)
    assert done.returncode == 9


def everything(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_a_kill_within_a_writer_of_others_leaves_nothing_for_good(tmp_path):
    killed_while_writing(tmp_path / "shard.safetensors")
    assert ".tmpAbCdEf" in everything(tmp_path)
    assert all(path.name.startswith(".shard.safetensors.") for path in tmp_path.iterdir())
    remove_leftovers(tmp_path)
    assert everything(tmp_path) == []


def test_only_temporary_files_of_this_package_and_this_run_are_leftovers(tmp_path):
    mine = [".mine.tmp", ".a.b.tmp", "x.12345678.tmp", ".0123456789ab.tmp"]
    (tmp_path / STAGING).mkdir()
    for name in (*mine, f"{STAGING}/.shard.12345678.tmp", ".shard.12345678.tmp"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert everything(tmp_path) == sorted([*mine, STAGING, ".shard.12345678.tmp"])
    assert not (tmp_path / ".shard.12345678.tmp").exists()


def test_a_checkpoint_is_cleared_with_what_a_kill_left_of_it(tmp_path):
    killed_while_writing(tmp_path / CHECKPOINT_FILE)
    clear(tmp_path)
    assert everything(tmp_path) == []


@pytest.mark.parametrize("fails", [False, True])
def test_no_temporary_folder_stays(tmp_path, monkeypatch, fails):
    if fails:
        monkeypatch.setattr("tts.io.save_file", lambda *given, **named: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            save_tensors(tmp_path / "x", {"a": torch.zeros(3)}, {})
        assert everything(tmp_path) == []
        return
    save_tensors(tmp_path / "x", {"a": torch.ones(3)}, {"b": "c"})
    assert everything(tmp_path) == ["x"]
    tensors, metadata = load_tensors(tmp_path / "x")
    assert torch.equal(tensors["a"], torch.ones(3))
    assert metadata == {"b": "c"}
