"""Algorithm 1: invariants of the search with exact fakes, and with the embedded digits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tts.config import SearchSettings
from tts.errors import ScoreError, ShapeError
from tts.noise import selection_uniforms, token_uniforms
from tts.noise_streams import Stream
from tts.sampling import TokenDistribution
from tts.scorers.likelihood import LikelihoodScorer
from tts.search import BYTES_PER_ELEMENT, effective_candidates, search
from tts.selectors import GreedySelector, RandomSelector, SoftmaxSelector, TopKSelector

SETTINGS = SearchSettings(candidates=(1, 6, 6), cfg=0.5, top_k=0, top_p=0.0, trace=True)
LABELS = torch.tensor([0, 4, 2, 2, 1])
SEEDS = torch.tensor([3, 3, 2**40, 8, 9])
STARTS = (0, 1, 5, 14)  # where each scale's tokens start


@pytest.fixture
def backbone(fake_backbone):
    return fake_backbone()


@pytest.fixture(params=["exact", "fast"])
def digits_backbone(request, digits_backbone):
    """The embedded digits in both forms."""
    return digits_backbone.fast() if request.param == "fast" else digits_backbone


@pytest.fixture
def scorer(fake_scorer):
    return fake_scorer()


def run(backbone, scorer, selector=None, labels=LABELS, seeds=SEEDS, observers=(), prefix=(), **changes):
    settings = replace(SETTINGS, **changes)
    return search(backbone, scorer, selector or GreedySelector(), settings, labels, seeds, observers, prefix)


def assert_equal(a, b):
    assert torch.equal(a.tokens, b.tokens)
    assert torch.equal(a.images, b.images)
    assert torch.equal(a.winner_index, b.winner_index)
    torch.testing.assert_close(a.winner_scores, b.winner_scores, rtol=0, atol=0, equal_nan=True)
    assert a.trace.keys() == b.trace.keys()
    for scale, scores in a.trace.items():
        torch.testing.assert_close(scores, b.trace[scale], rtol=0, atol=0, equal_nan=True)


def plain_sampling(backbone, cfg, top_k, top_p):
    """The backbone's own generation, without any search."""
    state = backbone.begin(LABELS, cfg)
    maps = []
    for scale, length in enumerate(backbone.info.lengths):
        distribution = TokenDistribution.from_logits(state.logits(), top_k, top_p)
        maps.append(distribution.draw(token_uniforms(SEEDS, Stream.SAMPLE, scale, range(1), length))[:, 0])
        state.commit(maps[-1])
    return torch.cat(maps, dim=1), state.decode()


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 0.0), (3, 0.0), (0, 0.6)])
def test_one_candidate_is_plain_sampling_without_scorer(backbone, scorer, top_k, top_p):
    tokens, images = plain_sampling(backbone, 0.5, top_k, top_p)
    for given in (scorer, None):
        result = run(backbone, given, candidates=(1, 1, 1), top_k=top_k, top_p=top_p)
        assert torch.equal(result.tokens, tokens)
        assert torch.equal(result.images, images)
        assert result.winner_scores.isnan().all()
        assert not result.winner_index.any()
        assert result.trace == {}
    assert scorer.calls == []


@torch.inference_mode()
def test_one_candidate_is_plain_sampling_of_the_digits(digits_backbone):
    tokens, images = plain_sampling(digits_backbone, 1.5, 0, 0.0)
    result = run(digits_backbone, None, candidates=(1, 1, 1, 1), cfg=1.5)
    assert torch.equal(result.tokens, tokens)
    torch.testing.assert_close(result.images, images)


