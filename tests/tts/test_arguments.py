"""Public functions refuse what the command line would, with got and expected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tts.config import SearchSettings
from tts.data.pairs import PairSampler, split
from tts.errors import ShapeError, TtsError, UsageError
from tts.evaluation.checks import check_comparable
from tts.evaluation.classes import accuracy, within_class_variance
from tts.evaluation.features import Features
from tts.evaluation.figures import MetricOptions, Reference
from tts.evaluation.frechet import FrechetStatistics
from tts.evaluation.inception_score import inception_score
from tts.evaluation.manifold import coverage
from tts.io import to_uint8
from tts.noise import resampling_uniforms, selection_uniforms, token_uniforms
from tts.noise_streams import Stream
from tts.scorers.losses import pairwise, pointwise
from tts.search import search
from tts.selectors import GreedySelector, SoftmaxSelector, TopKSelector

ONES, HALVES = torch.ones(4, dtype=torch.int64), torch.full((4, 3), 0.5)
NAN = torch.full((4, 3), torch.nan)
INFINITE = HALVES.clone().index_fill_(0, torch.tensor([1]), torch.inf)
OPTIONS = MetricOptions(manifold=False)
SAMPLER = PairSampler(ONES, ONES, 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"candidates": 32}, "got 32"),
        ({"candidates": "8"}, "got '8'"),
        ({"candidates": (1, 0)}, "from 1 to 4096, got 0"),
        ({"candidates": (1, 2.5)}, "got 2.5"),
        ({"candidates": (1, True)}, "got True"),
        ({"candidates": (1, 10**21)}, "got 1000000000000000000000"),
        ({"cfg": float("nan")}, "cfg nan"),
        ({"cfg": float("inf")}, "cfg inf"),
        ({"top_k": -1}, "top-k -1 must be at least 0"),
        ({"top_p": 1.5}, "top-p 1.5 must be at most 1"),
        ({"top_p": float("nan")}, "top-p nan"),
        ({"chunk": 0}, "chunk 0 must be at least 1"),
        ({"chunk_bytes": 0}, "chunk_bytes 0"),
        ({"whole_images": 0}, "whole_images 0"),
        ({"sampler": "quick"}, "unknown sampler"),
        ({"stream": 5}, "stream 5 must be Stream.SAMPLE or Stream.COLLECT"),
        ({"cfg": "1.5"}, "cfg 1.5 must be a number from 0 to 10000"),
        ({"top_k": 2.5}, "top-k 2.5 must be a whole number"),
        ({"top_k": True}, "top-k True must be a whole number"),
        ({"top_p": [0.5]}, "top-p [0.5] must be a number"),
        ({"chunk": "1"}, "chunk 1 must be a whole number"),
        ({"chunk_bytes": 1.5}, "chunk_bytes 1.5 must be a whole number"),
        ({"whole_images": "3"}, "whole_images 3 must be a whole number"),
    ],
)
def test_settings_of_a_search_are_checked(changes: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"candidates": (1, 2), "cfg": 1.5, "top_k": 0, "top_p": 0.0}
    with pytest.raises(UsageError) as error:
        SearchSettings(**{**given, **changes})
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": [0, 1]}, "labels must be a tensor of whole numbers (N,), got list"),
        ({"labels": np.zeros(2, np.int64)}, "labels must be a tensor of whole numbers (N,), got ndarray"),
        (
            {"labels": torch.tensor([0.0, 1.0])},
            "labels must be whole numbers of shape (N,), got float32 (2,)",
        ),
        ({"labels": torch.tensor([[0, 1]])}, "got int64 (1, 2)"),
        ({"labels": torch.tensor([0, 11])}, "labels must be from 0 to 9, got 11"),
        ({"labels": torch.tensor([0, -1])}, "got -1"),
        ({"seeds": [0, 1]}, "seeds must be a tensor"),
        ({"seeds": torch.tensor([0, -1])}, "seeds must be at least 0, got -1"),
        ({"seeds": torch.tensor([0])}, "seeds must have shape (2,) as the labels, got (1,)"),
        ({"prefix": (torch.zeros(2, 4, dtype=torch.int64),)}, "prefix of scale 1 must have shape (2, 1)"),
        ({"prefix": (torch.zeros(2, 1),)}, "prefix of scale 1 must be whole numbers"),
        ({"prefix": (torch.full((2, 1), 10**6),)}, "prefix of scale 1 must be from 0 to"),
        ({"prefix": 3}, "prefix must be a sequence"),
        ({"counts": 4}, "numbers of candidates must be sequences"),
        ({"counts": [[1, 2, 2, 0]] * 2}, "from 1 to 4096, got 0"),
        ({"settings": SearchSettings((1, 2), 1.5, 0, 0.0)}, "a number for each of the 4 scales, got (1, 2)"),
        ({"scorer": None}, "needs a scorer"),
        ({"scorer": "learned"}, "scorer must be an object with score, got learned; tts.resolve.build_scorer"),
        ({"selector": "greedy"}, "selector must be an object with needs_scores and select, got greedy"),
        ({"selector": GreedySelector}, "selector must be an object"),
        ({"settings": {}}, "settings must be SearchSettings, got {}"),
        ({"labels": ONES[:0], "seeds": ONES[:0]}, "labels must be of one image or more"),
        ({"labels": torch.arange(2, dtype=torch.uint8)}, "got uint8 (2,); give a dense int64 tensor"),
        ({"seeds": torch.arange(2).to(torch.uint64)}, "got uint64 (2,)"),
        ({"labels": torch.arange(2).to_sparse()}, "give a dense int64 tensor"),
        ({"prefix": (torch.zeros(2, 1, dtype=torch.int16),)}, "got int16 (2,)"),
        ({"number": -1}, "number -1 must be that of a candidate, from 0 to 4095"),
        ({"number": 2**40}, "number 1099511627776 must"),
        ({"number": 0.5}, "number 0.5 must"),
        ({"counts": np.ones((2, 4), int)}, "must be sequences of shape (2, 4), got [[1 1 1 1] [1"),
    ],
)
def test_arguments_of_a_search_are_checked(
    digits_backbone: Any, fake_scorer: Any, changes: dict[str, Any], words: str
) -> None:
    two = torch.arange(2)
    settings = SearchSettings((1, 2, 2, 2), 1.5, 0, 0.0)
    given: dict[str, Any] = {"scorer": fake_scorer(), "settings": settings, "labels": two, "seeds": two}
    with pytest.raises(TtsError) as error:
        search(digits_backbone, **{"selector": GreedySelector(), **given, **changes})
    assert words in str(error.value)
    assert "\n" not in str(error.value)


CALLS: dict[str, tuple[Any, str]] = {
    "uniforms, list": (lambda: token_uniforms([1], Stream.SAMPLE, 0, range(2), 4), "seeds must be a tensor"),
    "uniforms, floats": (lambda: selection_uniforms(HALVES[0], Stream.SAMPLE, 0, 2), "seeds must be"),
    "uniforms, matrix": (lambda: resampling_uniforms(ONES[None], Stream.SAMPLE, 0), "seeds must be"),
    "uniforms, number": (lambda: token_uniforms(ONES, Stream.SAMPLE, 0, 32, 4), "candidates must be a range"),
    "pairs, list": (lambda: PairSampler([1], ONES, 0), "labels of real items must be a tensor"),
    "pairs, floats": (lambda: PairSampler(ONES, HALVES[:, 0], 0), "labels of generated items must be whole"),
    "pairs, negative": (lambda: PairSampler(-ONES, ONES, 0), "from 0 to 99999, got -1"),
    "pairs, none": (lambda: next(SAMPLER.epoch(0, 0, 4)), "pairs 0 and batch 4 must be at least 1"),
    "pairs, no batch": (lambda: next(SAMPLER.epoch(0, 4, 0)), "batch 0 must be at least 1"),
    "split, list": (lambda: split([1, 2]), "labels must be a tensor"),
    "split, NaN": (lambda: split(ONES, float("nan")), "fraction is nan"),
    "loss, lists": (lambda: pairwise([1.0], [2.0]), "scores of real maps must be a tensor"),
    "loss, shapes": (lambda: pairwise(HALVES[:, 0], HALVES[:, :1]), "scores of generated maps"),
    "loss, lengths": (lambda: pairwise(HALVES[:, 0], HALVES[:2, 0]), "scores of real maps"),
    "loss, integers": (lambda: pointwise(ONES, HALVES[:, 0]), "must be floating-point numbers, got int64"),
    "Frechet, list": (lambda: FrechetStatistics.of([[1.0]]), "features must be a tensor (N, D), got list"),
    "Frechet, integers": (lambda: FrechetStatistics.of(ONES[:, None]), "got int64 (4, 1)"),
    "Frechet, NaN": (lambda: FrechetStatistics.of(NAN), "NaN"),
    "Inception Score, list": (lambda: inception_score([[1.0]]), "logits must be a tensor (N, D), got list"),
    "Inception Score, NaN": (lambda: inception_score(NAN), "logits hold NaN"),
    "Inception Score, infinity": (lambda: inception_score(INFINITE), "logits hold NaN or infinity"),
    "Inception Score, no classes": (lambda: inception_score(HALVES[:, :0]), "got float32 (4, 0)"),
    "manifold, infinity": (
        lambda: coverage(INFINITE, HALVES, 1),
        "features of the reference hold NaN or inf",
    ),
    "manifold, large": (lambda: coverage(HALVES, HALVES.double() * 1e300, 1), "hold NaN or infinity"),
    "manifold, none": (lambda: coverage(HALVES, HALVES[:0], 1), "of one image or more, got (0, 3)"),
    "variance, infinity": (lambda: within_class_variance(INFINITE, ONES), "features hold NaN or infinity"),
    "Frechet, sparse": (lambda: FrechetStatistics.of(HALVES.to_sparse()), "give a dense float32 tensor"),
    "Frechet, meta": (lambda: FrechetStatistics.of(HALVES.to("meta")), "give a dense float32 tensor"),
    "Frechet, float8": (lambda: FrechetStatistics.of(HALVES.to(torch.float8_e5m2)), "got float8_e5m2 (4, 3)"),
    "Frechet, lists": (lambda: FrechetStatistics.over([[1.0]]), "features must be a tensor (N, D), got list"),
    "split, large": (lambda: split(ONES * 2**60), "labels must be from 0 to 99999"),
    "topk, half": (lambda: TopKSelector(2.5, 1.0), "top-k-select 2.5 must be a whole number"),
    "topk, none": (lambda: TopKSelector(0, 1.0), "top-k-select 0 must be at least 1; 1 is greedy"),
    "softmax, NaN": (lambda: SoftmaxSelector(float("nan")), "temperature nan"),
    "softmax, zero": (lambda: SoftmaxSelector(0.0), "temperature 0 must be at least 1e-06"),
    "softmax, text": (lambda: SoftmaxSelector("1"), "temperature 1 must be a number"),
    "manifold, list": (lambda: coverage([[1.0]], HALVES), "features of the reference must be a tensor"),
    "manifold, NaN": (lambda: coverage(HALVES, NAN, 1), "features of the samples hold NaN"),
    "accuracy, list": (lambda: accuracy(HALVES, [1, 1, 1, 1]), "labels must be a tensor"),
    "accuracy, lengths": (lambda: accuracy(HALVES, ONES[:2]), "labels must have shape (4,), got (2,)"),
    "accuracy, column": (
        lambda: accuracy(HALVES, ONES[:, None]),
        "labels must be whole numbers of shape (N,)",
    ),
    "variance, floats": (lambda: within_class_variance(HALVES, HALVES[:, 0]), "labels must be whole numbers"),
    "figures, list": (
        lambda: check_comparable([1], REFERENCE, OPTIONS),
        "samples must be Features, got list",
    ),
    "figures, no reference": (
        lambda: check_comparable(Features(HALVES), HALVES, OPTIONS),
        "must be Reference",
    ),
    "figures, logits": (
        lambda: check_comparable(Features(HALVES, logits=[[1.0]]), REFERENCE, OPTIONS),
        "logits of the samples must be a tensor (N, D), got list",
    ),
    "figures, large": (
        lambda: check_comparable(Features(HALVES, HALVES.double() * 1e300), REFERENCE, OPTIONS),
        "spatial features of the samples hold NaN or infinity",
    ),
    "figures, few labels": (
        lambda: check_comparable(Features(HALVES, labels=ONES[:2]), REFERENCE, OPTIONS),
        "labels must have shape (4,), got (2,)",
    ),
    "figures, lists": (lambda: check_comparable(Features([[1.0]]), REFERENCE, OPTIONS), "got list"),
    "figures, labels": (
        lambda: check_comparable(Features(HALVES, labels=HALVES[:, 0]), REFERENCE, OPTIONS),
        "labels must be whole numbers",
    ),
    "pixels, list": (lambda: to_uint8([[0.5]], "round"), "images must be a tensor (N, 3, H, W), got list"),
    "pixels, bytes": (lambda: to_uint8(torch.ones(1, 3, 2, 2).byte(), "round"), "expected floating-point"),
}
REFERENCE = Reference.of(Features(HALVES))


@pytest.mark.parametrize("name", CALLS)
def test_other_public_functions_check_their_arguments(name: str) -> None:
    call, words = CALLS[name]
    with pytest.raises((UsageError, ShapeError)) as error:
        call()
    assert words in str(error.value)
    assert "\n" not in str(error.value)
