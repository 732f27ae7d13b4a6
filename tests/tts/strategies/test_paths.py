"""Strategies that keep several paths an image: invariants with exact fakes and with the embedded digits."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tts.config import SearchSettings
from tts.errors import UsageError
from tts.evaluation.cost import CostCounter
from tts.noise import token_uniforms
from tts.noise_streams import Stream
from tts.pipeline import Generator
from tts.resolve import build_backbone
from tts.sampling import TokenDistribution
from tts.scorers.preview import PreviewScorer
from tts.search import SearchResult, search
from tts.selectors import GreedySelector
from tts.strategies.beam import Beam, BeamOptions
from tts.strategies.best_of_n import best_of_n
from tts.strategies.choose import build_strategy
from tts.strategies.particles import (
    ParticleOptions,
    Particles,
    effective_sample_size,
    normalised,
    offspring,
)
from tts.strategies.strategy import Judges

Refused = Callable[..., AbstractContextManager[None]]

CPU = torch.device("cpu")
SETTINGS = SearchSettings(candidates=(1, 6, 6), cfg=0.5, top_k=0, top_p=0.0)
LABELS = torch.tensor([0, 4, 2, 2, 1])
SEEDS = torch.tensor([3, 3, 2**40, 8, 9])
STRATEGIES = ("beam:1", "beam:3", "beam:paths=4,prune=3-", "particles", "particles:final=best,ess=1")


class Judge:
    """A scorer that follows a rule on maps, exact, with ties."""

    name = "fake"

    def __init__(self, rule: Callable[[Tensor], Tensor] | None = None) -> None:
        self.rule = rule or (lambda maps: (maps.flatten(2).sum(2) * 29) % 101)
        self.candidates = 0

    def score(self, proposals: Any) -> Tensor:
        self.candidates += proposals.tokens.shape[:2].numel()
        return self.rule(proposals.maps)


def run(
    strategy: Any,
    backbone: Any,
    judge: Any = None,
    labels: Tensor = LABELS,
    seeds: Tensor = SEEDS,
    prefix: tuple[Tensor, ...] = (),
    observers: tuple[Any, ...] = (),
    **changes: Any,
) -> SearchResult:
    strategy = build_strategy(strategy) if isinstance(strategy, str) else strategy
    judges = Judges(judge or Judge(), GreedySelector(), None, observers)
    return strategy(backbone, judges, replace(SETTINGS, **changes), labels, seeds, prefix)


def assert_equal(a: SearchResult, b: SearchResult) -> None:
    assert torch.equal(a.tokens, b.tokens)
    assert a.images is not None
    assert b.images is not None
    torch.testing.assert_close(a.images, b.images)
    torch.testing.assert_close(a.winner_scores, b.winner_scores, equal_nan=True)
    assert torch.equal(a.winner_index, b.winner_index)
    assert a.trace.keys() == b.trace.keys()
    for scale, scores in a.trace.items():
        torch.testing.assert_close(scores, b.trace[scale])


@pytest.mark.parametrize("candidates", [(1, 6, 6), (5, 5, 5), (1, 1, 4), (1, 4, 1), (1, 1, 1)])
@pytest.mark.parametrize("prune", ["1-", "3-"])
def test_a_beam_of_one_path_is_lsrs(fake_backbone: Any, candidates: tuple[int, ...], prune: str) -> None:
    settings = replace(SETTINGS, candidates=candidates, trace=True)
    wanted = search(fake_backbone(), Judge(), GreedySelector(), settings, LABELS, SEEDS)
    found = run(Beam(BeamOptions(1, prune)), fake_backbone(), candidates=candidates, trace=True)
    assert_equal(found, wanted)


@pytest.mark.parametrize("name", ["var-digits", "flexvar-digits"])
@pytest.mark.parametrize("form", ["exact", "fast"])
def test_a_beam_of_one_path_is_lsrs_on_digits(name: str, form: str) -> None:
    backbone = build_backbone(name, (), CPU, torch.float32)[1]
    backbone = backbone.fast() if form == "fast" else backbone  # type: ignore[attr-defined]
    settings = SearchSettings(candidates=(1, 4, 4, 4), cfg=1.5, top_k=0, top_p=0.0, sampler=form)
    labels = torch.tensor([3, 7, 3])
    wanted = search(backbone, Judge(), GreedySelector(), settings, labels, labels)
    beam = Beam(BeamOptions(1))
    assert_equal(beam(backbone, Judges(Judge(), GreedySelector()), settings, labels, labels, ()), wanted)


def by_hand(
    backbone: Any, rule: Callable[[Tensor], Tensor], label: int, seed: int, width: int
) -> tuple[list[int], float]:
    """Beam search of one image, path by path, each computed from the start."""

    def walk(maps: list[Tensor]) -> Any:
        state = backbone.begin(torch.tensor([label]), SETTINGS.cfg)
        for part in maps:
            state.logits()
            state.commit(part)
        return state

    beam: list[tuple[list[Tensor], float]] = [([], 0.0)]
    for scale, count in enumerate(SETTINGS.candidates):
        seen: list[tuple[list[Tensor], float]] = []
        for number, (maps, _) in enumerate(beam):
            state = walk(maps)
            distribution = TokenDistribution.from_logits(state.logits(), 0, 0.0)
            numbers = range(number * count, (number + 1) * count)
            noise = token_uniforms(
                torch.tensor([seed]), Stream.SAMPLE, scale, numbers, backbone.info.lengths[scale]
            )
            drawn = distribution.draw(noise)  # 1 M L
            scores = rule(state.propose(drawn))[0]
            made = [([*maps, drawn[:, i]], float(scores[i])) for i in range(count)]
            seen += [
                (one, score if not any(torch.equal(one[-1], two[-1]) for two, _ in made[:i]) else -1e9)
                for i, (one, score) in enumerate(made)
            ]
        kept = min(width, len(seen))
        order = sorted(range(len(seen)), key=lambda i: -seen[i][1])[:kept]
        beam = [seen[i] for i in sorted(order)]
    best = max(beam, key=lambda path: path[1])
    return torch.cat(best[0], dim=1)[0].tolist(), best[1]


@pytest.mark.parametrize("width", [2, 3, 5])
def test_a_beam_keeps_the_best_paths(fake_backbone: Any, width: int) -> None:
    def rule(maps: Tensor) -> Tensor:  # without ties
        return (maps.flatten(2) * torch.arange(1, maps[0, 0].numel() + 1)).sum(2).sin()

    backbone = fake_backbone()
    found = run(Beam(BeamOptions(width)), backbone, Judge(rule))
    for row, (label, seed) in enumerate(zip(LABELS.tolist(), SEEDS.tolist(), strict=True)):
        tokens, score = by_hand(backbone, rule, label, seed, width)
        assert found.tokens[row].tolist() == tokens
        assert float(found.winner_scores[row, -1]) == pytest.approx(score, abs=1e-6)


def test_more_paths_do_not_lower_the_best_score_of_a_scale(fake_backbone: Any) -> None:
    """After the first pruned scale the best candidate is among the paths, however many there are."""
    results = [run(Beam(BeamOptions(width)), fake_backbone(), trace=True) for width in (1, 2, 4)]
    for result in results:
        assert torch.equal(result.trace[1], results[0].trace[1])
    assert results[2].trace[2].shape == (5, 24)


def test_repeated_candidates_are_one_path(fake_backbone: Any) -> None:
    """Of equal maps after the same past only the first can go on, if others are there."""
    constant = Judge(lambda maps: torch.zeros(maps.shape[:2]))
    backbone = fake_backbone()
    committed = []
    backbone.committed = committed
    run(Beam(BeamOptions(3)), backbone, constant, candidates=(12, 1, 1))
    first = committed[0].unflatten(0, (5, 3))[..., 0]  # the maps of one token
    assert all(len(set(row.tolist())) == 3 for row in first)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_image_does_not_depend_on_its_batch(fake_backbone: Any, strategy: str) -> None:
    whole = run(strategy, fake_backbone(), trace=True)
    for row in range(5):
        part = slice(row, row + 1)
        alone = run(strategy, fake_backbone(), labels=LABELS[part], seeds=SEEDS[part], trace=True)
        assert torch.equal(alone.tokens[0], whole.tokens[row])
        assert torch.equal(alone.winner_index[0], whole.winner_index[row])
        for scale, scores in alone.trace.items():
            assert torch.equal(scores[0], whole.trace[scale][row])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_chunks_change_nothing(fake_backbone: Any, strategy: str) -> None:
    whole = run(strategy, fake_backbone())
    assert_equal(run(strategy, fake_backbone(), chunk=1), whole)
    assert_equal(run(strategy, fake_backbone(), chunk_bytes=1), whole)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", ["var-digits", "flexvar-digits"])
@pytest.mark.parametrize("form", ["exact", "fast"])
@pytest.mark.parametrize("guided", [True, False])
def test_the_images_are_those_of_the_tokens(strategy: str, name: str, form: str, guided: bool) -> None:
    """Latents, caches and both guidance halves follow their paths: the same maps give the same again."""
    exact = build_backbone(name, (), CPU, torch.float32)[1]
    backbone = exact.fast() if form == "fast" else exact  # type: ignore[attr-defined]
    cfg = 2.0 if guided else exact.info.guidance.off
    settings = SearchSettings(candidates=(1, 5, 4, 3), cfg=cfg, top_k=0, top_p=0.0, sampler=form)
    labels = torch.tensor([3, 7, 1])
    made = build_strategy(strategy)(
        backbone, Judges(Judge(), GreedySelector()), settings, labels, labels + 50, ()
    )
    assert made.images is not None
    torch.testing.assert_close(exact.decode(made.tokens), made.images, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["var-digits", "flexvar-digits"])
@pytest.mark.parametrize("form", ["exact", "fast"])
@pytest.mark.parametrize("when", ["before", "after"])
@torch.inference_mode()
def test_a_reindexed_state_goes_on_as_its_rows_do(name: str, form: str, when: str) -> None:
    exact = build_backbone(name, (), CPU, torch.float32)[1]
    backbone = exact.fast() if form == "fast" else exact  # type: ignore[attr-defined]
    labels, rows = torch.tensor([3, 7, 1]), torch.tensor([2, 0, 0, 1, 2])
    state, other = (backbone.begin(given, 2.0) for given in (labels, labels[rows]))
    for scale in range(exact.info.scales):
        if scale == 2 and when == "before":
            state.reindex(rows)  # type: ignore[attr-defined]
        logits, wanted = state.logits(), other.logits()
        if scale == 2 and when == "after":
            state.reindex(rows)  # type: ignore[attr-defined]
            logits = logits[rows]
        now = logits if scale >= 2 else logits[rows]
        torch.testing.assert_close(now, wanted, atol=2e-4, rtol=1e-4)
        tokens = wanted.argmax(dim=-1)
        back = torch.tensor([1, 3, 0])  # where the three rows are among the five
        state.commit(tokens if scale >= 2 else tokens[back])
        other.commit(tokens)
    torch.testing.assert_close(state.decode(), other.decode(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_given_maps_stay(fake_backbone: Any, strategy: str) -> None:
    backbone = fake_backbone()
    lengths = backbone.info.lengths
    given = run("lsrs", backbone, seeds=SEEDS + 100).tokens.split(lengths, dim=1)[:2]
    result = run(strategy, fake_backbone(), prefix=given)
    assert torch.equal(result.tokens[:, : sum(lengths[:2])], torch.cat(given, dim=1))


@pytest.mark.parametrize("strategy", ["beam:3", "particles"])
def test_own_numbers_of_candidates_are_refused(fake_backbone: Any, refused: Refused, strategy: str) -> None:
    judges = Judges(Judge(), GreedySelector())
    with refused("has one number of candidates for all items"):
        build_strategy(strategy)(fake_backbone(), judges, SETTINGS, LABELS, SEEDS, (), [(1, 6, 6)] * 5)


@pytest.mark.parametrize("strategy", ["beam:3", "particles"])
def test_a_backbone_of_one_path_and_no_scorer_are_refused(
    fake_backbone: Any, fake_state: Any, refused: Refused, strategy: str
) -> None:
    class Single:
        def __init__(self, *given: Any) -> None:
            self.state = fake_state(*given)
            self.logits, self.propose, self.commit = (
                self.state.logits,
                self.state.propose,
                self.state.commit,
            )

    with refused("keeps several paths an image, and states of fake have no reindex(rows)"):
        run(strategy, fake_backbone(Single))
    with refused("needs a scorer; pass --scorer or --candidates 1"):
        judges = Judges(None, GreedySelector())
        build_strategy(strategy)(fake_backbone(), judges, SETTINGS, LABELS, SEEDS, ())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_candidate_is_the_plain_model(fake_backbone: Any, strategy: str) -> None:
    judge = Judge()
    plain = search(
        fake_backbone(), None, GreedySelector(), replace(SETTINGS, candidates=(1, 1, 1)), LABELS, SEEDS
    )
    assert_equal(run(strategy, fake_backbone(), judge, candidates=(1, 1, 1)), replace(plain))
    assert judge.candidates == 0


def cost(strategy: str, backbone: Any, **changes: Any) -> tuple[int, int, int]:
    """Passes, scored candidates and decodings an image."""
    counter = CostCounter()
    settings = replace(SETTINGS, **changes)
    made = Generator(backbone, Judge(), GreedySelector(), settings, CPU, strategy=build_strategy(strategy))
    watched = counter.watch(made)
    judges = Judges(watched.scorer, watched.selector)
    watched.strategy(watched.backbone, judges, settings, LABELS, SEEDS, ())
    total = counter.cost(0.0)
    assert total.images == 5
    return total.transformer_passes // 5, total.scorer_calls // 5, total.decoder_calls // 5


def test_costs_are_those_that_the_documents_state(fake_backbone: Any) -> None:
    assert cost("lsrs", fake_backbone()) == (3, 12, 1)
    assert cost("beam:1", fake_backbone()) == (3, 12, 1)
    assert cost("beam:4", fake_backbone()) == (1 + 1 + 4, 6 + 4 * 6, 1)
    assert cost("beam:4", fake_backbone(), candidates=(6, 6, 6)) == (1 + 4 + 4, 6 + 24 + 24, 1)
    assert cost("particles", fake_backbone()) == (1 + 1 + 6, 6 + 6, 1)
    assert cost("particles", fake_backbone(), candidates=(8, 4, 2)) == (1 + 4 + 2, 8 + 4 + 2, 1)


def test_weights_sum_to_one_and_count_paths() -> None:
    torch.manual_seed(0)
    weights = 30 * torch.randn(50, 7)
    torch.testing.assert_close(normalised(weights).sum(dim=1), torch.ones(50, dtype=torch.float64))
    sizes = effective_sample_size(weights)
    assert ((sizes >= 1 - 1e-9) & (sizes <= 7 + 1e-9)).all()
    even, single = torch.zeros(1, 7), torch.tensor([[0.0, *[-1e4] * 6]])
    assert float(effective_sample_size(even)) == pytest.approx(7)
    assert float(effective_sample_size(single)) == pytest.approx(1)


def test_resampling_is_systematic() -> None:
    """Path i has floor or ceil of n W_i descendants, and n W_i on average over the uniforms."""
    torch.manual_seed(0)
    weights, count = torch.randn(1, 5).repeat(4000, 1), 8
    uniforms = (torch.arange(4000) + 0.5) / 4000
    chosen = offspring(weights, uniforms, count)
    assert bool((chosen.diff(dim=1) >= 0).all())
    often = torch.nn.functional.one_hot(chosen, 5).sum(dim=1).double()  # of each path
    wanted = count * normalised(weights[:1])
    assert bool((often >= wanted.floor()).all())
    assert bool((often <= wanted.ceil()).all())
    torch.testing.assert_close(often.mean(dim=0, keepdim=True), wanted, atol=2e-3, rtol=0)


def test_equal_weights_keep_every_path() -> None:
    chosen = offspring(torch.zeros(3, 6), torch.tensor([1e-7, 0.5, 1 - 1e-7]), 6)
    assert torch.equal(chosen, torch.arange(6).expand(3, 6))


def test_with_equal_scores_an_image_is_one_of_the_plain_models(fake_backbone: Any) -> None:
    """No path is resampled, so path i is image i of best-of-N, and all are drawn equally often."""
    constant = Judge(lambda maps: torch.full(maps.shape[:2], 3.0))
    labels, seeds = torch.zeros(600, dtype=torch.int64), torch.arange(600)
    result = run("particles", fake_backbone(), constant, labels=labels, seeds=seeds, candidates=(4, 4, 4))
    plain = [
        search(
            fake_backbone(),
            None,
            GreedySelector(),
            replace(SETTINGS, candidates=(1, 1, 1)),
            labels,
            seeds,
            number=number,
        ).tokens
        for number in range(4)
    ]
    chosen = result.winner_index[:, -1]
    assert torch.equal(result.tokens, torch.stack(plain, dim=1)[torch.arange(600), chosen])
    often = torch.bincount(chosen, minlength=4)
    assert float(((often - 150) ** 2 / 150).sum()) < 16.3  # chi-square, 3 degrees, p = 0.001


def test_particles_follow_the_weighted_distribution(fake_backbone: Any) -> None:
    """At the last scale p(r) exp(g S(r)): the population's draw has it as it grows."""
    scores = torch.tensor([0.0, 1.0, 0.5, -1.0, 2.0, 0.0, 1.5, -0.5])
    backbone = fake_backbone()
    base = backbone.info

    def rule(maps: Tensor) -> Tensor:
        return scores[(maps[..., 0, 0, 0] / base.channels).long() % 8]

    labels, seeds = torch.zeros(1500, dtype=torch.int64), torch.arange(1500)
    made = run(
        Particles(ParticleOptions()),
        backbone,
        Judge(rule),
        labels=labels,
        seeds=seeds,
        candidates=(64, 1, 1),
    )
    first = made.tokens[:, 0]
    logits = fake_backbone().begin(labels[:1], SETTINGS.cfg).logits()[0, 0]
    vectors = torch.arange(base.codebook_size)
    wanted = (logits.log_softmax(0) + scores[vectors % 8]).softmax(0)
    found = torch.bincount(first, minlength=base.codebook_size) / 1500
    assert float((found - wanted).abs().sum()) / 2 < 0.06