def test_the_scorer_is_called_where_there_is_a_choice_only(backbone, scorer):
    result = run(backbone, scorer, candidates=(1, 6, 1))
    assert [call.scale for call in scorer.calls] == [1]
    assert result.winner_scores.isnan().any(dim=0).tolist() == [True, False, True]
    assert result.trace.keys() == {1}
    proposals = scorer.calls[0]
    assert proposals.tokens.shape == (5, 6, 4)
    assert proposals.maps.shape == (5, 6, 2, 3, 3)
    assert proposals.log_probs.shape == (5, 6, 4)
    assert torch.equal(proposals.labels, LABELS)
    assert (proposals.log_probs <= 0).all()


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("j", [0, 3, 5])
def test_a_scorer_that_knows_a_candidate_gets_it(backbone, fake_scorer, scale, j):
    seen = []
    candidates = tuple(6 if k == scale else 1 for k in range(3))
    run(backbone, fake_scorer(), observers=[seen.append], candidates=candidates)
    wanted = seen[0].tokens()[:, j]  # B L

    recognises = fake_scorer(lambda p: (p.tokens == wanted[:, None]).all(-1).float())
    result = run(backbone, recognises, candidates=candidates)
    assert torch.equal(result.tokens[:, STARTS[scale] : STARTS[scale + 1]], wanted)
    assert result.winner_scores[:, scale].eq(1).all()
    assert torch.equal(backbone.committed[-3 + scale], wanted)


@pytest.mark.parametrize("chunk", [None, 1, 4])
@pytest.mark.parametrize("j", [0, 2, 5])
def test_candidates_keep_their_number_across_chunks(backbone, fake_scorer, chunk, j):
    numbers = {1: 0, 2: 0}

    def by_order_of_calls(proposals):
        first = numbers[proposals.scale]
        numbers[proposals.scale] += proposals.tokens.shape[1]
        order = torch.arange(first, numbers[proposals.scale])
        return (order == j).float().expand(proposals.tokens.shape[:2])

    seen = []
    result = run(backbone, fake_scorer(by_order_of_calls), observers=[seen.append], chunk=chunk)
    assert (result.winner_index[:, 1:] == j).all()
    assert numbers == {1: 6, 2: 6}
    for event in seen:
        chosen = result.tokens[:, STARTS[event.scale] : STARTS[event.scale + 1]]
        assert torch.equal(chosen, event.tokens()[:, j])


def test_the_fast_sampler_draws_from_the_same_distribution(fake_backbone, fake_state):
    """Chi-square over the codes of one position, which 40 000 images draw."""

    class Same(fake_state):
        def logits(self):
            return super().logits()[:1].expand(len(self.history), -1, -1)

    many = 40_000
    labels, seeds = torch.zeros(many, dtype=torch.int64), torch.arange(many)
    changes = {"labels": labels, "seeds": seeds, "candidates": (1, 1, 1), "top_k": 5, "top_p": 0.9}
    fast = run(fake_backbone(Same), None, **changes, sampler="fast").tokens
    exact = TokenDistribution.from_logits(Same(fake_backbone(), labels[:1], 0.5).logits(), 5, 0.9)
    wanted = many * exact.log_probs[0, 0].exp()
    counts = fast[:, 0].bincount(minlength=7)
    kept = wanted > 0
    assert counts[~kept].sum() == 0
    assert 2 < kept.sum() < 7
    assert float(((counts - wanted)[kept].square() / wanted[kept]).sum()) < 30


@pytest.mark.parametrize("selector", [GreedySelector(), SoftmaxSelector(5.0)])
def test_the_fast_sampler_keeps_the_invariants(backbone, fake_scorer, selector):
    whole = run(backbone, fake_scorer(), selector, sampler="fast", top_k=6)
    for chunk in (1, 4):
        assert_equal(run(backbone, fake_scorer(), selector, sampler="fast", top_k=6, chunk=chunk), whole)
    one = run(
        backbone, fake_scorer(), selector, labels=LABELS[2:3], seeds=SEEDS[2:3], sampler="fast", top_k=6
    )
    assert torch.equal(one.tokens, whole.tokens[2:3])


def test_without_a_filter_both_samplers_draw_the_same(backbone, scorer):
    assert_equal(run(backbone, scorer, sampler="fast"), run(backbone, scorer))


def test_candidates_that_are_drawn_again_are_those_that_were_scored(backbone, fake_scorer):
    scored, seen = [], []

    def remember(proposals):
        scored.append(proposals.tokens.clone())
        return fake_scorer().score(proposals)

    run(backbone, fake_scorer(remember), observers=[seen.append], candidates=(1, 1, 6), chunk=4)
    assert torch.equal(seen[0].tokens(), torch.cat(scored, dim=1))


