"""Images with different numbers of candidates in one batch come out as each does alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tts.backbones.flexvar_adapter import FlexVarBackbone
from tts.backbones.storage import embedded_folder, load_folder
from tts.config import SearchSettings
from tts.errors import ScoreError, ShapeError, UsageError
from tts.evaluation.cost import CostCounter
from tts.pipeline import Generator, Item, Prefix
from tts.scorers.learned import build
from tts.scorers.likelihood import LikelihoodScorer
from tts.search import search
from tts.selectors import GreedySelector, RandomSelector, SoftmaxSelector, TopKSelector
from tts.specs import ScorerRequest
from tts.strategies.best_of_n import best_of_n

CPU = torch.device("cpu")
SETTINGS = SearchSettings(candidates=(1, 3, 3), cfg=0.5, top_k=0, top_p=0.0, trace=True)
COUNTS = ((1, 6, 2), (1, 1, 9), (4, 6, 1), (1, 1, 1), (2, 12, 9), (1, 6, 2))
LABELS = torch.tensor([0, 4, 2, 2, 1, 0])
SEEDS = torch.tensor([3, 3, 2**40, 8, 9, 12])
SELECTORS = [
    *(GreedySelector(), TopKSelector(4, 1.0), TopKSelector(20, 3.0), SoftmaxSelector(5.0), RandomSelector())
]
DIGITS = ((1, 4, 4, 8), (1, 1, 1, 1), (1, 16, 2, 8), (1, 4, 1, 3), (1, 16, 16, 16), (2, 8, 1, 1))
DIGIT_SELECTORS = [GreedySelector(), TopKSelector(3, 1.0), SoftmaxSelector(2.0), RandomSelector()]
CHUNKS = [{}, {"chunk": 1}, {"chunk": 4}, {"chunk_bytes": 15_000}]


def run(backbone, scorer, selector, rows=slice(None), counts=COUNTS, observers=(), **changes):
    settings = replace(SETTINGS, **changes)
    return search(backbone, scorer, selector, settings, LABELS[rows], SEEDS[rows], observers, counts=counts)


def alone(backbone, scorer, selector, row, observers=(), **changes):
    """One image of the batch with its numbers as those of the settings."""
    one = slice(row, row + 1)
    return run(backbone, scorer, selector, one, None, observers, candidates=COUNTS[row], **changes)


def same(a, b):
    return bool(((a == b) | (a.isnan() & b.isnan())).all())


@pytest.mark.parametrize("sampler", ["exact", "fast"])
@pytest.mark.parametrize("split", CHUNKS, ids=str)
@pytest.mark.parametrize("selector", SELECTORS, ids=str)
def test_an_image_is_the_same_alone(fake_backbone, fake_scorer, selector, split, sampler):
    changes = {**split, "sampler": sampler, "top_k": 6}
    mixed = run(fake_backbone(), fake_scorer(), selector, **changes)
    for row in range(6):
        one = alone(fake_backbone(), fake_scorer(), selector, row, sampler=sampler, top_k=6)
        assert torch.equal(mixed.tokens[row], one.tokens[0])
        assert torch.equal(mixed.images[row], one.images[0])
        assert torch.equal(mixed.winner_index[row], one.winner_index[0])
        assert same(mixed.winner_scores[row], one.winner_scores[0])
        for scale, count in enumerate(COUNTS[row]):
            if count > 1:
                assert same(mixed.trace[scale][row, :count], one.trace[scale][0])


@pytest.mark.parametrize("selector", SELECTORS, ids=str)
def test_scores_that_tie_choose_the_same(fake_backbone, fake_scorer, selector):
    """Which of equal scores ``topk`` keeps may depend on how many there are."""
    ties = fake_scorer(lambda p: (p.tokens.sum(-1) % 2).float())
    mixed = run(fake_backbone(), ties, selector)
    for row in range(6):
        one = alone(fake_backbone(), ties, selector, row)
        assert torch.equal(mixed.tokens[row], one.tokens[0])
        assert torch.equal(mixed.winner_index[row], one.winner_index[0])


@pytest.fixture(scope="module")
def flexvar():
    return FlexVarBackbone(*load_folder(*embedded_folder("flexvar-digits")), CPU, torch.float32)


@pytest.mark.parametrize("selector", DIGIT_SELECTORS, ids=str)
@pytest.mark.parametrize("family", ["var", "flexvar"])
@pytest.mark.parametrize("chunk", [None, 5])
def test_a_digit_is_the_same_alone(digits_backbone, flexvar, family, selector, chunk):
    """Tokens and winners bit for bit; a real model's scores have last bits that depend on the batch."""
    backbone = digits_backbone if family == "var" else flexvar
    mixed = run(backbone, LikelihoodScorer(), selector, counts=DIGITS, chunk=chunk, cfg=1.5)
    for row, count in enumerate(DIGITS):
        own = {"candidates": count, "cfg": 1.5}
        one = run(backbone, LikelihoodScorer(), selector, slice(row, row + 1), None, **own)
        assert torch.equal(mixed.tokens[row], one.tokens[0])
        assert torch.equal(mixed.winner_index[row], one.winner_index[0])
        close = {"rtol": 1e-4, "atol": 1e-4, "equal_nan": True}  # sums of up to 16 logarithms, as below
        torch.testing.assert_close(mixed.winner_scores[row], one.winner_scores[0], **close)


