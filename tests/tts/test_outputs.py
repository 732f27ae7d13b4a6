"""What a run writes: layouts that other tools read, and files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tts.errors import UsageError
from tts.io import load_tensors, read_json, to_uint8
from tts.outputs import (
    GRID_COLUMNS,
    GRID_ROWS,
    Grid,
    NpzWriter,
    SampleWriter,
    image_path,
    prepare_folder,
    replace_run,
    without_images,
)
from tts.pipeline import Batch, Item, cross_items
from tts.search import SearchResult

ITEMS = cross_items((2, 0), (5, 9, 1_234_567))
SIZE = 6
METADATA = {"schedule": "1,2,3", "backbone": 'the "fäke"\n', "a": "", "z": "\x01\x7f"}


def result(count, images=True):
    """A made-up result of the search, different for each number of images."""
    generator = torch.Generator().manual_seed(count)
    scores = torch.rand(count, 3, generator=generator)
    scores[:, 0] = torch.nan
    return SearchResult(
        tokens=torch.randint(7, (count, 14), generator=generator),
        images=torch.rand(count, 3, SIZE, SIZE, generator=generator) if images else None,
        winner_scores=scores,
        winner_index=torch.randint(4, (count, 3), generator=generator),
        trace={1: torch.rand(count, 4, generator=generator), 2: torch.rand(count, 4, generator=generator)},
    )


def batches(*sizes):
    start, made = 0, []
    for size in sizes:
        made.append(Batch(tuple(ITEMS[start : start + size]), result(size)))
        start += size
    return made


def write(out, formats=("png", "npz"), sizes=(4, 2), rule="truncate", save_tokens=True, save_trace=True):
    """Write batches of the given sizes; returns them."""
    made = batches(*sizes)
    out.mkdir(exist_ok=True)
    with SampleWriter(out, ITEMS, SIZE, frozenset(formats), rule, METADATA) as writer:
        for batch in made:
            writer.append(batch)
    writer.finish(save_tokens, save_trace, {"settings": {"seeds": "5"}})
    return made


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_an_image_is_named_by_class_and_seed():
    assert image_path(Path("run"), Item(7, 42)) == Path("run/images/0007/000042.png")
    assert image_path(Path("run"), Item(0, 2**40)).name == "1099511627776.png"


def test_a_run_writes_what_was_asked_for(tmp_path):
    images = [
        f"images/{label}/{seed}.png" for label in ("0000", "0002") for seed in ("000005", "000009", "1234567")
    ]
    write(tmp_path / "all")
    everything = ["grid.png", *images, "run.json", "samples.npz", "tokens.safetensors", "trace.safetensors"]
    assert names(tmp_path / "all") == everything
    write(tmp_path / "png", formats=["png"], save_tokens=False, save_trace=False)
    assert names(tmp_path / "png") == ["grid.png", *images, "run.json"]
    write(tmp_path / "npz", formats=["npz"], save_tokens=False)
    assert names(tmp_path / "npz") == ["grid.png", "run.json", "samples.npz", "trace.safetensors"]


@pytest.mark.parametrize("rule", ["truncate", "round"])
def test_npz_and_png_hold_the_same_pixels(tmp_path, rule):
    made = write(tmp_path, rule=rule)
    expected = np.concatenate([to_uint8(batch.result.images, rule) for batch in made])
    with np.load(tmp_path / "samples.npz", allow_pickle=False) as arrays:
        assert set(arrays.files) == {"arr_0", "arr_1", "seeds"}
        assert arrays["arr_0"].dtype == np.uint8
        assert arrays["arr_0"].shape == (6, SIZE, SIZE, 3)
        np.testing.assert_array_equal(arrays["arr_0"], expected)
        assert arrays["arr_1"].tolist() == [2, 2, 2, 0, 0, 0]
        assert arrays["seeds"].tolist() == [5, 9, 1_234_567] * 2
        assert arrays["arr_1"].dtype == arrays["seeds"].dtype == np.int64
    for item, pixels in zip(ITEMS, expected, strict=True):
        with Image.open(image_path(tmp_path, item)) as image:
            assert image.mode == "RGB"
            np.testing.assert_array_equal(np.asarray(image), pixels)


def test_token_maps_and_scores_come_back(tmp_path):
    results = [batch.result for batch in write(tmp_path)]
    tensors, metadata = load_tensors(tmp_path / "tokens.safetensors")
    assert set(tensors) == {"tokens", "labels", "seeds", "winner_scores", "winner_index"}
    assert metadata == METADATA
    assert tensors["labels"].tolist() == [item.label for item in ITEMS]
    assert tensors["seeds"].tolist() == [item.seed for item in ITEMS]
    for name in ("tokens", "winner_index", "winner_scores"):
        together = torch.cat([getattr(found, name) for found in results])
        torch.testing.assert_close(tensors[name], together, rtol=0, atol=0, equal_nan=True)
    assert tensors["winner_scores"].isnan().all(dim=0).tolist() == [True, False, False]
    trace, _ = load_tensors(tmp_path / "trace.safetensors")
    assert set(trace) == {"scores.2", "scores.3"}  # counting from 1
    assert torch.equal(trace["scores.3"], torch.cat([found.trace[2] for found in results]))


def test_the_same_batches_make_the_same_bytes(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b")
    assert names(tmp_path / "a") == names(tmp_path / "b")
    for name in names(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_writing_again_replaces(tmp_path):
    write(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    write(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


def test_the_writer_keeps_no_images(tmp_path):
    batch = batches(2)[0]
    slim = without_images(batch)
    assert slim.items == batch.items
    assert slim.result.images is None
    assert slim.result.tokens is batch.result.tokens
    assert batch.result.images is not None


def test_a_failure_half_way_leaves_no_npz_and_no_record(tmp_path):
    def fail_half_way():
        with SampleWriter(tmp_path, ITEMS, SIZE, frozenset({"png", "npz"}), "truncate", {}) as writer:
            writer.append(batches(4)[0])
            raise KeyError("half way")

    with pytest.raises(KeyError, match="half way"):
        fail_half_way()
    assert len(names(tmp_path)) == 4
    assert all(name.startswith("images/") for name in names(tmp_path))


def test_a_failure_keeps_the_npz_of_an_earlier_run(tmp_path):
    write(tmp_path)
    before = (tmp_path / "samples.npz").read_bytes()

    def fail_half_way():
        with NpzWriter(tmp_path / "samples.npz", ITEMS, SIZE) as writer:
            writer.append(np.zeros((1, SIZE, SIZE, 3), np.uint8))
            raise KeyError("half way")

    with pytest.raises(KeyError, match="half way"):
        fail_half_way()
    assert (tmp_path / "samples.npz").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_the_grid_has_a_row_a_class():
    grid = Grid()
    for item in (Item(4, 0), Item(1, 0), Item(4, 1)):
        grid.add(item, np.full((SIZE, SIZE, 3), 10 * item.label + item.seed, np.uint8))
    picture = grid.picture()
    factor = 64 // SIZE
    assert picture.shape == (2 * SIZE * factor, 2 * SIZE * factor, 3)
    centres = picture[SIZE * factor // 2 :: SIZE * factor, SIZE * factor // 2 :: SIZE * factor, 0]
    assert centres.tolist() == [[40, 41], [10, 255]]


def test_the_grid_keeps_the_first_images_of_the_first_classes():
    grid = Grid()
    for item in cross_items(range(GRID_ROWS + 3), range(GRID_COLUMNS + 5)):
        grid.add(item, np.zeros((100, 100, 3), np.uint8))
    assert list(grid.rows) == list(range(GRID_ROWS))
    assert {len(row) for row in grid.rows.values()} == {GRID_COLUMNS}
    assert grid.picture().shape == (GRID_ROWS * 100, GRID_COLUMNS * 100, 3)


def test_a_folder_of_the_same_run_is_taken(tmp_path):
    prepare_folder(tmp_path / "new" / "run", {"seeds": "5"}, overwrite=False)
    write(tmp_path / "new" / "run")
    before = names(tmp_path / "new" / "run")
    prepare_folder(tmp_path / "new" / "run", {"seeds": "5"}, overwrite=False)
    assert names(tmp_path / "new" / "run") == before


def test_a_folder_of_another_run_is_refused_by_field(tmp_path, refused):
    write(tmp_path)
    before = names(tmp_path)
    with refused(str(tmp_path), "(cfg, seeds)", "--overwrite"):
        prepare_folder(tmp_path, {"seeds": "6", "cfg": 1.5}, overwrite=False)
    assert names(tmp_path) == before


def test_an_overwritten_run_stays_whole_until_the_new_one_is_finished(tmp_path):
    write(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    before = names(tmp_path)
    folder = prepare_folder(tmp_path, {"seeds": "6"}, overwrite=True)
    assert folder.parent == tmp_path
    assert [name for name in names(tmp_path) if not name.startswith(folder.name)] == before
    (folder / "grid.png").write_bytes(b"new")
    replace_run(tmp_path, folder)
    assert names(tmp_path) == ["grid.png", "notes.txt", "run.json"]
    assert read_json(tmp_path / "run.json") == {"finished": False, "settings": {"seeds": "6"}}


def test_a_leftover_of_an_overwriting_run_is_no_obstacle(tmp_path):
    write(tmp_path)
    first = prepare_folder(tmp_path, {"seeds": "6"}, overwrite=True)
    (first / "grid.png").write_bytes(b"half")
    second = prepare_folder(tmp_path, {"seeds": "6"}, overwrite=True)
    assert names(second) == ["run.json"]


def test_overwriting_spares_a_folder_that_holds_no_run(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "holiday.png").write_bytes(b"mine")
    assert prepare_folder(tmp_path, {"seeds": "6"}, overwrite=True) == tmp_path
    assert names(tmp_path) == ["images/holiday.png", "run.json"]


def test_an_unfinished_run_with_other_settings_is_not_mixed_with(tmp_path):
    prepare_folder(tmp_path, {"seeds": "5"}, overwrite=False)
    prepare_folder(tmp_path, {"seeds": "5"}, overwrite=False)
    with pytest.raises(UsageError, match="seeds"):
        prepare_folder(tmp_path, {"seeds": "6"}, overwrite=False)


def test_a_record_says_how_it_was_made(tmp_path):
    write(tmp_path)
    assert read_json(tmp_path / "run.json") == {"settings": {"seeds": "5"}}