def test_memory_does_not_grow_with_the_number_of_candidates(backbone, live_bytes):
    """The scores are all that is kept; making the selection's uniforms needs the most for a moment."""

    def peak(count):
        with live_bytes() as live:
            run(backbone, LikelihoodScorer(), candidates=(1, count, count), chunk=8, trace=False)
        return live.peak

    peak(8)  # what is allocated once
    most, more = peak(64), peak(1024)
    assert more - most < 120 * 960 * len(LABELS)  # bytes a candidate; its tokens alone have 72


@pytest.mark.parametrize("selector", [GreedySelector(), TopKSelector(3, 1.0), SoftmaxSelector(5.0)])
@pytest.mark.parametrize(
    "split", [{"chunk": 1}, {"chunk": 4}, {"chunk": 100}, {"chunk_bytes": 1}, {"chunk_bytes": 15_000}]
)
def test_chunks_and_memory_budgets_do_not_matter(backbone, scorer, selector, split):
    assert_equal(run(backbone, scorer, selector), run(backbone, scorer, selector, **split))


@pytest.mark.parametrize(("rows", "most"), [(0.5, 1), (1, 1), (3.9, 3), (100, 6)])
def test_the_memory_budget_bounds_what_is_scored_at_once(backbone, scorer, rows, most):
    info = backbone.info
    row = BYTES_PER_ELEMENT * info.channels * info.grid**2 * len(LABELS)
    run(backbone, scorer, chunk_bytes=int(rows * row))
    assert max(call.tokens.shape[1] for call in scorer.calls) == most


@pytest.mark.parametrize("selector", [GreedySelector(), SoftmaxSelector(5.0), RandomSelector()])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_batch_does_not_matter(backbone, scorer, selector, size):
    whole = run(backbone, scorer, selector)
    parts = [
        run(backbone, scorer, selector, LABELS[i : i + size], SEEDS[i : i + size]) for i in range(0, 5, size)
    ]
    assert torch.equal(torch.cat([part.tokens for part in parts]), whole.tokens)
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    assert torch.equal(torch.cat([part.winner_index for part in parts]), whole.winner_index)
    for scale in (1, 2):
        together = torch.cat([part.trace[scale] for part in parts])
        torch.testing.assert_close(together, whole.trace[scale], rtol=0, atol=0, equal_nan=True)


def test_batches_and_chunks_do_not_matter_for_the_digits(digits_backbone):
    labels, seeds = torch.arange(10), torch.arange(10)
    options = {"candidates": (1, 8, 8, 8), "cfg": 1.5}
    scorer = LikelihoodScorer()
    whole = run(digits_backbone, scorer, None, labels, seeds, **options)
    chunked = run(digits_backbone, scorer, None, labels, seeds, chunk=3, **options)
    assert torch.equal(chunked.tokens, whole.tokens)
    parts = [
        run(digits_backbone, scorer, None, labels[i : i + 4], seeds[i : i + 4], **options) for i in (0, 4, 8)
    ]
    assert torch.equal(torch.cat([part.tokens for part in parts]), whole.tokens)
    scores = torch.cat([part.winner_scores for part in parts])
    torch.testing.assert_close(scores, whole.winner_scores, rtol=1e-4, atol=1e-4, equal_nan=True)
    images = torch.cat([part.images for part in parts])
    torch.testing.assert_close(images, whole.images, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [0, 1, 2])
def test_more_candidates_add_to_the_same_ones_and_never_lower_the_winner(backbone, scorer, scale):
    previous = None
    for count in (2, 4, 8, 16, 40):
        result = run(backbone, scorer, candidates=tuple(count if k == scale else 1 for k in range(3)))
        assert result.trace[scale].shape == (5, count)
        assert torch.equal(result.winner_scores[:, scale], result.trace[scale].max(dim=1).values)
        if previous is not None:
            fewer = previous.trace[scale]
            assert torch.equal(result.trace[scale][:, : fewer.shape[1]], fewer)
            assert (result.winner_scores[:, scale] >= previous.winner_scores[:, scale]).all()
        previous = result
    assert result.tokens[:, : STARTS[scale]].equal(previous.tokens[:, : STARTS[scale]])


def test_the_first_selecting_scale_is_never_worse_with_more_candidates_everywhere(backbone, scorer):
    few, many = (run(backbone, scorer, candidates=(1, count, count)) for count in (4, 16))
    assert torch.equal(many.trace[1][:, :4], few.trace[1])
    assert (many.winner_scores[:, 1] >= few.winner_scores[:, 1]).all()
    assert (many.winner_scores[:, 1] > few.winner_scores[:, 1]).any()