def test_a_learned_scorer_finds_the_same_winners(digits_backbone, digits_scorer):
    scorer = build(ScorerRequest(digits_backbone, CPU, str(digits_scorer)))
    mixed = run(digits_backbone, scorer, GreedySelector(), counts=DIGITS, cfg=1.5)
    for row, count in enumerate(DIGITS):
        own = {"candidates": count, "cfg": 1.5}
        one = run(digits_backbone, scorer, GreedySelector(), slice(row, row + 1), None, **own)
        assert torch.equal(mixed.tokens[row], one.tokens[0])
        assert torch.equal(mixed.winner_index[row], one.winner_index[0])


@pytest.mark.parametrize("split", CHUNKS, ids=str)
def test_candidates_that_an_image_does_not_have_are_not_scored(fake_backbone, fake_scorer, split):
    scorer = fake_scorer()
    run(fake_backbone(), scorer, GreedySelector(), **split)
    for scale in range(3):
        scored = sum(call.tokens.shape[:2].numel() for call in scorer.calls if call.scale == scale)
        assert scored == sum(own[scale] for own in COUNTS if own[scale] > 1)


def test_equal_numbers_are_those_of_the_settings(fake_backbone, fake_scorer):
    first, second = fake_scorer(), fake_scorer()
    seen: list = []
    mixed = run(fake_backbone(), first, GreedySelector(), counts=[(1, 4, 2)] * 6, observers=[seen.append])
    plain = run(fake_backbone(), second, GreedySelector(), counts=None, candidates=(1, 4, 2))
    assert torch.equal(mixed.tokens, plain.tokens)
    assert [call.tokens.shape for call in first.calls] == [call.tokens.shape for call in second.calls]
    assert [len(event.labels) for event in seen] == [6, 6]
    assert {k: scores.shape for k, scores in mixed.trace.items()} == {1: (6, 4), 2: (6, 2)}


def test_the_trace_says_what_an_image_does_not_have(fake_backbone, fake_scorer):
    trace = run(fake_backbone(), fake_scorer(), GreedySelector()).trace
    assert {scale: scores.shape for scale, scores in trace.items()} == {0: (6, 4), 1: (6, 12), 2: (6, 9)}
    for scale, scores in trace.items():
        for row, own in enumerate(COUNTS):
            assert scores[row, own[scale] :].isneginf().all()
            present = scores[row, : own[scale]]
            assert present.isnan().all() if own[scale] == 1 else present.isfinite().all()
    blind = run(fake_backbone(), None, RandomSelector()).trace
    assert torch.equal(blind[1].isneginf(), trace[1].isneginf())
    assert blind[1].isnan().equal(~blind[1].isneginf())


def test_observers_meet_images_of_one_number_at_a_time(fake_backbone, fake_scorer):
    seen: list = []
    mixed = run(fake_backbone(), fake_scorer(), GreedySelector(), observers=[seen.append])
    assert [(event.scale, *event.scores.shape) for event in seen] == [
        *((0, 1, 2), (0, 1, 4)),
        *((1, 3, 6), (1, 1, 12)),
        *((2, 2, 2), (2, 2, 9)),
    ]
    starts = (0, 1, 5, 14)
    for event in seen:
        for place, (label, seed) in enumerate(zip(event.labels, event.seeds, strict=True)):
            (row,) = torch.nonzero((label == LABELS) & (seed == SEEDS))[:, 0].tolist()
            chosen = event.tokens()[place, event.choice[place]]
            assert torch.equal(chosen, mixed.tokens[row, starts[event.scale] : starts[event.scale + 1]])
            lonely: list = []
            alone(fake_backbone(), fake_scorer(), GreedySelector(), row, observers=[lonely.append])
            (own,) = [other for other in lonely if other.scale == event.scale]
            assert event.duplicates[place] == own.duplicates[0]
            assert torch.equal(event.scores[place], own.scores[0])


class Last:
    """Chooses by the number of candidates, like a selector that has never heard of mixed batches."""

    name, needs_scores = "last", True

    def select(self, context):
        batch, count = context.scores.shape
        assert context.scores.isfinite().all()
        assert context.labels.shape == (batch,)
        assert context.uniforms.shape == (batch, count)
        assert context.tokens().shape[:2] == context.maps().shape[:2] == (batch, count)
        return torch.full((batch,), count - 1)


