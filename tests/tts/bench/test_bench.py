"""What ``tts bench`` measures and counts, with clocks that tests wind."""

from __future__ import annotations

import itertools

import pytest
import torch

from tts.bench.config import BenchConfig
from tts.bench.model import RANDOM, bench_model, fetched, on_meta
from tts.bench.run import counted, run_bench
from tts.bench.timing import AGAIN, Seconds, Spread, best_batch, measure
from tts.bench.untrained import UntrainedScorer, untrained_var
from tts.errors import UsageError
from tts.resolve import find_backbone
from tts.sample_config import SampleConfig


def digits(**fields):
    return bench_model(SampleConfig(backbone="var-digits", device="cpu", **fields))


def test_overheads_are_those_of_a_round():
    seconds = Seconds({1: [1.0, 2.0, 4.0], 8: [1.1, 2.2, 4.4], AGAIN: [1.0, 2.0, 4.0]}, [1.0, 2.0, 4.0])
    found = seconds.overhead(8, decoder=False)
    assert found["percent"]["median"] == pytest.approx(10)
    assert seconds.overhead(8, decoder=True)["percent"]["median"] == pytest.approx(5)
    assert seconds.overhead(1, decoder=True)["percent"] == {"median": 0, "low": 0, "high": 0}
    assert found["milliseconds"]["median"] == pytest.approx(200)


def test_one_round_has_no_spread():
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)


def test_every_number_is_measured_in_every_round_and_the_first_does_not_count():
    ticks = itertools.count()
    seen = []
    found = measure(digits(), 2, (1, 3), 4, lambda *done: seen.append(done), lambda: float(next(ticks)))
    assert {name: len(values) for name, values in found.latent.items()} == {1: 4, 3: 4, AGAIN: 4}
    assert found.decoder == [1.0] * 4
    assert seen == [(i, 5) for i in range(1, 6)]


class FakeModel:
    """Takes ``seconds(size)`` a batch, and runs out of memory above ``fits``."""

    device = torch.device("cpu")

    def __init__(self, seconds, fits=10**9):
        self.seconds, self.fits, self.now = seconds, fits, 0.0

    def run(self, batch, count, decode=False):
        if batch > self.fits:
            raise torch.OutOfMemoryError("full")
        self.now += self.seconds(batch)

    def clock(self):
        return self.now


@pytest.mark.parametrize(
    ("seconds", "fits", "wanted"),
    [
        (lambda size: 1.0, 10**9, 64),  # ever faster, up to the most
        (lambda size: 1.0, 20, 16),  # as much as fits
        (lambda size: float(size), 10**9, 1),  # no gain
        (lambda size: max(1.0, size / 8), 10**9, 8),
    ],
)
def test_auto_doubles_a_batch_while_that_is_faster(seconds, fits, wanted):
    model = FakeModel(seconds, fits)
    assert best_batch(model, 1, most=64, clock=model.clock) == wanted


def test_other_errors_and_a_first_batch_that_does_not_fit_are_not_hidden():
    model = FakeModel(lambda size: 1.0, fits=0)
    with pytest.raises(torch.OutOfMemoryError):
        best_batch(model, 1, clock=model.clock)


@pytest.mark.parametrize("sampler", ["exact", "fast"])
@pytest.mark.parametrize("name", ["var-digits", "flexvar-digits"])
def test_a_model_with_weights_is_counted_without_memory(name, sampler):
    model = bench_model(SampleConfig(backbone=name, sampler=sampler, device="cpu"))
    meta = on_meta(model)
    one, many = (counted(meta, 3, m) for m in (1, 16))
    assert many.flops > one.flops > 0
    assert many.kernels > one.kernels > 0
    assert model.backbone.transformer.head.weight.device.type == "cpu"


def test_a_scorer_of_an_unknown_kind_is_not_counted():
    assert on_meta(digits(scorer="likelihood")) is None


def test_random_weights_stand_in_for_published_ones(monkeypatch):
    monkeypatch.setattr("tts.bench.model.untrained", lambda spec, *rest: tiny())
    model = bench_model(SampleConfig(backbone="var-d16", sampler="fast", device="cpu"))
    assert model.weights == RANDOM
    assert isinstance(model.scorer, UntrainedScorer)
    assert not fetched(find_backbone("var-d16")[0])


def tiny():
    return untrained_var(1, torch.float32, torch.device("cpu"))


def test_random_weights_are_the_same_again_and_leave_some_hundred_codes():
    with torch.inference_mode():
        logits = [tiny().begin(torch.tensor([3]), 1.5).logits() for _ in range(2)]
    assert torch.equal(*logits)
    probable = logits[0].softmax(-1).sort(descending=True).values.cumsum(-1) < 0.96
    assert 30 < int(probable.sum()) < 900
    assert all(bool(p.any()) for p in tiny().transformer.parameters())


def test_a_record_holds_every_point():
    base = SampleConfig(backbone="var-digits", device="cpu")
    record = run_bench(BenchConfig(base, "4", "1,2", rounds=1)).record
    assert [(point["batch"], point["candidates"]) for point in record["points"]] == [
        *[(1, 1), (1, 4)],
        *[(2, 1), (2, 4)],
    ]
    first = record["points"][0]
    assert first["overhead"]["percent"]["median"] == 0
    assert first["milliseconds_a_thousand_candidates"] is None
    assert first["counted_beyond_one"]["flops"] == 0
    assert first["peak_bytes"] is None  # a CPU does not tell
    assert record["weights"] == "its own"


@pytest.mark.parametrize(
    "fields", [{"candidates": "0"}, {"candidates": "x"}, {"batch": "0"}, {"batch": "many"}, {"rounds": 0}]
)
def test_bad_numbers_are_refused(fields):
    with pytest.raises(UsageError):
        BenchConfig(SampleConfig(), **fields)