def test_candidate_zero_is_the_plain_draw(backbone, scorer):
    seen = []
    run(backbone, scorer, observers=[seen.append], candidates=(1, 4, 1))
    plain = run(backbone, None, candidates=(1, 1, 1))
    assert torch.equal(seen[0].tokens()[:, 0], plain.tokens[:, 1:5])


def test_top_k_with_one_is_greedy(backbone, scorer):
    assert_equal(run(backbone, scorer, TopKSelector(1, 1.0)), run(backbone, scorer, GreedySelector()))


def test_a_selector_without_scores_needs_no_scorer(backbone, scorer):
    result = run(backbone, None, RandomSelector())
    assert_equal(run(backbone, scorer, RandomSelector()), result)
    assert scorer.calls == []
    assert result.winner_scores.isnan().all()
    assert result.winner_index[:, 1:].any()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_score_that_is_not_finite_is_an_error(backbone, fake_scorer, refused, bad, scale):
    def one_bad_score(proposals):
        scores = torch.zeros(proposals.tokens.shape[:2])
        if proposals.scale == scale:
            scores[3, 2] = bad
        return scores

    with refused("scorer odd-one", f"at scale {scale + 1};", kind=ScoreError, code=1):
        run(backbone, fake_scorer(one_bad_score, "odd-one"))


@pytest.mark.parametrize("shape", [(5,), (5, 5), (6, 5), (5, 6, 1)])
def test_scores_of_another_shape_are_refused(backbone, fake_scorer, refused, shape):
    scorer = fake_scorer(lambda _: torch.zeros(shape))
    with refused(f"scores of fake-scorer must have shape (5, 6), got {shape}", kind=ShapeError, code=1):
        run(backbone, scorer)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (torch.zeros(5, 6, device="meta"), "must be on cpu, got meta"),
        (torch.zeros(5, 6).to_sparse(), "must be dense, got sparse_coo"),
    ],
)
def test_scores_without_values_or_not_dense_are_refused(backbone, fake_scorer, refused, scores, words):
    with refused(f"scores of fake-scorer {words}", kind=ShapeError, code=1):
        run(backbone, fake_scorer(lambda _: scores))


def test_a_selector_that_writes_into_its_scores_changes_no_record(backbone, scorer):
    class Writing(GreedySelector):
        def select(self, context):
            best = super().select(context)
            context.scores.zero_()
            return best

    assert_equal(run(backbone, scorer, Writing()), run(backbone, scorer, GreedySelector()))


def test_scores_of_another_type_are_taken(backbone, fake_scorer):
    sums = run(backbone, fake_scorer(lambda p: p.tokens.sum(-1)))
    halves = run(backbone, fake_scorer(lambda p: p.tokens.sum(-1).half()))
    assert_equal(sums, halves)
    assert sums.winner_scores.dtype == torch.float32


class FixedSelector:
    name = "fixed"
    needs_scores = False

    def __init__(self, index):
        self.index = index

    def select(self, context):
        self.context = context
        return self.index


@pytest.mark.parametrize("shape", [(), (4,), (5, 1)])
def test_choices_of_another_shape_are_refused(backbone, refused, shape):
    selector = FixedSelector(torch.zeros(shape, dtype=torch.int64))
    with refused(f"choice of fixed must have shape (5,), got {shape}", kind=ShapeError, code=1):
        run(backbone, None, selector)


@pytest.mark.parametrize(
    "index",
    [
        torch.tensor([0, 0, 6, 0, 0]),
        torch.tensor([0, -1, 0, 0, 0]),
        torch.zeros(5),
        torch.zeros(5, dtype=torch.int32),
    ],
)
def test_choices_out_of_range_are_refused(backbone, refused, index):
    with refused("selector fixed", "int64 indices from 0 to 5", kind=ShapeError, code=1):
        run(backbone, None, FixedSelector(index))


def test_logits_of_another_shape_are_refused(fake_backbone, fake_state, scorer, refused):
    class Cut(fake_state):
        def logits(self):
            return super().logits()[..., :-1]

    with refused("fake logits must have shape (5, 1, 7), got (5, 1, 6)", kind=ShapeError, code=1):
        run(fake_backbone(Cut), scorer)


