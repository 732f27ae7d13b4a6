"""Selectors that break their contract, each in one way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from torch import Tensor

from tts.interfaces import SelectionContext
from tts.testing import check_selector

Broken = Callable[..., AbstractContextManager[None]]
Rule = Callable[[SelectionContext], Any]


class Chooses:
    """A selector that follows a rule."""

    name = "mine"

    def __init__(self, rule: Rule, needs_scores: Any = True) -> None:
        self.rule, self.needs_scores = rule, needs_scores

    def select(self, context: SelectionContext) -> Tensor:
        """Index (B,) by the rule."""
        return self.rule(context)


def best(context: SelectionContext) -> Tensor:
    return context.scores.argmax(dim=1)


def sorts_in_place(context: SelectionContext) -> Tensor:
    context.scores[:] = context.scores.sort(dim=1).values
    return best(context)


def third_best(context: SelectionContext) -> Tensor:
    return context.scores.topk(3, dim=1).indices[:, 2]


def best_of_the_batch(context: SelectionContext) -> Tensor:
    return best(context)[:1].expand(len(context.scores))


def remembers() -> Rule:
    calls: list[int] = []

    def rule(context: SelectionContext) -> Tensor:
        calls.append(0)
        return (best(context) + len(calls)) % context.scores.shape[1]

    return rule


def only_one_highest(context: SelectionContext) -> Tensor:
    top = context.scores == context.scores.amax(dim=1, keepdim=True)
    return top.nonzero()[:, 1]


RULES: dict[Rule, tuple[str, ...]] = {
    lambda c: torch.randint(c.scores.shape[1], (len(c.scores),)): ("global random generator", "torch"),
    lambda c: best(c) + 1: ("must be from 0 to", "candidates with different scores"),
    lambda c: best(c) - 1: ("must be from 0 to", "from -1 to"),
    lambda c: best(c).int(): ("must be a int64 tensor of shape (4,)", "got int32"),
    lambda c: best(c)[:, None]: ("int64 tensor of shape (4,)", "shape (4, 1)"),
    lambda c: None: ("int64 tensor", "got NoneType"),
    sorts_in_place: ("select must not change its arguments", "it changed scores"),
    third_best: ("must choose among 2 candidates", "raised RuntimeError"),
    best_of_the_batch: ("the choice of an image must not depend on the rest of the batch",),
    remembers(): ("the same context must give the same choice", "chance is context.uniforms"),
    only_one_highest: ("some equal scores", "int64 tensor of shape (4,)"),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_broken_selector_is_found(rule: Rule, broken: Broken) -> None:
    with broken("selector mine", *RULES[rule], "Selector and SelectionContext in tts/interfaces.py"):
        check_selector(Chooses(rule))


def test_needs_scores_is_true_or_false(broken: Broken) -> None:
    with broken("selector mine", "needs_scores must be True or False; got 1"):
        check_selector(Chooses(best, 1))


def test_a_selector_that_needs_no_scores_works_without(broken: Broken) -> None:
    def above(context: SelectionContext) -> Tensor:
        return torch.where(context.scores.isnan().any(dim=1), -1, best(context))

    with broken("selector mine", "without scores (needs_scores is False, so they are NaN)"):
        check_selector(Chooses(above, needs_scores=False))
    check_selector(Chooses(lambda context: context.uniforms.argmin(dim=1), needs_scores=False))


def test_one_candidate_is_no_choice() -> None:
    """The search asks no selector then, so the check does not either."""
    check_selector(Chooses(lambda context: context.scores.topk(2, dim=1).indices[:, 1]))


def test_tokens_and_maps_may_be_looked_at() -> None:
    def darkest(context: SelectionContext) -> Tensor:
        assert context.tokens().shape[:2] == context.scores.shape
        return context.maps().flatten(2).amax(dim=2).argmin(dim=1)

    check_selector(Chooses(darkest))
