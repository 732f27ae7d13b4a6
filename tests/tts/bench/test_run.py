"""What ``tts bench`` builds, counts and records."""

from __future__ import annotations

import json

import pytest
import torch

from tts.bench.config import BenchConfig, check_bench
from tts.bench.counts import BatchCounter
from tts.bench.run import run_bench
from tts.bench.subject import OWN, RANDOM, build_subject
from tts.bench.untrained import UntrainedScorer, untrained_var
from tts.errors import UsageError
from tts.sample_config import SampleConfig


def config(candidates="4", batch="2", rounds=2, **fields):
    own = {name: fields.pop(name) for name in ("decode", "out", "overwrite") if name in fields}
    return BenchConfig(SampleConfig(device="cpu", **fields), candidates, batch, rounds, **own)


def fail(message):
    pytest.fail(message)


@pytest.mark.parametrize("sampler", ["exact", "fast"])
@pytest.mark.parametrize("name", ["var-digits", "flexvar-digits"])
def test_a_model_is_counted_on_a_copy_without_values(name, sampler):
    subject = build_subject(config(backbone=name, sampler=sampler))
    subject.generator(4)  # forms for the CPU, which the copy must not take over
    counter = BatchCounter.of(subject, fail)
    one, many = (counter.count(3, m, decode=True) for m in (1, 16))
    assert many.flops > one.flops > 0
    assert many.kernels > one.kernels > 0
    weights = sum(p.numel() * 4 for p in subject.model.backbone.transformer.parameters())
    assert counter.peak(one) - one.peak > weights
    assert subject.model.backbone.transformer.head.weight.device.type == "cpu"


@pytest.mark.parametrize("sampler", ["exact", "fast"])
def test_random_weights_stand_in_for_published_ones(monkeypatch, sampler):
    tiny = untrained_var(1, torch.float32, torch.device("cpu"))
    monkeypatch.setattr("tts.bench.subject.untrained", lambda *given: tiny)
    subject = build_subject(config(backbone="var-d16", sampler=sampler))
    assert (subject.weights, subject.scorer_weights) == (RANDOM, RANDOM)
    assert isinstance(subject.generator(4).scorer, UntrainedScorer)
    assert BatchCounter.of(subject, fail).count(1, 4, decode=False).flops > 0


def test_a_part_that_asks_for_values_is_not_counted(monkeypatch):
    def broken(self):
        raise ValueError("no copies of me")

    monkeypatch.setattr("tts.bench.subject.Subject.on_meta", broken)
    said = []
    counter = BatchCounter.of(build_subject(config()), said.append)
    assert counter.count(1, 1, True) is None
    assert "no copies of me" in said[0]


def test_a_record_holds_every_point(tmp_path):
    said = []
    report = run_bench(config(batch="1,2", out=str(tmp_path / "bench")), say=said.append)
    record = json.loads((tmp_path / "bench" / "bench.json").read_text())
    assert (tmp_path / "bench" / "plots" / "cost.png").is_file()
    assert said == []
    points = [(p["batch"], p["candidates"]) for b in record["batches"] for p in b["points"]]
    assert points == [(1, 1), (1, 4), (2, 1), (2, 4)]
    plain, chosen = report.batches[1].points
    assert plain.with_decoder.overhead_percent.median == 0
    assert chosen.scored == 2 * 3 * 4
    assert chosen.peak_memory.how == "counted"
    assert chosen.with_decoder.seconds.median > 0
    assert chosen.with_decoder != chosen.without_decoder
    assert report.batches[1].decoder.flops > 0
    assert record["weights"] == OWN


def test_without_decoding_there_are_no_figures_of_it():
    (batch,) = run_bench(config(decode=False)).batches
    assert batch.decoder is None
    assert all(point.with_decoder is None and point.without_decoder for point in batch.points)


@pytest.mark.slow
def test_a_batch_size_is_found():
    report = run_bench(config(batch="auto", rounds=1))
    assert report.batches[0].batch == report.auto.batch
    assert report.auto.tried[0].batch == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"candidates": "0"}, "whole numbers from 1 to 4096"),
        ({"candidates": "x"}, "not a list"),
        ({"batch": "0"}, "or be auto"),
        ({"batch": "many"}, "or be auto"),
        ({"rounds": 0}, "rounds 0 must be at least 1"),
        ({"chunk": 0}, "chunk 0 must be at least 1"),
        ({"sampler": "quick"}, "unknown sampler"),
        ({"compile_parts": True}, "--compile does not go with"),
    ],
)
def test_bad_numbers_are_refused_before_anything_is_built(fields, said):
    with pytest.raises(UsageError, match=said):
        check_bench(config(**fields))


def test_results_are_not_overwritten_unless_told(tmp_path):
    (tmp_path / "bench.json").write_text("{}")
    with pytest.raises(UsageError, match="there already"):
        run_bench(config(out=str(tmp_path)))
    assert (tmp_path / "bench.json").read_text() == "{}"
    run_bench(config(out=str(tmp_path), overwrite=True, rounds=1))
    assert len((tmp_path / "bench.json").read_text()) > 100


def test_torchrun_is_refused(monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="run it without torchrun"):
        check_bench(config())


def test_choosing_needs_a_scorer():
    with pytest.raises(UsageError, match="needs a scorer"):
        run_bench(config(scorer="none"))