def test_few_carriers_of_weight_are_resampled(fake_backbone: Any) -> None:
    """A score that is far above all others takes the whole population."""
    judge = Judge(lambda maps: 1e3 * (maps.flatten(2).sum(2) % 7 == 3).float())
    result = run("particles", fake_backbone(), judge, candidates=(16, 16, 16), trace=True)
    late = result.trace[2]
    assert late.shape == (5, 16)
    never = run("particles:ess=0", fake_backbone(), judge, candidates=(16, 16, 16), trace=True)
    assert torch.equal(never.trace[0], result.trace[0])
    assert not torch.equal(never.trace[2], late)


def test_the_best_path_has_the_highest_last_score(fake_backbone: Any) -> None:
    result = run("particles:final=best", fake_backbone(), trace=True)
    assert torch.equal(result.winner_scores[:, -1], result.trace[2].max(dim=1).values)


def test_a_population_may_shrink(fake_backbone: Any) -> None:
    result = run("particles", fake_backbone(), candidates=(9, 4, 2), trace=True)
    assert [scores.shape[1] for scores in result.trace.values()] == [9, 4, 2]


@pytest.mark.parametrize("strategy", ["beam:3", "particles"])
def test_observers_see_all_candidates(fake_backbone: Any, strategy: str) -> None:
    events: list[Any] = []
    run(strategy, fake_backbone(), observers=(events.append,))
    assert [event.scale for event in events] == [1, 2]
    for event in events:
        assert torch.equal(event.labels, LABELS)
        assert torch.equal(event.seeds, SEEDS)
        assert event.scores.shape == event.tokens().shape[:2]
        assert torch.equal(event.choice, event.scores.argmax(dim=1))


