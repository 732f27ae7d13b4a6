"""Recorded steps, by a recorder that repeats operations in the memory that they had, as a GPU does."""

from __future__ import annotations

import gc
import warnings

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tts.config import SearchSettings
from tts.fast.graphs import CudaRecorder, Graphs, Recorded, recorder
from tts.fast.transformer import STAGES, FastTransformer
from tts.resolve import build_backbone
from tts.search import search
from tts.selectors import GreedySelector
from tts.strategies.choose import build_strategy
from tts.strategies.strategy import Judges

CPU = torch.device("cpu")


class Tape(TorchDispatchMode):
    """Keeps operations with their inputs and outputs; a replay writes to the memory of the first outputs."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out

    def replay(self):
        for func, args, kwargs, first in self.calls:
            given = {leaf.untyped_storage().data_ptr() for leaf in tensors((args, kwargs))}
            for old, new in zip(tensors(first), tensors(func(*args, **kwargs)), strict=True):
                if old.untyped_storage().data_ptr() not in given:
                    old.copy_(new)


def tensors(tree):
    leaves = [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
    return [leaf for leaf in leaves if leaf.layout == torch.strided]  # packed weights have no storage


class FakeRecorder:
    def __init__(self):
        self.steps = 0
        self.replays = 0

    def __call__(self, step):
        self.steps += 1
        with Tape() as tape:
            out = step()

        def replay():
            self.replays += 1
            tape.replay()

        return out, replay


@pytest.fixture
def record():
    return FakeRecorder()


def recorded_form(exact, record, few=4096):
    """The fast form of a backbone with recorded steps."""
    fast = exact.fast()
    fast.engine = FastTransformer(exact.transformer, record=record)
    fast.engine.few = few
    return fast


def test_a_recorded_step_reads_its_input_anew_and_gives_a_copy(record):
    weight = torch.ones(3)
    recorded = Recorded(lambda x: (x * weight).exp().sum(dim=-1), torch.zeros(2, 3), record)
    first = recorded(torch.full((2, 3), 1.0))
    second = recorded(torch.full((2, 3), 2.0))
    torch.testing.assert_close(first, torch.full((2,), 3.0).mul(torch.e))
    torch.testing.assert_close(second, torch.full((2,), 3.0).mul(torch.e**2))
    weight.zero_()
    assert torch.equal(recorded(torch.ones(2, 3)), torch.full((2,), 3.0))
    assert record.steps == 1


@torch.inference_mode()
@pytest.mark.parametrize("name", ["var-digits", "flexvar-digits"])
@pytest.mark.parametrize("guided", [True, False])
def test_batch_after_batch_has_the_logits_of_the_model(name, guided, record, assert_same_model):
    exact = build_backbone(name, (), CPU, torch.float32)[1]
    fast = recorded_form(exact, record)
    cfg = 2.0 if guided else exact.info.guidance.off
    for labels in ([3, 7, 3, 0, 9], [1, 1, 2, 8, 4], [5, 5, 5, 5, 5]):
        assert_same_model(exact, fast, torch.tensor(labels), cfg)
    assert record.steps == exact.info.scales  # of the first batch, for all of them
    assert record.replays == 4 * exact.info.scales


@torch.inference_mode()
def test_another_number_of_rows_has_recordings_of_its_own(record, assert_same_model):
    exact = build_backbone("var-digits", (), CPU, torch.float32)[1]
    fast = recorded_form(exact, record)
    for count in (2, 3, 2):
        assert_same_model(exact, fast, torch.arange(count), 2.0)
    assert record.steps == 2 * exact.info.scales  # the first number comes again
    for count in (4, 5, 2, 3):  # the second number is the one used longest ago when the fifth comes
        assert_same_model(exact, fast, torch.arange(count), 2.0)
        assert len(fast.engine.stages) <= STAGES
    assert record.steps == 5 * exact.info.scales


@torch.inference_mode()
def test_two_batches_at_once_do_not_share_memory(record):
    exact = build_backbone("var-digits", (), CPU, torch.float32)[1]
    fast = recorded_form(exact, record)
    labels = [torch.tensor([1, 2]), torch.tensor([8, 5])]
    wanted = [exact.begin(one, 2.0) for one in labels]
    found = [fast.begin(one, 2.0) for one in labels]
    assert found[0].session.stage is not found[1].session.stage
    for _ in range(exact.info.scales):
        for one, other in zip(wanted, found, strict=True):
            logits = one.logits()
            torch.testing.assert_close(other.logits(), logits, atol=2e-4, rtol=1e-4)
            one.commit(logits.argmax(dim=-1))
            other.commit(logits.argmax(dim=-1))
    assert record.steps == 2 * exact.info.scales
    stages = fast.engine.stages
    assert all(stage.taken for stage in stages)
    del found, other
    gc.collect()
    assert not any(stage.taken for stage in stages)
    assert fast.begin(labels[1], 2.0).session.stage in stages


@torch.inference_mode()
def test_only_steps_of_few_tokens_are_recorded(record):
    exact = build_backbone("var-digits", (), CPU, torch.float32)[1]
    fast = recorded_form(exact, record)
    fast.engine.few = 4 * 9
    settings = SearchSettings((1,) * exact.info.scales, cfg=2.0, top_k=0, top_p=0.0)
    search(fast, None, GreedySelector(), settings, torch.arange(2), torch.arange(2))
    assert record.steps == sum(4 * length <= 4 * 9 for length in exact.info.lengths)


def test_the_search_draws_the_same_tokens_with_recorded_steps(record):
    exact = build_backbone("var-digits", (), CPU, torch.float32)[1]
    fast = recorded_form(exact, record)
    settings = SearchSettings((1,) * exact.info.scales, cfg=2.0, top_k=0, top_p=0.0, sampler="fast")
    labels, seeds = torch.arange(4), torch.arange(4)
    for first in (0, 100):
        wanted = search(exact.fast(), None, GreedySelector(), settings, labels, seeds + first)
        found = search(fast, None, GreedySelector(), settings, labels, seeds + first)
        assert torch.equal(found.tokens, wanted.tokens)
    assert record.steps == exact.info.scales


def test_what_cannot_be_recorded_runs_as_it_is():
    def fails(step):
        raise RuntimeError("operation not permitted when stream is capturing\nCUDA kernel errors might …")

    graphs = Graphs(fails)
    with pytest.warns(RuntimeWarning, match="without CUDA graphs, which failed: operation not permitted"):
        out = graphs.run("a", torch.exp, torch.zeros(2), 1)
    assert torch.equal(out, torch.ones(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(graphs.run("a", torch.exp, torch.zeros(2), 1), torch.ones(2))


@pytest.mark.parametrize("wrong", [2.0, torch.nan])
def test_a_replay_that_computes_something_else_is_not_used(wrong):
    def record(step):
        out = step()
        return out, lambda: out.fill_(wrong)

    graphs = Graphs(record)
    with pytest.warns(RuntimeWarning, match="of the largest value off its step"):
        out = graphs.run("a", torch.exp, torch.zeros(2), 1)
    assert torch.equal(out, torch.ones(2))
    assert graphs.record is None


def test_after_a_failure_the_next_batches_are_not_recorded_either(record):
    exact = build_backbone("var-digits", (), CPU, torch.float32)[1]

    def fails(step):
        raise RuntimeError("no graphs here")

    fast = recorded_form(exact, fails)
    settings = SearchSettings((1,) * exact.info.scales, cfg=2.0, top_k=0, top_p=0.0)
    two, three = torch.arange(2), torch.arange(3)
    with pytest.warns(RuntimeWarning, match="no graphs here"):
        search(fast, None, GreedySelector(), settings, two, two)
    search(fast, None, GreedySelector(), settings, three, three)  # warnings are errors


def test_only_gpus_record():
    assert recorder(CPU) is None
    assert isinstance(recorder(torch.device("cuda")), CudaRecorder)


def test_cuda_graphs_are_recorded_in_one_pool(monkeypatch):
    seen = []

    class Capture:
        def __init__(self, graph, pool, capture_error_mode):
            seen.append((pool, capture_error_mode))

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            return False

    class Graph:
        def replay(self):
            return "replayed"

    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "pool")
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", Capture)
    record = CudaRecorder()
    for value in (1.0, 2.0):
        out, replay = record(lambda value=value: torch.tensor(value))
        assert (float(out), replay()) == (value, "replayed")
    assert seen == [("pool", "thread_local")] * 2


@pytest.mark.parametrize("strategy", ["beam:3", "particles:ess=1"])
@pytest.mark.parametrize("name", ["var-digits", "flexvar-digits"])
def test_strategies_that_reindex_draw_the_same_tokens(strategy, name, record):
    class Judge:
        name = "fake"

        def score(self, proposals):
            return proposals.maps.flatten(2).sum(2).sin()

    exact = build_backbone(name, (), CPU, torch.float32)[1]
    fast = recorded_form(exact, record)
    settings = SearchSettings((1, 4, 4, 4), cfg=2.0, top_k=0, top_p=0.0, sampler="fast")
    labels, judges = torch.arange(4), Judges(Judge(), GreedySelector())
    for first in (0, 100):
        wanted, found = (
            build_strategy(strategy)(form, judges, settings, labels, labels + first, ())
            for form in (exact.fast(), fast)
        )
        assert torch.equal(found.tokens, wanted.tokens)
    assert record.replays > record.steps
