"""Whole-image rejection: invariants with exact fakes, and with the embedded digits and their judge."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tts.backbones.var_adapter import VarBackbone
from tts.config import SearchSettings
from tts.errors import ScoreError, ShapeError
from tts.evaluation.cost import CostCounter
from tts.evaluation.digits import build_image_scorer
from tts.noise import token_uniforms
from tts.noise_streams import Stream
from tts.pipeline import Generator, Item, Prefix, cross_items
from tts.sampling import TokenDistribution
from tts.search import SearchResult, search
from tts.selectors import GreedySelector
from tts.specs import ImageScorerRequest
from tts.strategies.best_of_n import best_of_n, effective_images
from tts.strategies.strategy import Judges

Refused = Callable[..., AbstractContextManager[None]]

CPU = torch.device("cpu")
SETTINGS = SearchSettings(candidates=(1, 1, 1), cfg=0.5, top_k=0, top_p=0.0, whole_images=6)
LABELS = torch.tensor([0, 4, 2, 2, 1])
SEEDS = torch.tensor([3, 3, 2**40, 8, 9])


class Judge:
    """An image scorer that follows a rule and remembers what it saw."""

    name = "fake-judge"

    def __init__(self, rule: Callable[[Tensor, Tensor], Tensor] | None = None) -> None:
        self.rule = rule or mixed
        self.seen: list[Tensor] = []

    def score(self, images: Tensor, labels: Tensor) -> Tensor:
        """Apply the rule."""
        self.seen.append(images)
        return self.rule(images, labels)


def mixed(images: Tensor, labels: Tensor) -> Tensor:
    """Scores (B,) that depend on every pixel and on the label; exact, with ties."""
    levels = (images * 15).round().flatten(1)  # B P
    weights = torch.arange(levels.shape[1]) * 7 % 13 + 1
    return ((levels * weights).sum(1) * 29 + labels * 5) % 101


def run(
    backbone: Any,
    judge: Any,
    labels: Tensor = LABELS,
    seeds: Tensor = SEEDS,
    prefix: tuple[Tensor, ...] = (),
    **changes: Any,
) -> SearchResult:
    settings = replace(SETTINGS, **changes)
    return best_of_n(backbone, Judges(None, GreedySelector(), judge), settings, labels, seeds, prefix)


def images_by_hand(backbone: Any, count: int, top_k: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Tokens and images of numbers 0 to count - 1, each with its candidate's noise at every scale."""
    made = []
    for number in range(count):
        state = backbone.begin(LABELS, 0.5)
        maps = []
        for scale, length in enumerate(backbone.info.lengths):
            distribution = TokenDistribution.from_logits(state.logits(), top_k, 0.0)
            noise = token_uniforms(SEEDS, Stream.SAMPLE, scale, range(number, number + 1), length)
            maps.append(distribution.draw(noise)[:, 0])
            state.commit(maps[-1])
        made.append((torch.cat(maps, dim=1), state.decode()))
    return made


def assert_equal(a: SearchResult, b: SearchResult) -> None:
    assert torch.equal(a.tokens, b.tokens)
    assert a.images is not None
    assert b.images is not None
    assert torch.equal(a.images, b.images)
    assert torch.equal(a.winner_index, b.winner_index)
    torch.testing.assert_close(a.winner_scores, b.winner_scores, rtol=0, atol=0, equal_nan=True)


def test_the_best_of_all_images_wins(fake_backbone: Any) -> None:
    backbone, judge = fake_backbone(), Judge()
    result = run(backbone, judge)
    made = images_by_hand(backbone, 6)
    scores = torch.stack([mixed(images, LABELS) for _, images in made], dim=1)  # B N
    best = scores.argmax(dim=1)  # the first of equal ones
    assert len(set(best.tolist())) > 1
    assert torch.equal(result.winner_index[:, -1], best)
    assert torch.equal(result.winner_scores[:, -1], scores.max(dim=1).values)
    tokens = torch.stack([tokens for tokens, _ in made], dim=1)
    assert torch.equal(result.tokens, tokens[torch.arange(5), best])
    images = torch.stack([images for _, images in made], dim=1)
    assert result.images is not None
    assert torch.equal(result.images, images[torch.arange(5), best])
    assert result.winner_scores[:, :-1].isnan().all()
    assert not result.winner_index[:, :-1].any()
    assert result.trace == {}


@pytest.mark.parametrize("number", [0, 3, 5])
def test_a_judge_that_knows_an_image_gets_it(fake_backbone: Any, number: int) -> None:
    backbone = fake_backbone()
    tokens, wanted = images_by_hand(backbone, 6)[number]
    judge = Judge(lambda images, labels: -(images - wanted).abs().flatten(1).sum(1))
    result = run(backbone, judge)
    assert result.images is not None
    assert torch.equal(result.images, wanted)
    if number == 0:
        assert torch.equal(result.tokens, tokens)