class Brightness:
    """An image scorer."""

    name = "brightness"

    def score(self, images: Tensor, labels: Tensor) -> Tensor:
        return images.flatten(1).mean(dim=1) + labels


@pytest.mark.parametrize("name", ["var-digits", "flexvar-digits"])
@torch.inference_mode()
def test_previews_are_images_and_at_the_last_scale_the_finished_ones(name: str) -> None:
    backbone = build_backbone(name, (), CPU, torch.float32)[1]
    state = backbone.begin(torch.tensor([3, 7]), 1.5)
    for scale, length in enumerate(backbone.info.lengths):
        logits = state.logits()
        tokens = logits.topk(2, dim=-1).indices.movedim(-1, 1)  # B 2 L
        images = state.preview(tokens)  # type: ignore[attr-defined]
        assert images.shape == (2, 2, 3, backbone.info.image_size, backbone.info.image_size)
        assert tokens.shape[2] == length
        if scale < backbone.info.scales - 1:
            assert not torch.equal(images[:, 0], images[:, 1])
        state.commit(tokens[:, 1])
    torch.testing.assert_close(images[:, 1], state.decode(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("chunk_bytes", [1, 2**20, 512 * 2**20])
def test_a_judge_of_images_judges_previews(fake_backbone: Any, chunk_bytes: int) -> None:
    """At the last scale the winner is the brightest of the finished images; decodings are counted."""
    counter = CostCounter()
    settings = replace(SETTINGS, candidates=(1, 1, 6), chunk_bytes=chunk_bytes)
    scorer = PreviewScorer(Brightness())
    watched = counter.watch(Generator(fake_backbone(), scorer, GreedySelector(), settings, CPU))
    found = search(watched.backbone, watched.scorer, watched.selector, settings, LABELS, SEEDS)
    bright = [
        search(
            fake_backbone(), None, GreedySelector(), replace(settings, candidates=(1, 1, 1)), LABELS, SEEDS
        ).images
    ]
    assert found.images is not None
    assert bright[0] is not None
    assert (found.images.flatten(1).mean(1) >= bright[0].flatten(1).mean(1) - 1e-6).all()
    torch.testing.assert_close(found.winner_scores[:, -1], Brightness().score(found.images, LABELS))
    assert counter.cost(0.0).decoder_calls == 5 * 6 + 5


def test_states_without_previews_say_so(fake_backbone: Any, fake_state: Any) -> None:
    class Blind:
        def __init__(self, *given: Any) -> None:
            state = fake_state(*given)
            self.logits, self.propose, self.commit = state.logits, state.propose, state.commit

    with pytest.raises(UsageError, match="shows no previews of candidates"):
        search(fake_backbone(Blind), PreviewScorer(Brightness()), GreedySelector(), SETTINGS, LABELS, SEEDS)


def test_best_of_n_and_particles_share_their_first_paths(fake_backbone: Any) -> None:
    judge = Judge(lambda maps: torch.zeros(maps.shape[:2]))

    class First:
        name = "first"

        def score(self, images: Tensor, labels: Tensor) -> Tensor:
            return torch.zeros(len(labels))

    whole = best_of_n(
        fake_backbone(),
        Judges(None, GreedySelector(), First()),
        replace(SETTINGS, candidates=(1, 1, 1), whole_images=3),
        LABELS,
        SEEDS,
        (),
    )
    paths = run("particles:final=best", fake_backbone(), judge, candidates=(3, 3, 3))
    assert torch.equal(paths.tokens, whole.tokens)
