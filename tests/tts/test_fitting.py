"""Running out of memory: smaller batches, then smaller chunks of candidates, and the same results."""

from __future__ import annotations

import weakref
from dataclasses import replace

import pytest
import torch

from tts.config import SearchSettings
from tts.errors import RunError
from tts.fitting import Fit, fitting, out_of_memory
from tts.pipeline import Generator, cross_items
from tts.selectors import GreedySelector

CPU = torch.device("cpu")
SETTINGS = SearchSettings(candidates=(1, 8, 8), cfg=0.5, top_k=0, top_p=0.0, trace=True)
ITEMS = cross_items(range(3), (0, 7, 2**40))  # 9 images
FIELDS = ("tokens", "images", "winner_index", "winner_scores")
REMARK = "the device ran out of memory; going on with smaller batches"
CPU_ERROR = "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory"


def full():
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.fixture
def tight(fake_backbone, fake_scorer):
    """A generator on a device that scores so many candidates at once, and the (images, candidates) tried."""

    def make(room, error=full, **changes):
        tried = []

        def score(proposals):
            images, candidates = proposals.tokens.shape[:2]
            tried.append((images, candidates))
            if images * candidates > (room() if callable(room) else room):
                raise error()
            return fake_scorer().rule(proposals)

        settings = replace(SETTINGS, **changes)
        return Generator(fake_backbone(), fake_scorer(score), GreedySelector(), settings, CPU), tried

    return make


def joined(batches, field):
    return torch.cat([getattr(batch.result, field) for batch in batches])


def assert_as_undisturbed(batches, tight):
    whole = list(tight(10**9)[0].batches(ITEMS, 9))
    assert [item for batch in batches for item in batch.items] == ITEMS
    for field in FIELDS:
        ours, theirs = joined(batches, field), joined(whole, field)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
    for scale in (1, 2):
        ours, theirs = (torch.cat([batch.result.trace[scale] for batch in made]) for made in (batches, whole))
        assert torch.equal(ours, theirs)


def test_the_batch_is_halved_until_it_fits(tight):
    generator, tried = tight(room=16)
    remarks = []
    fit = Fit(9, say=remarks.append)
    batches = list(generator.batches(ITEMS, fit))
    assert tried[:4] == [(9, 8), (4, 8), (2, 8), (2, 8)]
    assert [len(batch.items) for batch in batches] == [2, 2, 2, 2, 1]
    assert (fit.batch, fit.chunk, remarks) == (2, None, [REMARK])
    assert_as_undisturbed(batches, tight)


def test_then_the_candidates_of_an_image_are_halved(tight):
    generator, tried = tight(room=3)
    remarks = []
    fit = Fit(9, say=remarks.append)
    batches = list(generator.batches(ITEMS, fit))
    assert tried[:7] == [(9, 8), (4, 8), (2, 8), (1, 8), (1, 4), (1, 2), (1, 2)]
    assert (fit.batch, fit.chunk, remarks) == (1, 2, [REMARK])
    assert set(tried[6:]) == {(1, 2)}
    assert_as_undisturbed(batches, tight)


def test_the_chunk_that_was_asked_for_is_halved(tight):
    generator, tried = tight(room=3, chunk=5)
    batches = list(generator.batches(ITEMS, fit := Fit(2)))
    assert tried[:3] == [(2, 5), (1, 5), (1, 2)]
    assert fit.chunk == 2
    assert_as_undisturbed(batches, tight)


def test_one_candidate_at_a_time_is_enough(tight):
    generator, tried = tight(room=1)
    batches = list(generator.batches(ITEMS, fit := Fit(4)))
    assert (fit.batch, fit.chunk, tried[-1]) == (1, 1, (1, 1))
    assert_as_undisturbed(batches, tight)


def test_what_was_made_before_stays_and_what_follows_is_small(tight):
    rooms = iter([100, 100, 100] + [10] * 1000)  # another program takes the memory
    generator, tried = tight(room=lambda: next(rooms))
    batches = list(generator.batches(ITEMS, Fit(4)))
    assert [len(batch.items) for batch in batches] == [4, 1, 1, 1, 1, 1]
    assert tried[:6] == [(4, 8), (4, 8), (4, 8), (4, 8), (2, 8), (1, 8)]
    assert_as_undisturbed(batches, tight)


def test_what_fits_is_remembered_and_the_remark_is_made_once(tight):
    generator, tried = tight(room=8)
    remarks = []
    fit = Fit(4, say=remarks.append)
    list(generator.batches(ITEMS, fit))
    tried.clear()
    list(generator.batches(ITEMS, fit))
    assert set(tried) == {(1, 8)}
    assert remarks == [REMARK]


def test_too_little_for_one_image_is_a_clear_error(tight, refused):
    generator, tried = tight(room=0)
    words = ("too little memory for one image", "--dtype bfloat16", "--device")
    with refused(*words, kind=RunError, code=1):
        list(generator.batches(ITEMS, Fit(4)))
    assert tried == [(4, 8), (2, 8), (1, 8), (1, 4), (1, 2), (1, 1)]


@pytest.mark.parametrize("candidates", [(1, 1, 1), (1, 8, 8)])
def test_a_backbone_that_does_not_fit_is_halved_too(fake_backbone, fake_scorer, refused, candidates):
    class Large(fake_backbone):
        room = 2

        def begin(self, labels, cfg):
            if len(labels) > self.room:
                raise full()
            return super().begin(labels, cfg)

    settings = replace(SETTINGS, candidates=candidates)
    whole, tight = (
        Generator(backbone(), fake_scorer(), GreedySelector(), settings, CPU)
        for backbone in (fake_backbone, Large)
    )
    batches = list(tight.batches(ITEMS, fit := Fit(100)))
    assert fit.batch == 2  # half of the 9 there were, and half of that
    assert torch.equal(joined(batches, "tokens"), joined(whole.batches(ITEMS, 9), "tokens"))
    tight.backbone.room = 0
    with refused("too little memory for one image", kind=RunError, code=1):
        list(tight.batches(ITEMS, fit))


def test_the_processors_memory_counts_too(tight):
    generator, _ = tight(room=8, error=lambda: RuntimeError(CPU_ERROR))
    assert_as_undisturbed(list(generator.batches(ITEMS, 9)), tight)


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("x")]
)
def test_other_errors_pass_through(tight, error):
    def give():
        return error

    generator, tried = tight(room=8, error=give)
    remarks = []
    with pytest.raises(type(error)) as caught:
        list(generator.batches(ITEMS, Fit(4, say=remarks.append)))
    assert caught.value is error
    assert (len(tried), remarks) == (1, [])


def test_what_is_out_of_memory():
    assert out_of_memory(full())
    assert out_of_memory(RuntimeError(CPU_ERROR))
    assert not out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert out_of_memory(caught.value)


def test_portions_cover_all_in_order():
    assert list(fitting(10, Fit(4), 1, lambda rows: (rows.start, rows.stop))) == [(0, 4), (4, 8), (8, 10)]
    assert list(fitting(0, Fit(4), 1, lambda rows: rows)) == []


def test_what_a_failed_attempt_held_is_free_before_the_next():
    held = []

    def make(rows):
        assert all(reference() is None for reference in held)
        tensor = torch.zeros(4)
        held.append(weakref.ref(tensor))
        if rows.stop - rows.start > 1:
            raise full()
        return rows.start

    assert list(fitting(3, Fit(4), 1, make)) == [0, 1, 2]
    assert len(held) == 4
