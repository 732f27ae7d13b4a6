"""Features of sets of images."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tts.engine.launch import Launch
from tts.errors import ShapeError, UsageError
from tts.evaluation.crew import Crew
from tts.evaluation.extract import extract_source, share_source
from tts.evaluation.features import Features
from tts.evaluation.sources import open_source
from tts.packing import shuffled

Pictures = Callable[..., NDArray[np.uint8]]
COUNT = 40


@pytest.fixture
def run(tmp_path: Path, pictures: Pictures, write_run: Any) -> Path:
    """A run of forty images."""
    return write_run(tmp_path / "run", pictures(COUNT), np.sort(np.arange(COUNT) % 10))


def same(a: Features, b: Features) -> bool:
    pairs = ((a.pool, b.pool), (a.spatial, b.spatial), (a.logits, b.logits), (a.labels, b.labels))
    return all(x is not None and y is not None and torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("batch", [1, 3, 16, 1000])
def test_the_batch_does_not_matter(run: Path, sums: Any, pictures: Pictures, batch: int) -> None:
    found = extract_source(open_source(run), sums, batch)
    assert max(sums.batches) <= batch
    order = torch.from_numpy(shuffled(COUNT))
    images = torch.from_numpy(pictures(COUNT)).permute(0, 3, 1, 2).contiguous()[order]
    expected = sums.extract(images)
    labels = torch.from_numpy(np.sort(np.arange(COUNT) % 10))[order]
    assert same(found, Features(expected.pool, expected.spatial, expected.logits, labels))


class Member(Crew):
    """One of several processes without others: what is sent ends in a list."""

    def __init__(self, rank: int, world: int, post: dict[int, list[Tensor]]) -> None:
        super().__init__(Launch(rank, world))
        self.post = post

    def wait(self) -> None:
        """Nobody is waited for."""

    def send(self, tensor: Tensor) -> None:
        """Leave it for rank 0."""
        self.post.setdefault(self.launch.rank, []).append(tensor)

    def receive(self, tensor: Tensor, rank: int) -> None:
        """Take it."""
        tensor.copy_(self.post[rank].pop(0))


@pytest.mark.parametrize("world", [1, 2, 3, 41, 50])
def test_the_number_of_processes_does_not_matter(run: Path, sums: Any, world: int) -> None:
    alone = extract_source(open_source(run), sums, 7)
    post: dict[int, list[Tensor]] = {}
    for rank in reversed(range(world)):
        found = share_source(open_source(run), sums, Member(rank, world, post), 7)
        assert (found is None) == (rank > 0)
    assert found is not None
    assert same(found, alone)
    assert not any(post.values())


@pytest.mark.parametrize("world", [1, 2, 5])
def test_remarks_of_all_processes_are_counted(tmp_path: Path, pictures: Any, sums: Any, world: int) -> None:
    for number, image in enumerate(pictures(10)):
        picture = Image.fromarray(image)
        picture.putalpha(9 if number % 2 else 255)
        picture.save(tmp_path / f"{number}.png")
    post: dict[int, list[Tensor]] = {}
    for rank in reversed(range(world)):
        source = open_source(tmp_path)
        share_source(source, sums, Member(rank, world, post), 3)
    assert {kind: tally.count for kind, tally in source.remarked.items()} == {"transparency": 5}
    assert source.remarked["transparency"].first[:2] == ["1.png", "3.png"]
    assert len(source.remarked["transparency"].first) == 3


def test_parts_cover_the_rows_and_are_equally_large() -> None:
    for count in (0, 1, 7, 50):
        for world in (1, 3, 8):
            parts = [Member(rank, world, {}).part(count) for rank in range(world)]
            assert [row for part in parts for row in part] == list(range(count))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_progress_is_told(run: Path, sums: Any) -> None:
    told: list[tuple[int, int]] = []
    extract_source(open_source(run), sums, 12, lambda done, total: told.append((done, total)))
    assert [total for _, total in told] == [COUNT] * len(told)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (COUNT, COUNT)


def test_an_npz_keeps_its_order_and_may_have_no_labels(tmp_path: Path, sums: Any, pictures: Pictures) -> None:
    np.savez(tmp_path / "a.npz", arr_0=pictures(5))
    found = extract_source(open_source(tmp_path / "a.npz"), sums)
    assert found.pool.tolist() == pictures(5).sum((1, 2)).tolist()
    assert found.labels is None


def test_images_of_a_size_that_the_extractor_does_not_take(
    run: Path, sum_features: Any, refused: Any
) -> None:
    with refused("run has images of 6x6, features 'sums' are for 16x16; choose other --features"):
        extract_source(open_source(run), sum_features(16))


def test_bad_features_are_refused(run: Path, sum_features: Any, refused: Any) -> None:
    class Bad(sum_features):  # type: ignore[misc]
        value = float("nan")

        def extract(self, images: Tensor) -> Features:
            found = super().extract(images)
            return Features(found.pool.where(found.pool != found.pool[-1], self.value), found.spatial)

    with refused("sums gave features that are not finite", kind=UsageError):
        extract_source(open_source(run), Bad())

    class Wide(sum_features):  # type: ignore[misc]
        dimensions = 5

    with refused("must have shape (40, 5), got (40, 3)", kind=ShapeError, code=1):
        extract_source(open_source(run), Wide())


def test_batches_shrink_when_the_device_runs_out_of_memory(run: Path, sum_features: Any) -> None:
    class Small(sum_features):  # type: ignore[misc]
        def extract(self, images: Tensor) -> Features:
            if len(images) > 5:
                raise torch.OutOfMemoryError("too many")
            return super().extract(images)

    small, plain = Small(), sum_features()
    assert same(extract_source(open_source(run), small, 20), extract_source(open_source(run), plain, 20))
    assert max(small.batches) <= 5


def test_memory_does_not_grow_with_the_images(tmp_path: Path, sums: Any) -> None:
    peaks = []
    for count in (400, 1600):
        np.savez(tmp_path / f"{count}.npz", arr_0=np.zeros((count, 32, 32, 3), np.uint8))
        tracemalloc.start()
        found = extract_source(open_source(tmp_path / f"{count}.npz"), sums, 20)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(found) == count
    assert max(peaks) < 1.2e6  # the larger set has 4.9 MB of pixels
    assert peaks[1] - peaks[0] < 2e5


def test_reading_ends_with_an_error_in_it(tmp_path: Path, sums: Any, pictures: Pictures) -> None:
    np.savez(tmp_path / "a.npz", arr_0=pictures(50))
    source, closed = open_source(tmp_path / "a.npz"), []

    class Watched(type(source)):  # type: ignore[misc]
        def batches(self, rows: range, size: int) -> Iterator[Tensor]:
            try:
                yield from super().batches(rows, size)
            finally:
                closed.append(True)

    watched = Watched(source.name, source.count, source.size, file=source.file)  # type: ignore[attr-defined]

    def stop(done: int, total: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        extract_source(watched, sums, 5, stop)
    assert closed == [True]