def test_any_selector_sees_only_candidates_that_are_there(fake_backbone, fake_scorer):
    mixed = run(fake_backbone(), fake_scorer(), Last())
    assert mixed.winner_index.tolist() == [[count - 1 for count in own] for own in COUNTS]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_score_that_is_not_finite_is_an_error(fake_backbone, fake_scorer, refused, bad):
    odd = fake_scorer(lambda p: torch.where(p.labels[:, None] == 1, bad, 0.0).expand(p.tokens.shape[:2]))
    with refused("not finite at scale 1;", kind=ScoreError, code=1):
        run(fake_backbone(), odd, GreedySelector())
    without = [(1, 6, 2) if label != 1 else (1, 1, 1) for label in LABELS.tolist()]
    run(fake_backbone(), odd, GreedySelector(), counts=without)


def test_greedy_scales_leave_one_candidate_to_every_image(fake_backbone, fake_scorer):
    backbone = fake_backbone(stochastic=(True, False, True))
    scorer = fake_scorer()
    mixed = run(backbone, scorer, GreedySelector())
    assert {call.scale for call in scorer.calls} == {0, 2}
    assert not mixed.winner_index[:, 1].any()
    greedy = run(fake_backbone(), fake_scorer(), GreedySelector(), top_k=1)
    assert greedy.trace == {}


@pytest.mark.parametrize("counts", [COUNTS[:5], [own[:2] for own in COUNTS]])
def test_numbers_that_fit_no_batch_are_refused(fake_backbone, fake_scorer, refused, counts):
    with refused("numbers of candidates must", kind=ShapeError, code=1):
        run(fake_backbone(), fake_scorer(), GreedySelector(), counts=counts)


def test_numbers_out_of_range_are_refused(fake_backbone, fake_scorer, refused):
    with refused("candidates must be whole numbers from 1 to 4096, got 0"):
        run(fake_backbone(), fake_scorer(), GreedySelector(), counts=[(1, 0, 1)] * 6)


@pytest.fixture
def generator(fake_backbone, fake_scorer):
    return Generator(fake_backbone(), fake_scorer(), SoftmaxSelector(5.0), SETTINGS, CPU)


@pytest.fixture
def items():
    """Items of which the last but one has the settings' numbers."""
    own = [*COUNTS[:4], None, COUNTS[5]]
    return [Item(int(a), int(b), c) for a, b, c in zip(LABELS, SEEDS, own, strict=True)]


@pytest.mark.parametrize("size", [1, 2, 6])
def test_items_bring_their_own_numbers(generator, items, size):
    batches = list(generator.batches(items, size))
    tokens = torch.cat([batch.result.tokens for batch in batches])
    for row, item in enumerate(items):
        settings = replace(SETTINGS, candidates=item.candidates or SETTINGS.candidates)
        plain = replace(generator, settings=settings).batches([Item(item.label, item.seed)], 1)
        assert torch.equal(tokens[row], next(plain).result.tokens[0])


def test_a_prefix_goes_with_items_of_different_numbers(generator, items):
    given = torch.randint(7, (6, 14), generator=torch.Generator().manual_seed(1))
    (mixed,) = generator.batches(items, 6, Prefix(given, 2))
    assert torch.equal(mixed.result.tokens[:, :5], given[:, :5])
    for row, item in enumerate(items):
        (one,) = generator.batches([item], 1, Prefix(given[row : row + 1], 2))
        assert torch.equal(mixed.result.tokens[row], one.result.tokens[0])


def test_numbers_are_no_part_of_an_items_name():
    assert Item(1, 2, (1, 4)) == Item(1, 2)
    assert len({Item(1, 2, (1, 4)), Item(1, 2), Item(1, 2, (1, 8))}) == 1


def test_the_cost_counts_what_was_scored(generator, items):
    counter = CostCounter()
    list(counter.watch(generator).batches(items, 6))
    counts = [item.candidates or SETTINGS.candidates for item in items]
    assert counter.cost(1.0).scorer_calls == sum(m for own in counts for m in own if m > 1)


def test_items_with_a_choice_need_a_scorer(generator, refused):
    plain = replace(generator, scorer=None, settings=replace(SETTINGS, candidates=(1, 1, 1)))
    assert next(plain.batches([Item(0, 0, (1, 1, 1))], 1)).result.winner_scores.isnan().all()
    with refused("selector softmax needs a scorer"):
        plain.batches([Item(0, 0, (1, 2, 1))], 1)
    with refused("must have shape (1, 3), got (1, 2)", kind=ShapeError, code=1):
        plain.batches([Item(0, 0, (1, 2))], 1)


def test_whole_images_have_one_number_for_all(generator, items, refused):
    with refused("best-of-n has one number of candidates for all items", kind=UsageError):
        list(replace(generator, strategy=best_of_n).batches(items, 6))
