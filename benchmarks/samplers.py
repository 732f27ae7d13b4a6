"""The fast sampler beside the exact one: ``python benchmarks/samplers.py``.

Two kinds of cases, with random weights:

- ``draw``: filter and draw of M candidates of one scale of 256 tokens, 4 096 codes (top-k 900, top-p 0.96);
  the arm ``published`` makes the calls of the published sampler: a sort of all codes, a multinomial draw.
- ``score``: the published scorer's 4.0 M parameters on M candidates of one image at 16x16.

A correctness gate comes first: the same winners of the same candidates. Then every arm runs in rounds of
random order, the exact one twice, which shows the noise; ratios are those of a round. Figures go to
``benchmarks/results/samplers.json``.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from tts.building import build_generator
from tts.io import write_json
from tts.noise import token_uniforms
from tts.noise_streams import Stream
from tts.pipeline import Item
from tts.ranked import RankedDistribution
from tts.runinfo import environment
from tts.sample_config import SampleConfig
from tts.sampling import TokenDistribution, filter_logits
from tts.scorers.fused import FusedNetwork
from tts.scorers.learned import FusedScorer, LearnedScorer
from tts.scorers.network import ScorerConfig, ScorerNetwork

RESULTS = Path(__file__).parent / "results" / "samplers.json"
TOKENS, CODES, TOP_K, TOP_P = 256, 4096, 900, 0.96
PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)
EXACT, AGAIN, FAST, PUBLISHED = "exact", "exact again", "fast", "published"
Arms = dict[str, Callable[[], object]]


def drawing(count: int) -> Arms:
    """Filter and draw once; the spread of the logits leaves a few hundred codes, as in trained models."""
    logits = 2.5 * torch.randn(1, TOKENS, CODES, generator=torch.Generator().manual_seed(0))
    seeds = torch.tensor([0])

    def ours(kind: type[TokenDistribution] | type[RankedDistribution]) -> Tensor:
        uniforms = token_uniforms(seeds, Stream.SAMPLE, 9, range(count), TOKENS)
        return kind.from_logits(logits, TOP_K, TOP_P).draw(uniforms)

    def published() -> Tensor:
        probabilities = filter_logits(logits, TOP_K, TOP_P).softmax(dim=-1)
        return torch.multinomial(probabilities[0], count, replacement=True)

    kept = (filter_logits(logits, TOP_K, TOP_P) > -torch.inf).float().sum(-1).mean()
    print(f"draw: {kept:.0f} codes are kept on average")
    exact, fast = lambda: ours(TokenDistribution), lambda: ours(RankedDistribution)
    return {EXACT: exact, AGAIN: exact, FAST: fast, PUBLISHED: published}


def scoring(count: int) -> Arms:
    """Scores of candidates of one image; refuses other winners."""
    torch.manual_seed(0)
    network = ScorerNetwork(ScorerConfig()).eval()
    fused = FusedNetwork(network)
    latent, increments = torch.randn(1, 32, 16, 16), torch.randn(1, count, 32, 16, 16)
    labels = torch.tensor([7])

    def exact() -> Tensor:
        rows = labels.expand(count)
        return network((latent[:, None] + increments)[0], rows, torch.full_like(rows, 5))

    def fast() -> Tensor:
        return fused(latent, increments, labels, 5)[0]

    if exact().argmax() != fast().argmax():
        raise SystemExit("the fused scorer chose another candidate: the measurement is void")
    return {EXACT: exact, AGAIN: exact, FAST: fast}


def changed_winners(count: int, images: int, dtype: torch.dtype) -> dict[str, float]:
    """How often the fused scorer chooses another candidate of the same draws, scale by scale of an image.

    ``loss`` is by how much the exact score of its choice is lower on average, where it chooses another one;
    ``gap`` is the average distance between the two highest exact scores.
    """
    generator = build_generator(SampleConfig(candidates=str(count), device="cpu"))
    scorer = generator.scorer
    seen: list[tuple[Tensor, Tensor]] = []
    assert isinstance(scorer, LearnedScorer)
    fast = FusedScorer(scorer, dtype)

    class Both:
        name = scorer.name

        def score(self, proposals):  # type: ignore[no-untyped-def]
            exact = scorer.score(proposals)
            seen.append((exact, fast.score(proposals)))
            return exact

    items = [Item(i % 10, i) for i in range(images)]
    list(replace(generator, scorer=Both()).batches(items, images))
    exact_scores, fast_scores = (torch.cat(column) for column in zip(*seen, strict=True))
    best, chosen = exact_scores.topk(2, dim=1).values, fast_scores.argmax(dim=1, keepdim=True)
    loss = best[:, 0] - exact_scores.gather(1, chosen)[:, 0]
    other = loss > 0
    return {
        "choices": len(loss),
        "other_winner": int(other.sum()),
        "loss": float(loss[other].mean()) if bool(other.any()) else 0.0,
        "gap": float((best[:, 0] - best[:, 1]).mean()),
        "largest_difference_of_scores": float((exact_scores - fast_scores).abs().max()),
    }


def cases() -> Iterator[tuple[str, Callable[[], Arms]]]:
    """All of them by name."""
    for count in (1, 32, 128):
        yield f"draw, M = {count}", lambda count=count: drawing(count)  # type: ignore[misc]
    for count in (4, 32, 128):
        yield f"score, M = {count}", lambda count=count: scoring(count)  # type: ignore[misc]


@torch.inference_mode()
def measure(arms: Arms, rounds: int) -> dict[str, object]:
    """Milliseconds of each arm, and its ratios to the exact one, over rounds of random order."""
    for run in arms.values():
        run()
    order, taken = random.Random(0), {name: [] for name in arms}  # type: ignore[var-annotated]
    for _ in range(rounds):
        for name in order.sample(list(arms), len(arms)):
            started = time.perf_counter()
            arms[name]()
            taken[name].append(1000 * (time.perf_counter() - started))
    found: dict[str, object] = {}
    for name, values in taken.items():
        ratios = sorted(exact / value for exact, value in zip(taken[EXACT], values, strict=True))
        low, high = ratios[len(ratios) // 4], ratios[(3 * len(ratios)) // 4]
        found[name] = {
            "median_ms": statistics.median(values),
            "times_as_fast_as_exact": statistics.median(ratios),
            "middle_half": [low, high],
        }
    return found


def main() -> None:
    """Measure, and write the figures beside those of other numbers of threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    before, found = os.getloadavg()[0], {}
    for name, make in cases():
        with torch.inference_mode():
            arms = make()
        found[name] = measure(arms, options.rounds)
        for arm, numbers in found[name].items():
            print(f"{name:18s} {arm:12s} {numbers}", flush=True)
    write_json(
        options.out,
        {
            "rounds": options.rounds,
            "threads": options.threads,
            "load_average": {"before": before, "after": os.getloadavg()[0]},
            "winners": {
                str(dtype).removeprefix("torch."): changed_winners(32, 500, dtype) for dtype in PRECISIONS
            },
            "cases": found,
            "environment": environment(torch.device("cpu")),
        },
    )


if __name__ == "__main__":
    main()