def test_image_zero_is_that_of_the_plain_model(fake_backbone: Any) -> None:
    judge = Judge(lambda images, labels: torch.zeros(len(labels)))  # of equal scores the first wins
    result = run(fake_backbone(), judge)
    plain = search(fake_backbone(), None, GreedySelector(), SETTINGS, LABELS, SEEDS)
    assert torch.equal(result.tokens, plain.tokens)
    assert torch.equal(judge.seen[0], plain.images)
    assert not result.winner_index.any()


def test_one_image_is_the_plain_model_without_a_judge(fake_backbone: Any) -> None:
    judge = Judge()
    plain = search(fake_backbone(), None, GreedySelector(), SETTINGS, LABELS, SEEDS)
    for given in (judge, None):
        assert_equal(run(fake_backbone(), given, whole_images=1), plain)
    assert judge.seen == []


def test_more_images_add_to_the_same_ones_and_never_lower_the_winner(fake_backbone: Any) -> None:
    previous: tuple[SearchResult, list[Tensor]] | None = None
    gained = 0
    for count in (2, 4, 8, 16):
        judge = Judge()
        result = run(fake_backbone(), judge, whole_images=count)
        assert len(judge.seen) == count
        if previous is not None:
            before, seen = previous
            assert all(torch.equal(a, b) for a, b in zip(judge.seen, seen, strict=False))
            now, then = result.winner_scores[:, -1], before.winner_scores[:, -1]
            assert (now >= then).all()
            gained += int((now > then).sum())
            kept = result.winner_index[:, -1] < len(seen)
            assert torch.equal(result.tokens[kept], before.tokens[kept])
        previous = result, judge.seen
    assert gained > 0


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_batch_does_not_matter(fake_backbone: Any, size: int) -> None:
    whole = run(fake_backbone(), Judge())
    for i in range(0, 5, size):
        rows = slice(i, i + size)
        part = run(fake_backbone(), Judge(), LABELS[rows], SEEDS[rows])
        assert whole.images is not None
        of_whole = (whole.tokens[rows], whole.images[rows], whole.winner_scores[rows])
        assert_equal(part, SearchResult(*of_whole, whole.winner_index[rows], {}))


@pytest.mark.parametrize("size", [1, 4])
def test_the_batch_does_not_matter_for_the_digits(digits_backbone: VarBackbone, size: int) -> None:
    generator = digits_generator(digits_backbone, 4)
    items = cross_items((0, 3, 8), (0, 1, 2))
    whole, parts = (list(generator.batches(items, n)) for n in (9, size))
    for field in ("tokens", "winner_index"):
        joined = torch.cat([getattr(batch.result, field) for batch in parts])
        assert torch.equal(joined, getattr(whole[0].result, field))


def digits_generator(backbone: VarBackbone, count: int) -> Generator:
    settings = replace(SETTINGS, candidates=(1,) * 4, cfg=1.5, whole_images=count)
    judge = build_image_scorer(ImageScorerRequest(10, 16, CPU))
    selector = GreedySelector()
    return Generator(backbone, None, selector, settings, CPU, image_scorer=judge, strategy=best_of_n)


def test_the_judge_of_digits_gets_digits_that_it_recognises(digits_backbone: VarBackbone) -> None:
    items = cross_items(range(10), range(4))
    (best,) = digits_generator(digits_backbone, 8).batches(items, 40)
    (plain,) = digits_generator(digits_backbone, 1).batches(items, 40)
    judge = build_image_scorer(ImageScorerRequest(10, 16, CPU))
    labels = torch.tensor([item.label for item in items])
    assert best.result.images is not None
    assert plain.result.images is not None
    scores = judge.score(best.result.images, labels)
    torch.testing.assert_close(best.result.winner_scores[:, -1], scores, rtol=1e-4, atol=1e-4)
    before = judge.score(plain.result.images, labels)
    assert (scores >= before - 1e-4).all()
    assert scores.mean() > before.mean() + 0.1
    decoded = digits_backbone.decode(best.result.tokens)
    torch.testing.assert_close(best.result.images, decoded, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 16])
