"""What ``tts sample`` makes of its items: shards, PNG files, and the files made of all shards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tts.config import SearchSettings
from tts.engine.folder import RunFolder
from tts.engine.job import Timing
from tts.engine.plan import Request
from tts.engine.shards import Rows, read_shard, write_shard
from tts.errors import CheckpointError, RunError
from tts.fitting import Fit
from tts.io import load_tensors, read_json, sha256_file, to_uint8
from tts.outputs import image_path
from tts.pipeline import Generator, Prefix, cross_items
from tts.run_images import checked_shards, recorded
from tts.sample_job import LAYOUT, SampleJob, Wanted
from tts.selectors import GreedySelector
from tts.tiles import GAP, margin_of

ITEMS = cross_items((2, 0), (5, 9, 1_234_567))
SIZE = 6
METADATA = {"schedule": "1,2,3", "backbone": 'the "fäke"\n', "a": "", "z": "\x01\x7f"}
SETTINGS = SearchSettings(candidates=(1, 4, 4), cfg=0.5, top_k=0, top_p=0.0, trace=True)
IMAGES = [
    f"images/{label}/{seed}.png" for label in ("0000", "0002") for seed in ("000005", "000009", "1234567")
]
BOTH = ("png", "npz")


@pytest.fixture
def generator(fake_backbone, fake_state, fake_scorer):
    """Images of many levels, so that the rule for pixels matters."""

    class Colourful(fake_state):
        def decode(self):
            place = torch.arange(3 * SIZE * SIZE).view(3, SIZE, SIZE)
            return ((self.history[:, None, None, None] * 31 + place * 7) % 997) / 996

    return Generator(fake_backbone(Colourful), fake_scorer(), GreedySelector(), SETTINGS, torch.device("cpu"))


@pytest.fixture
def begin(generator):
    """A job on a folder with a plan."""

    def make(out, formats=BOTH, tokens=True, trace=True, rule="truncate", shard_items=4, batch=4, **changes):
        out.mkdir(exist_ok=True)
        plan = Request.of("sample", {}, {}, {}, ITEMS, shard_items).plan
        run = RunFolder(out, out, LAYOUT, plan, ITEMS)
        wanted = Wanted(frozenset(formats), tokens, trace, rule, METADATA)
        record = {"settings": {"seeds": "5"}}
        job = SampleJob(changes.get("by", generator), changes.get("prefix"), Fit(batch), wanted, out, record)
        return run, job

    return make


def make_shard(run, job, number):
    """As the engine does it."""
    shard = run.shards[number]
    items = run.items[shard.first : shard.first + shard.count]
    rows = Rows.join(list(job.make(items, shard.first)))
    rows, notes = job.publish(items, rows)
    run.shard_path(number).parent.mkdir(exist_ok=True)
    write_shard(run.shard_path(number), rows, shard, notes)


@pytest.fixture
def write(begin):
    """Write a whole run."""

    def make(out, seconds=2.0, **options):
        run, job = begin(out, **options)
        for shard in run.shards:
            make_shard(run, job, shard.number)
        job.finish(run, Timing(seconds, 6))
        return run

    return make


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def content(folder, without=()):
    return {name: (folder / name).read_bytes() for name in names(folder) if name not in without}


def shards(*numbers):
    return [f"shards/shard-{number:05d}.safetensors" for number in numbers]


def test_a_run_writes_what_was_asked_for(write, tmp_path):
    write(tmp_path / "all")
    files = ["grid.png", *IMAGES, "run.json", "samples.npz", *shards(0, 1)]
    assert names(tmp_path / "all") == [*files, "tokens.safetensors", "trace.safetensors"]
    write(tmp_path / "png", formats=["png"], tokens=False, trace=False)
    assert names(tmp_path / "png") == ["grid.png", *IMAGES, "run.json", *shards(0, 1)]
    write(tmp_path / "npz", formats=["npz"], tokens=False)
    rest = ["samples.npz", *shards(0, 1), "trace.safetensors"]
    assert names(tmp_path / "npz") == ["grid.png", "run.json", *rest]


@pytest.mark.parametrize("rule", ["truncate", "round"])
def test_npz_and_png_hold_the_same_pixels(write, generator, tmp_path, rule):
    write(tmp_path, rule=rule)
    (whole,) = generator.batches(ITEMS, 6)
    expected = to_uint8(whole.result.images, rule)
    assert not np.array_equal(
        to_uint8(whole.result.images, "truncate" if rule == "round" else "round"), expected
    )
    with np.load(tmp_path / "samples.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["arr_0"], expected)
        assert arrays["arr_1"].tolist() == [2, 2, 2, 0, 0, 0]
        assert arrays["seeds"].tolist() == [5, 9, 1_234_567] * 2
    for item, pixels in zip(ITEMS, expected, strict=True):
        with Image.open(image_path(tmp_path, item)) as image:
            assert image.mode == "RGB"
            np.testing.assert_array_equal(np.asarray(image), pixels)


def test_token_maps_and_scores_come_back(write, generator, tmp_path):
    write(tmp_path)
    (whole,) = generator.batches(ITEMS, 6)
    tensors, metadata = load_tensors(tmp_path / "tokens.safetensors")
    assert set(tensors) == {"tokens", "labels", "seeds", "winner_scores", "winner_index"}
    assert metadata == METADATA
    assert tensors["labels"].tolist() == [item.label for item in ITEMS]
    assert tensors["seeds"].tolist() == [item.seed for item in ITEMS]
    for name in ("tokens", "winner_index", "winner_scores"):
        expected = getattr(whole.result, name)
        torch.testing.assert_close(tensors[name], expected, rtol=0, atol=0, equal_nan=True)
    assert {tensors[name].dtype for name in ("tokens", "winner_index", "labels", "seeds")} == {torch.int64}
    assert tensors["winner_scores"].isnan().all(dim=0).tolist() == [True, False, False]
    trace, metadata = load_tensors(tmp_path / "trace.safetensors")
    assert metadata == METADATA
    assert set(trace) == {"scores.2", "scores.3"}  # counting from 1
    for scale in (1, 2):
        assert torch.equal(trace[f"scores.{scale + 1}"], whole.result.trace[scale])


def test_a_run_without_choices_has_an_empty_trace(write, generator, tmp_path):
    write(tmp_path, by=replace(generator, settings=replace(SETTINGS, candidates=(1, 1, 1))))
    assert load_tensors(tmp_path / "trace.safetensors") == ({}, METADATA)


def test_the_same_run_makes_the_same_bytes(write, tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b")
    assert content(tmp_path / "a") == content(tmp_path / "b")


@pytest.mark.parametrize("changes", [{"batch": 1}, {"batch": 3, "shard_items": 5}, {"shard_items": 1}])
def test_batches_and_shards_change_no_byte_of_the_results(write, tmp_path, changes):
    for name, options in {"plain": {}, "changed": changes}.items():
        write(tmp_path / name, **options)
    parts = {*shards(*range(6)), "run.json"}
    assert content(tmp_path / "plain", parts) == content(tmp_path / "changed", parts)


def test_making_a_shard_again_replaces_it(write, begin, tmp_path):
    write(tmp_path)
    before = content(tmp_path)
    make_shard(*begin(tmp_path), 1)
    assert content(tmp_path) == before


def test_a_shard_keeps_the_pixels_only_for_an_npz(write, tmp_path):
    columns = {"tokens", "labels", "seeds", "winner_scores", "winner_index", "scores.2", "scores.3"}
    for name, formats, more in (
        ("png", ["png"], {"png_sha256"}),
        ("npz", ["npz"], {"pixels"}),
        ("both", BOTH, {"pixels", "png_sha256"}),
    ):
        run = write(tmp_path / name, formats=formats)
        rows, _ = read_shard(run.shard_path(1), run.shards[1])
        assert set(rows.tensors) == columns | more
        assert rows.items == 2


def test_a_shard_is_compact(generator, begin, fake_backbone, fake_scorer, tmp_path):
    for codes, dtype in ((7, torch.int16), (32767, torch.int16), (32768, torch.int32)):
        backbone = fake_backbone(codebook_size=codes)
        by = replace(generator, backbone=backbone, settings=replace(SETTINGS, candidates=(1, 2, 1)))
        _, job = begin(tmp_path, by=by)
        (rows,) = job.make(ITEMS[:1], 0)
        assert rows.tensors["tokens"].dtype == dtype
        assert rows.tensors["pixels"].dtype == torch.uint8
        (batch,) = by.batches(ITEMS[:1], 1)
        assert torch.equal(rows.tensors["tokens"].long(), batch.result.tokens)


def test_png_files_appear_when_their_shard_is_whole(begin, tmp_path):
    run, job = begin(tmp_path)
    rows = Rows.join(list(job.make(ITEMS[:4], 0)))
    assert names(tmp_path) == []
    kept, notes = job.publish(ITEMS[:4], rows)
    assert names(tmp_path) == sorted(IMAGES[3:] + IMAGES[:1])
    digests = [sha256_file(image_path(tmp_path, item)) for item in ITEMS[:4]]
    assert (notes, recorded(kept)) == ({}, digests)
    make_shard(run, job, 0)
    assert recorded(next(checked_shards(run, [0]))) == digests


def test_without_png_nothing_lies_beside_a_shard(begin, tmp_path):
    _, job = begin(tmp_path, formats=["npz"])
    rows = Rows.join(list(job.make(ITEMS[:4], 0)))
    kept, notes = job.publish(ITEMS[:4], rows)
    assert (names(tmp_path), notes) == ([], {})
    assert kept.tensors.keys() == rows.tensors.keys()


def test_images_that_cannot_be_written_are_one_line(begin, tmp_path, refused):
    run, job = begin(tmp_path)
    (tmp_path / "images").write_text("mine")
    with refused("cannot write", "images", "check the space", kind=RunError, code=1):
        make_shard(run, job, 0)
    assert names(tmp_path) == ["images"]


def test_a_shard_that_is_lost_leaves_no_npz_and_no_record(write, begin, tmp_path):
    run = write(tmp_path)
    before = content(tmp_path, {"run.json", *shards(1)})
    run.shard_path(1).unlink()
    (tmp_path / "run.json").unlink()
    (tmp_path / "samples.npz").unlink()
    del before["samples.npz"]
    with pytest.raises(CheckpointError, match="shard-00001"):
        begin(tmp_path)[1].finish(run, Timing())
    assert content(tmp_path) == before


def test_the_grid_is_the_same_of_png_files_and_of_pixels(write, tmp_path):
    for formats in (["png"], ["npz"], BOTH):
        write(tmp_path / "-".join(formats), formats=formats)
    png, npz, both = ((tmp_path / name / "grid.png").read_bytes() for name in ("png", "npz", "png-npz"))
    assert png == npz == both
    with (
        Image.open(tmp_path / "png" / "grid.png") as grid,
        Image.open(image_path(tmp_path / "png", ITEMS[4])) as one,
    ):
        factor, margin = 64 // SIZE, margin_of(["2", "0"])
        cell = factor * SIZE
        pitch = cell + GAP
        assert grid.size == (margin + 3 * pitch, GAP + 2 * pitch)
        place = np.asarray(grid)[GAP + pitch :, margin + pitch :][:cell, :cell]
        np.testing.assert_array_equal(place[::factor, ::factor], np.asarray(one))


def test_a_prefix_goes_with_its_items(begin, generator, tmp_path):
    given = torch.randint(7, (6, 14), generator=torch.Generator().manual_seed(1))
    _, job = begin(tmp_path, prefix=Prefix(given, 2), batch=1)
    (whole,) = generator.batches(ITEMS, 6, Prefix(given, 2))
    for part in (slice(0, 4), slice(4, 6), slice(3, 5)):
        rows = Rows.join(list(job.make(ITEMS[part], part.start)))
        assert torch.equal(rows.tensors["tokens"].long(), whole.result.tokens[part])
        assert torch.equal(rows.tensors["tokens"].long()[:, :5], given[part, :5])


def test_a_record_says_how_it_was_made(write, tmp_path):
    run = write(tmp_path, seconds=1.5)
    assert read_json(tmp_path / "run.json") == {
        "finished": True,
        "plan": run.plan.id,
        "images": 6,
        "settings": {"seeds": "5"},
        "timing": {"generate_seconds": 1.5, "images": 6, "images_per_second": 4.0, "batch_size": 4},
        "files": {name: sha256_file(tmp_path / name) for name in ("grid.png", "samples.npz")},
    }


def test_the_record_has_the_batch_size_that_fitted(begin, fake_scorer, tmp_path):
    def score(proposals):
        if len(proposals.labels) > 2:
            raise torch.OutOfMemoryError("full")
        return fake_scorer().rule(proposals)

    run, job = begin(tmp_path)
    job = replace(job, generator=replace(job.generator, scorer=fake_scorer(score)))
    for shard in run.shards:
        make_shard(run, job, shard.number)
    job.finish(run, Timing(1.0, 6))
    assert read_json(tmp_path / "run.json")["timing"]["batch_size"] == 2


def test_times_add_up_where_a_run_is_extended(write, begin, tmp_path):
    run = write(tmp_path, seconds=1.5)
    begin(tmp_path)[1].finish(run, Timing(0.5, 2))
    timing = read_json(tmp_path / "run.json")["timing"]
    assert (timing["generate_seconds"], timing["images"], timing["images_per_second"]) == (2.0, 8, 4.0)


@pytest.mark.parametrize(
    "damaged", ["{", "[]", "{}", '{"timing": null}', '{"timing": {"generate_seconds": 1}}']
)
def test_a_damaged_record_is_written_anew(write, begin, tmp_path, damaged):
    run = write(tmp_path)
    before = read_json(tmp_path / "run.json")
    (tmp_path / "run.json").write_text(damaged)
    begin(tmp_path)[1].finish(run, Timing())
    timing = {"generate_seconds": 0.0, "images": 0, "images_per_second": None, "batch_size": 4}
    assert read_json(tmp_path / "run.json") == {**before, "timing": timing}


def test_images_of_no_numbers_are_refused(begin, fake_backbone, fake_state, generator, tmp_path, refused):
    class Broken(fake_state):
        def decode(self):
            return super().decode() * torch.nan

    _, job = begin(tmp_path, by=replace(generator, backbone=fake_backbone(Broken)))
    with refused("images contain NaN", kind=RunError, code=1):
        list(job.make(ITEMS, 0))


def test_names_in_the_folder_are_all_owned(write, tmp_path):
    """Whatever a run writes, an overwriting one removes."""
    write(tmp_path)
    owned = {LAYOUT.record, LAYOUT.shards, *LAYOUT.owns}
    assert {path.name for path in Path(tmp_path).iterdir()} == owned
