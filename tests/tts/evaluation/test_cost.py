"""Costs are counted around a generator and change nothing of what it makes."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tts.backbones.var_adapter import VarBackbone
from tts.config import SearchSettings
from tts.evaluation import cost
from tts.evaluation.cost import Cost, CostCounter, peak_memory, reset_peak_memory
from tts.pipeline import Generator, Item, cross_items
from tts.runinfo import describe_scorer
from tts.scorers.likelihood import LikelihoodScorer
from tts.selectors import GreedySelector, RandomSelector, SoftmaxSelector

CPU = torch.device("cpu")
SETTINGS = SearchSettings(candidates=(1, 4, 4), cfg=0.5, top_k=0, top_p=0.0, trace=True)
ITEMS = cross_items(range(3), (0, 7, 2**40))
COUNTS = ("images", "transformer_passes", "scorer_calls", "decoder_calls", "image_scorer_calls")

Make = Callable[..., Generator]


@pytest.fixture
def make(fake_backbone: Any, fake_scorer: Any) -> Make:
    """A generator of three scales; keywords change its settings."""

    def build(selector: Any = None, scorer: Any = None, **changes: Any) -> Generator:
        settings = replace(SETTINGS, **changes)
        return Generator(
            fake_backbone(), scorer or fake_scorer(), selector or GreedySelector(), settings, CPU
        )

    return build


def counts(generator: Generator, items: list[Item] = ITEMS, size: int = 4) -> tuple[int, ...]:
    """What generating the items counts."""
    counter = CostCounter()
    list(counter.watch(generator).batches(items, size))
    return tuple(getattr(counter.cost(0.0), name) for name in COUNTS)


def joined(generator: Generator, field: str, size: int = 4) -> torch.Tensor:
    return torch.cat([getattr(batch.result, field) for batch in generator.batches(ITEMS, size)])


@pytest.mark.parametrize(
    ("candidates", "scored"),
    [((1, 1, 1), 0), ((1, 4, 4), 8), ((1, 1, 6), 6), ((2, 3, 4), 9)],
)
def test_counts_are_those_of_the_algorithm(make: Make, candidates: tuple[int, ...], scored: int) -> None:
    """Nine images of three scales: a pass each scale, m_k scored maps where m_k > 1, one decoding."""
    assert counts(make(candidates=candidates)) == (9, 27, 9 * scored, 9, 0)


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize("chunk", [None, 1, 3])
def test_batches_and_chunks_change_no_count(make: Make, size: int, chunk: int | None) -> None:
    assert counts(make(chunk=chunk), size=size) == (9, 27, 72, 9, 0)


def test_a_selector_without_scores_costs_no_scores(make: Make) -> None:
    assert counts(make(RandomSelector())) == (9, 27, 0, 9, 0)


def test_tokens_alone_cost_no_decoding(make: Make) -> None:
    assert counts(make(decode=False)) == (9, 27, 72, 0, 0)


def test_a_randomized_scale_is_decoded_again(make: Make) -> None:
    assert counts(replace(make(), randomize_scale=1)) == (9, 27, 72, 18, 0)


def test_greedy_scales_are_not_scored(fake_backbone: Any, make: Make) -> None:
    generator = replace(make(), backbone=fake_backbone(stochastic=(True, True, False)))
    assert counts(generator) == (9, 27, 36, 9, 0)


@pytest.mark.parametrize("cfg", [0.0, 1.5])
def test_guidance_is_no_second_pass(digits_backbone: VarBackbone, cfg: float) -> None:
    settings = SearchSettings(candidates=(1, 1, 5, 5), cfg=cfg, top_k=0, top_p=0.0)
    generator = Generator(digits_backbone, LikelihoodScorer(), GreedySelector(), settings, CPU)
    assert counts(generator, [Item(3, 0), Item(4, 1)]) == (2, 8, 20, 2, 0)


@pytest.mark.parametrize("selector", [GreedySelector(), SoftmaxSelector(5.0), RandomSelector()])
def test_counting_changes_nothing(make: Make, selector: Any) -> None:
    plain = make(selector)
    watched = CostCounter().watch(plain)
    for field in ("tokens", "images", "winner_index"):
        assert torch.equal(joined(watched, field), joined(plain, field))
    scores = [joined(generator, "winner_scores") for generator in (watched, plain)]
    torch.testing.assert_close(*scores, rtol=0, atol=0, equal_nan=True)


def test_the_watched_generator_is_another_one(make: Make) -> None:
    plain, counter = make(), CostCounter()
    counter.watch(plain)
    list(plain.batches(ITEMS, 4))
    assert counter.cost(0.0).images == 0


def test_costs_of_several_generators_add_up(make: Make) -> None:
    counter = CostCounter()
    for generator in (make(), make(candidates=(1, 1, 2))):
        list(counter.watch(generator).batches(ITEMS, 4))
    found = asdict(counter.cost(2.5))
    assert [found[name] for name in COUNTS] == [18, 54, 90, 18, 0]
    assert found["seconds"] == 2.5


def test_counted_parts_still_say_who_they_are(digits_backbone: VarBackbone) -> None:
    class Told(LikelihoodScorer):
        remark = "made for a test"

        def describe(self) -> dict[str, Any]:
            return {"sha256": "5" * 64}

    settings = replace(SETTINGS, candidates=(1, 1, 1, 1))
    generator = Generator(digits_backbone, Told(), GreedySelector(), settings, CPU)
    watched = CostCounter().watch(generator)
    assert describe_scorer(watched.scorer) == {"name": "likelihood", "sha256": "5" * 64}
    assert getattr(watched.scorer, "remark", None) == "made for a test"
    assert watched.backbone.info == digits_backbone.info
    assert watched.backbone.weights_hash() == digits_backbone.weights_hash()


def test_only_states_that_can_reindex_or_preview_seem_to(
    fake_backbone: Any, fake_state: Any, make: Make
) -> None:
    class Plain:
        def __init__(self, *given: Any) -> None:
            self.state = fake_state(*given)

        def logits(self) -> torch.Tensor:
            return self.state.logits()

    counter = CostCounter()
    for kind, can in ((Plain, False), (fake_state, True)):
        backbone = counter.watch(replace(make(), backbone=fake_backbone(kind))).backbone
        state: Any = backbone.begin(torch.arange(3), 0.0)
        assert hasattr(state, "reindex") is hasattr(state, "preview") is can
        if can:
            state.reindex(torch.tensor([0, 0, 1, 2, 2]))
            assert state.logits().shape[0] == 5
            state.preview(torch.zeros(5, 4, 1, dtype=torch.int64))
    assert counter.cost(0.0).transformer_passes == 5
    assert counter.cost(0.0).decoder_calls == 20


def test_without_a_generator_no_memory_is_known() -> None:
    assert CostCounter().cost(1.0) == Cost(0, 0, 0, 0, 0, 1.0, None)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_of_a_cpu_counts_since_the_reset(make: Make) -> None:
    if not reset_peak_memory(CPU):
        pytest.skip("this system does not let a process reset its peak")
    size = 64 * 2**20

    def peak() -> int:
        found = peak_memory(CPU)
        assert found is not None
        return found

    before = peak()
    block = mmap.mmap(-1, size)  # an allocator might have as much memory at hand
    torch.frombuffer(block, dtype=torch.uint8).fill_(1)
    block.close()
    assert before + size * 0.9 < peak() < before + size * 2
    counter = CostCounter()
    counter.watch(make())
    after = counter.cost(0.0).peak_bytes
    assert after is not None
    assert 0 < after < before + size * 0.5


def test_where_the_system_does_not_say_there_is_no_peak(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cost, "PROCESS", tmp_path / "none")
    counter = CostCounter()
    list(counter.watch(make()).batches(ITEMS, 4))
    assert counter.cost(0.0).peak_bytes is None
    assert peak_memory(CPU) is None
    assert reset_peak_memory(torch.device("mps")) is False
    monkeypatch.setattr(cost, "PROCESS", tmp_path)
    (tmp_path / "status").write_text("Name:\tpython\n")
    assert reset_peak_memory(CPU)
    assert peak_memory(CPU) is None