def test_proposals_of_another_shape_are_refused(fake_backbone, fake_state, scorer, refused):
    class Cut(fake_state):
        def propose(self, tokens):
            maps = super().propose(tokens)
            return maps if tokens.shape[1] == 1 else maps[..., :-1]

    got = "fake proposals must have shape (5, 6, 2, 3, 3), got (5, 6, 2, 3, 2)"
    with refused(got, kind=ShapeError, code=1):
        run(fake_backbone(Cut), scorer)


def test_what_a_selector_receives(backbone):
    selector = FixedSelector(torch.tensor([0, 1, 2, 3, 4]))
    result = run(backbone, None, selector, candidates=(1, 1, 6))
    context = selector.context
    assert context.scale == 2
    assert torch.equal(context.labels, LABELS)
    assert context.scores.isnan().all()
    assert torch.equal(context.uniforms, selection_uniforms(SEEDS, Stream.SAMPLE, 2, 6))
    assert torch.equal(context.tokens()[torch.arange(5), selector.index], result.tokens[:, 5:])
    assert result.winner_index[:, 2].tolist() == [0, 1, 2, 3, 4]


def test_maps_for_a_selector_are_those_of_the_scorer(backbone, scorer):
    class TakesMaps(FixedSelector):
        needs_scores = True

        def select(self, context):
            self.maps = context.maps()
            return super().select(context)

    selector = TakesMaps(torch.zeros(5, dtype=torch.int64))
    run(backbone, scorer, selector, candidates=(1, 1, 6))
    assert torch.equal(selector.maps, scorer.calls[0].maps)


def test_observers_get_every_choice(backbone, scorer):
    first, second = [], []
    result = run(backbone, scorer, observers=[first.append, second.append])
    assert [event.scale for event in first] == [1, 2]
    assert [event.scale for event in second] == [1, 2]
    for event in first:
        assert torch.equal(event.labels, LABELS)
        assert torch.equal(event.seeds, SEEDS)
        assert torch.equal(event.scores, result.trace[event.scale])
        assert torch.equal(event.choice, result.winner_index[:, event.scale])
        chosen = event.tokens()[torch.arange(5), event.choice]
        assert torch.equal(chosen, result.tokens[:, STARTS[event.scale] : STARTS[event.scale + 1]])


def test_duplicates_are_counted(fake_backbone, fake_state, scorer):
    class Certain(fake_state):
        def logits(self):
            logits = super().logits()
            logits[1:, :, 3] = 100.0  # every image but the first has one possible map
            return logits

    seen = []
    run(fake_backbone(Certain), scorer, observers=[seen.append])
    for event in seen:
        distinct = {tuple(row.tolist()) for row in event.tokens()[0]}
        assert event.duplicates.tolist() == [6 - len(distinct), 5, 5, 5, 5]
        assert event.choice[1:].tolist() == [0, 0, 0, 0]


def test_scales_that_are_not_drawn_have_one_candidate(fake_backbone, scorer):
    backbone = fake_backbone(stochastic=(True, False, True))
    assert effective_candidates(backbone.info, SETTINGS) == (1, 1, 6)
    result = run(backbone, scorer)
    assert {call.scale for call in scorer.calls} == {2}
    assert result.trace.keys() == {2}


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 0.0), (3, 0.0), (0, 0.6)])
@pytest.mark.parametrize("greedy", [(0,), (1,), (0, 2), (0, 1, 2)], ids=str)
def test_greedy_scales_take_the_most_probable_token_whatever_the_filter(
    fake_backbone, scorer, greedy, top_k, top_p
):
    backbone = fake_backbone(stochastic=tuple(k not in greedy for k in range(3)))
    settings = replace(SETTINGS, top_k=top_k, top_p=top_p)
    counts = tuple(1 if k in greedy else m for k, m in enumerate(settings.candidates))
    assert effective_candidates(backbone.info, settings) == counts
    seen = []
    result = run(backbone, scorer, observers=[seen.append], top_k=top_k, top_p=top_p)
    chosen = [k for k, count in enumerate(counts) if count > 1]
    assert [call.scale for call in scorer.calls] == [event.scale for event in seen] == chosen
    assert list(result.trace) == chosen
    assert not result.winner_index[:, list(greedy)].any()
    assert result.winner_scores[:, list(greedy)].isnan().all()
    state = backbone.begin(LABELS, SETTINGS.cfg)
    for scale, tokens in enumerate(result.tokens.split(backbone.info.lengths, dim=1)):
        best = state.logits().argmax(-1)
        if scale in greedy or scale > 0:  # one token may be the best one by chance
            assert torch.equal(tokens, best) is (scale in greedy)
        state.commit(tokens)


