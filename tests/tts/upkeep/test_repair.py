"""Repairs that are killed, at each of their steps, are repaired by the next one."""

from __future__ import annotations

import os
import pathlib
import shutil
from pathlib import Path

import pytest

from tts import locks
from tts.data.collect_config import CollectConfig
from tts.data.collect_run import run_collect
from tts.sample_config import SampleConfig
from tts.sample_run import run_sample
from tts.upkeep.repair import repair
from tts.upkeep.verify import verify

STEPS = ((pathlib.Path, "unlink"), (pathlib.Path, "replace"), (os, "replace"))


class Killed(BaseException):
    """The end of a process, as far as the file system tells."""


@pytest.fixture
def killed_after(monkeypatch):
    """Repairs a folder, but changes no file or folder after so many changes; whether it came to its end."""

    def run(folder, changes):
        left = iter(range(changes))

        def limited(real):
            def change(*args, **named):
                if next(left, None) is None:
                    raise Killed
                return real(*args, **named)

            return change

        verdict = verify(folder)
        with monkeypatch.context() as patch:
            for owner, name in STEPS:
                patch.setattr(owner, name, limited(getattr(owner, name)))
            try:
                repair(verdict, "cpu")
            except Killed:
                return False
            finally:
                locks._let_go()
        return True

    return run


def collected(folder):
    run_collect(CollectConfig(per_class=3, shard_items=8, device="cpu", out=str(folder)))
    return [folder / f"shard-0000{number}.safetensors" for number in range(4)]


def sampled(folder):
    config = SampleConfig(labels="0-2", per_class=2, candidates="1", shard_items=2, save_tokens=True)
    run_sample(SampleConfig(**{**vars(config), "device": "cpu", "out": str(folder)}))
    return [folder / "shards" / f"shard-0000{number}.safetensors" for number in range(3)]


def content(folder: Path):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.slow
@pytest.mark.parametrize("make", [collected, sampled])
def test_a_killed_repair_is_repaired_by_the_next_one(tmp_path, killed_after, make):
    damaged, folder = tmp_path / "damaged", tmp_path / "folder"
    shards = make(damaged)
    whole = content(damaged)
    shards[1].write_bytes(shards[1].read_bytes()[:-3])
    shards[2].unlink()
    records = {"manifest.json", "run.json"}
    for changes in range(200):
        shutil.copytree(damaged, folder)
        ended = killed_after(folder, changes)
        verdict = verify(folder)
        if verdict.faults or not ended:
            repair(verdict, "cpu")
        after = verify(folder)
        assert (after.faults, after.found.ended, after.whole) == ((), True, len(shards)), changes
        now = content(folder)
        assert now.keys() == whole.keys(), changes
        assert [name for name in whole if now[name] != whole[name] and name not in records] == []
        shutil.rmtree(folder)
        if ended:
            break
    assert changes > 10