def test_costs_are_those_of_n_images(fake_backbone: Any, count: int) -> None:
    settings = replace(SETTINGS, whole_images=count)
    plain = Generator(
        fake_backbone(), None, GreedySelector(), settings, CPU, image_scorer=Judge(), strategy=best_of_n
    )
    counter = CostCounter()
    watched = counter.watch(plain)
    items = [Item(int(label), int(seed)) for label, seed in zip(LABELS, SEEDS, strict=True)]
    (batch,), (expected,) = watched.batches(items, 5), plain.batches(items, 5)
    assert_equal(batch.result, expected.result)
    cost = counter.cost(1.0)
    assert (cost.images, cost.transformer_passes, cost.scorer_calls) == (5, 15 * count, 0)
    judged = 5 * count if count > 1 else 0
    assert (cost.decoder_calls, cost.image_scorer_calls) == (5 * count, judged)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(fake_backbone: Any) -> None:
    """Of all states and images no more than two passes live at once."""
    states: list[weakref.ref[Any]] = []
    images: list[weakref.ref[Tensor]] = []
    most = [0, 0]

    class Watched(fake_backbone):  # type: ignore[misc]
        def begin(self, labels: Tensor, cfg: float) -> Any:
            gc.collect()
            most[0] = max(most[0], sum(ref() is not None for ref in states))
            most[1] = max(most[1], sum(ref() is not None for ref in images))
            state = super().begin(labels, cfg)
            states.append(weakref.ref(state))
            return state

    def rule(made: Tensor, labels: Tensor) -> Tensor:
        images.append(weakref.ref(made))
        return mixed(made, labels)

    class Forgetful(Judge):
        def score(self, images: Tensor, labels: Tensor) -> Tensor:
            return self.rule(images, labels)

    run(Watched(), Forgetful(rule), whole_images=12)
    assert len(states) == len(images) == 12
    assert most[0] == 0
    assert most[1] <= 2


def test_given_maps_stay(fake_backbone: Any) -> None:
    given = torch.randint(7, (5, 14), generator=torch.Generator().manual_seed(0))
    maps = given.split((1, 4, 9), dim=1)[:2]
    result = run(fake_backbone(), Judge(), prefix=tuple(maps))
    assert torch.equal(result.tokens[:, :5], given[:, :5])
    assert result.winner_index[:, -1].any()
    items = [Item(int(label), int(seed)) for label, seed in zip(LABELS, SEEDS, strict=True)]
    generator = Generator(
        fake_backbone(), None, GreedySelector(), SETTINGS, CPU, image_scorer=Judge(), strategy=best_of_n
    )
    (batch,) = generator.batches(items, 5, Prefix(given, 2))
    assert_equal(batch.result, result)


def test_top_k_one_makes_one_image(fake_backbone: Any) -> None:
    judge = Judge()
    result = run(fake_backbone(), judge, top_k=1)
    assert judge.seen == []
    assert torch.equal(result.tokens, images_by_hand(fake_backbone(), 1, top_k=1)[0][0])


@pytest.mark.parametrize(
    ("stochastic", "given", "count"),
    [
        ((True, True, True), 0, 6),
        ((False, False, True), 2, 6),
        ((True, True, False), 2, 1),
        ((False,) * 3, 0, 1),
    ],
)
def test_images_that_would_be_equal_are_made_once(
    fake_backbone: Any, stochastic: tuple[bool, ...], given: int, count: int
) -> None:
    assert effective_images(fake_backbone(stochastic=stochastic).info, SETTINGS, given) == count


def test_images_can_be_left_out_of_the_result(fake_backbone: Any) -> None:
    with_images = run(fake_backbone(), Judge())
    for count in (1, 6):
        assert run(fake_backbone(), Judge(), decode=False, whole_images=count).images is None
    assert torch.equal(run(fake_backbone(), Judge(), decode=False).tokens, with_images.tokens)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("number", [0, 4])
def test_a_score_that_is_not_finite_is_an_error(
    fake_backbone: Any, refused: Refused, bad: float, number: int
) -> None:
    calls = []

    def rule(images: Tensor, labels: Tensor) -> Tensor:
        calls.append(1)
        scores = torch.zeros(len(labels))
        scores[3] = bad if len(calls) == number + 1 else 0.0
        return scores

    with refused("image scorer fake-judge", f"for image {number + 1} of an item;", kind=ScoreError, code=1):
        run(fake_backbone(), Judge(rule))


@pytest.mark.parametrize("shape", [(), (4,), (5, 1)])
def test_scores_of_another_shape_are_refused(
    fake_backbone: Any, refused: Refused, shape: tuple[int, ...]
) -> None:
    judge = Judge(lambda images, labels: torch.zeros(shape))
    with refused(f"scores of fake-judge must have shape (5,), got {shape}", kind=ShapeError, code=1):
        run(fake_backbone(), judge)


def test_scores_of_another_type_are_taken(fake_backbone: Any) -> None:
    halves = run(fake_backbone(), Judge(lambda images, labels: mixed(images, labels).half()))
    assert_equal(halves, run(fake_backbone(), Judge()))
    assert halves.winner_scores.dtype == torch.float32


def test_without_a_judge_there_is_no_choice(fake_backbone: Any, refused: Refused) -> None:
    with refused("best-of-n needs an image scorer", "--image-scorer"):
        run(fake_backbone(), None)
