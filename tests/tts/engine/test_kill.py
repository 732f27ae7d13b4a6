"""Runs killed at random moments, again and again, by one, two and three processes, end as if undisturbed."""

from __future__ import annotations

import multiprocessing as mp
import os
import random
import time
from dataclasses import replace
from fnmatch import fnmatch

import pytest
import torch

from tts.data.collect_config import CollectConfig
from tts.data.collect_run import run_collect
from tts.data.store import TokenStore
from tts.engine.folder import WORK
from tts.sample_config import SampleConfig
from tts.sample_run import run_sample

KILLS = 24
"""Each kill hits all processes of a round at once; rounds have 1, 2 and 3 of them in turn."""


PROCESS = """
import time, torch
from tts.data.collect_run import run_collect
from tts.sample_config import SampleConfig
from tts.sample_run import run_sample

torch.set_num_threads(1)
run = run_sample if isinstance(config, SampleConfig) else run_collect
run(config, lambda progress: time.sleep(pause))
"""
"""One process of a run, slow enough to be hit in the middle."""


@pytest.fixture(scope="module")
def processes():
    """Starts processes that have the library loaded already."""
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["tts.sample_run", "tts.data.collect_run", "torch._dynamo"])

    def start(config, count, pause):
        names = {"config": config, "pause": pause}
        started = [context.Process(target=exec, args=(PROCESS, names)) for _ in range(count)]
        for process in started:
            process.start()
        return started

    return start


def torture(processes, config, folder, kills, seed, pause=0.08):
    """Kill rounds of processes, each a random while after it made so many shards, on any machine."""
    moments = random.Random(seed)
    for round_ in range(kills):
        one = replace(config, batch_size=config.batch_size or moments.choice((3, 5, 8)))
        wanted = shards(folder) + round_ % 4
        started = processes(one, 1 + round_ % 3, pause)
        while shards(folder) < wanted and all(process.is_alive() for process in started):
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.5))
        assert all(process.is_alive() for process in started)
        for process in started:
            process.kill()
            process.join()
    assert shards(folder) >= sum(round_ % 4 for round_ in range(kills))
    assert (folder / WORK).is_dir()  # and yet the run was never finished


def shards(folder):
    every = (name for _, _, files in os.walk(folder) for name in files)  # some go while this looks
    return sum(fnmatch(name, "shard-?????.safetensors") for name in every)


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def content(folder, without):
    return {name: (folder / name).read_bytes() for name in names(folder) if name not in without}


@pytest.mark.slow
def test_collection_survives_kills(processes, tmp_path):
    config = CollectConfig(per_class=300, shard_items=12, device="cpu", out=str(tmp_path / "killed"))
    torture(processes, config, tmp_path / "killed", KILLS, seed=4)
    finishing = processes(config, 2, pause=0)
    for process in finishing:
        process.join()
        assert process.exitcode == 0
    run_collect(replace(config, out=str(tmp_path / "whole"), batch_size=1000))
    killed, whole = TokenStore.open(tmp_path / "killed"), TokenStore.open(tmp_path / "whole")
    killed.verify()
    items = list(zip(killed.labels.tolist(), killed.seeds.tolist(), strict=True))
    assert len(items) == len(set(items)) == 3000
    assert torch.equal(killed.tokens, whole.tokens)
    assert content(tmp_path / "killed", {"manifest.json"}) == content(tmp_path / "whole", {"manifest.json"})
    assert killed.manifest.shards == whole.manifest.shards


@pytest.mark.slow
def test_sampling_survives_kills(processes, digits_scorer, tmp_path):
    config = SampleConfig(
        **{"scorer": str(digits_scorer), "candidates": "3", "labels": "0-9", "per_class": 40},
        **{"formats": ("png", "npz"), "save_tokens": True, "trace": True, "device": "cpu"},
        **{"shard_items": 6, "batch_size": 4, "out": str(tmp_path / "killed")},
    )
    torture(processes, config, tmp_path / "killed", 6, seed=5, pause=0.15)
    for process in processes(config, 3, pause=0):
        process.join()
        assert process.exitcode == 0
    run_sample(replace(config, out=str(tmp_path / "whole")))
    killed, whole = (content(tmp_path / name, {"run.json"}) for name in ("killed", "whole"))
    assert killed.keys() == whole.keys()
    assert [name for name in whole if whole[name] != killed[name]] == []
    assert len([name for name in whole if name.startswith("images/")]) == 400