def test_greedy_scales_ignore_the_seed(fake_backbone, scorer):
    backbone = fake_backbone(stochastic=(False,) * 3)
    assert_equal(run(backbone, scorer), run(backbone, scorer, seeds=SEEDS + 1))
    assert_equal(run(backbone, None, top_k=1), run(backbone, scorer))


def test_top_k_of_one_leaves_one_candidate(backbone, scorer):
    assert effective_candidates(backbone.info, replace(SETTINGS, top_k=1)) == (1, 1, 1)
    result = run(backbone, scorer, top_k=1)
    assert scorer.calls == []
    state = backbone.begin(LABELS, SETTINGS.cfg)
    for scale in range(3):
        best = state.logits().argmax(-1)
        assert torch.equal(result.tokens[:, STARTS[scale] : STARTS[scale + 1]], best)
        state.commit(best)


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_given_maps_are_kept_and_the_rest_follows_from_them(backbone, scorer, kept):
    given = torch.randint(7, (5, 14), generator=torch.Generator().manual_seed(0))
    maps = given.split(backbone.info.lengths, dim=1)[:kept]
    result = run(backbone, scorer, prefix=maps)
    assert torch.equal(result.tokens[:, : STARTS[kept]], given[:, : STARTS[kept]])
    assert result.winner_scores[:, :kept].isnan().all()
    assert all(call.scale >= kept for call in scorer.calls)
    again = run(backbone, scorer, prefix=result.tokens.split(backbone.info.lengths, dim=1)[:kept])
    assert_equal(again, result)


def test_own_maps_as_given_ones_change_nothing(backbone, scorer, digits_backbone):
    result = run(backbone, scorer)
    for kept in (1, 2, 3):
        maps = result.tokens.split(backbone.info.lengths, dim=1)[:kept]
        assert torch.equal(run(backbone, scorer, prefix=maps).tokens, result.tokens)
    options = {"candidates": (1, 4, 4, 4), "cfg": 1.5}
    digits = run(digits_backbone, LikelihoodScorer(), **options)
    maps = digits.tokens.split(digits_backbone.info.lengths, dim=1)[:2]
    assert torch.equal(run(digits_backbone, LikelihoodScorer(), prefix=maps, **options).tokens, digits.tokens)


def test_seeds_and_streams_differ(backbone, scorer):
    sample = run(backbone, scorer)
    other_seeds = run(backbone, scorer, seeds=SEEDS + 1)
    other_stream = run(backbone, scorer, stream=Stream.COLLECT)
    for other in (other_seeds, other_stream):
        assert (other.tokens != sample.tokens).any(dim=1).all()


def test_labels_and_guidance_matter(backbone, scorer):
    sample = run(backbone, scorer)
    assert not torch.equal(run(backbone, scorer, labels=(LABELS + 1) % 5).tokens, sample.tokens)
    assert not torch.equal(run(backbone, scorer, cfg=0.0).tokens, sample.tokens)


def test_no_images_without_decoding(backbone, scorer):
    result = run(backbone, scorer, decode=False)
    assert result.images is None
    assert torch.equal(result.tokens, run(backbone, scorer).tokens)


def test_no_trace_unless_asked(backbone, scorer):
    assert run(backbone, scorer, trace=False).trace == {}


def test_nothing_given_is_changed(backbone, scorer):
    labels, seeds = LABELS.clone(), SEEDS.clone()
    prefix = [torch.zeros(5, 1, dtype=torch.int64)]
    run(backbone, scorer, labels=labels, seeds=seeds, prefix=prefix)
    assert torch.equal(labels, LABELS)
    assert torch.equal(seeds, SEEDS)
    assert not prefix[0].any()
