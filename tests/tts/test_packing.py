"""Packing: portions, memory, sizes."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from tts import packing
from tts.engine.folder import RunFolder
from tts.engine.plan import Request
from tts.engine.shards import Rows, write_shard
from tts.errors import RunError, UsageError
from tts.io import save_png, write_json
from tts.locks import sole_writer
from tts.outputs import image_path
from tts.packing import check_balance, pack
from tts.pipeline import distinct_items
from tts.run_images import PNG, png_digests
from tts.sample_job import LAYOUT


def pixel_values(items, size):
    """Images (n, S, S, 3), each of which shows its class and seed."""
    base = torch.tensor([[item.label, item.seed % 251, item.seed // 251] for item in items])
    return base[:, None, None].expand(-1, size, size, -1).to(torch.uint8).contiguous()


def made(folder, per_class, size=8, pixels=True, shard_items=100, odd=None):
    """A finished run of ten classes without a model; the image of the item ``odd`` has another shape."""
    items = distinct_items(range(10), per_class, 10)
    identity = {"uint8_rule": "round"}
    plan = Request.of(
        "sample", {"candidates": "4"}, identity, {"per_class": per_class}, items, shard_items
    ).plan
    (folder / "shards").mkdir(parents=True)
    run = RunFolder(folder, folder, LAYOUT, plan, items)
    for shard in run.shards:
        part = items[shard.first : shard.first + shard.count]
        images = pixel_values(part, size)
        tensors = {
            "labels": torch.tensor([item.label for item in part]),
            "seeds": torch.tensor([item.seed for item in part]),
        }
        if pixels:
            tensors["pixels"] = images
        for item, image in zip(part, images.numpy(), strict=True) if not pixels else ():
            path = image_path(folder, item)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_png(path, image if item != odd else np.zeros((size, size + 1, 3), np.uint8))
        if not pixels:
            tensors[PNG] = png_digests(folder, part)
        write_shard(run.shard_path(shard.number), Rows(tensors, len(part)), shard)
    plan.save(folder)
    timing = {"generate_seconds": 1.0, "images": len(items)}
    write_json(folder / "run.json", {"plan": plan.id, "timing": timing})
    return items


@pytest.mark.parametrize("pixels", [True, False])
def test_pixels_and_labels_stay_together(tmp_path, pixels):
    items = made(tmp_path / "run", 20, pixels=pixels, shard_items=33)
    done = pack(tmp_path / "run", tmp_path / "all.npz", seed=5)
    assert (done.images, done.classes, done.bytes) == (200, 10, (tmp_path / "all.npz").stat().st_size)
    with np.load(tmp_path / "all.npz", allow_pickle=False) as arrays:
        images, labels, seeds = arrays["arr_0"], arrays["arr_1"], arrays["seeds"]
        assert json.loads(str(arrays["record"]))["uint8"] == "round"
        assert arrays["record"].shape == ()
    order = np.random.RandomState(5).permutation(200)
    assert labels.tolist() == [items[number].label for number in order]
    assert seeds.tolist() == [items[number].seed for number in order]
    np.testing.assert_array_equal(images, pixel_values([items[number] for number in order], 8).numpy())


def test_memory_does_not_grow_with_the_pixels(tmp_path):
    """1 000 images have 3 MB of pixels, 4 000 have 12 MB; what grows are a few objects an image."""
    peaks = []
    for per_class in (100, 400):
        made(tmp_path / str(per_class), per_class, size=32)
        tracemalloc.start()
        pack(tmp_path / str(per_class), tmp_path / f"{per_class}.npz")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < 4e6
    assert peaks[1] - peaks[0] < 3000 * 600


def test_images_are_written_in_portions_and_progress_is_told(tmp_path, monkeypatch):
    told = {}

    @contextmanager
    def bar(stage, unit):
        told[stage, unit] = []
        yield lambda done, total: told[stage, unit].append((done, total))

    monkeypatch.setattr(packing, "PORTION", 30)
    made(tmp_path / "run", 10, shard_items=60)
    pack(tmp_path / "run", tmp_path / "all.npz", bar=bar)
    assert told == {
        ("checking", "shards"): [(1, 2), (2, 2)],
        ("packing", "images"): [(30, 100), (60, 100), (90, 100), (100, 100)],
    }


def test_images_of_several_sizes_are_refused(tmp_path, refused):
    from tts.errors import RunError

    items = distinct_items(range(10), 5, 10)
    made(tmp_path / "run", 5, pixels=False, odd=items[7])
    with refused(f"class {items[7].label}, seed {items[7].seed} has 8x9 pixels", kind=RunError, code=1):
        pack(tmp_path / "run", tmp_path / "all.npz")
    assert not (tmp_path / "all.npz").exists()


def test_the_least_and_the_most_frequent_class_are_named(refused):
    check_balance(Counter({3: 5, 1: 5}))
    with refused("class 2 has 1 images and class 7 has 6", "--unbalanced", kind=UsageError):
        check_balance(Counter({7: 6, 1: 5, 2: 1, 8: 6}))


def test_what_a_killed_pack_left_goes_with_the_next_one(tmp_path):
    made(tmp_path / "run", 1)
    for name in (".all.npz.0123abcd.tmp", ".all.npz.lock", ".other.npz.0123abcd.tmp"):
        (tmp_path / name).touch()
    pack(tmp_path / "run", tmp_path / "all.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.npz.0123abcd.tmp", "all.npz", "run"]
    with sole_writer(tmp_path / "all.npz"), pytest.raises(RunError, match="another process is writing"):
        pack(tmp_path / "run", tmp_path / "all.npz", overwrite=True)
