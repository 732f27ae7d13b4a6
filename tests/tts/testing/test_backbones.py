"""Backbones that break their contract, each in one way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tts.testing import ToyBackbone, ToyState, check_backbone

Broken = Callable[..., AbstractContextManager[None]]


class ProposeAdvances(ToyState):
    def propose(self, tokens: Tensor) -> Tensor:
        maps = super().propose(tokens)
        self.latent = self.latent + 1
        return maps

    def commit(self, tokens: Tensor) -> None:
        self.latent = super().propose(tokens[:, None])[:, 0]
        self.scale += 1


class ProposeGoesOn(ProposeAdvances):
    def propose(self, tokens: Tensor) -> Tensor:
        maps = ToyState.propose(self, tokens)
        self.scale += 1
        return maps

    def commit(self, tokens: Tensor) -> None:
        self.latent = ToyState.propose(self, tokens[:, None])[:, 0]
        self.scale += 1


class ProposeMutates(ToyState):
    def propose(self, tokens: Tensor) -> Tensor:
        maps = super().propose(tokens)
        if tokens.shape[1] > 1:
            tokens += 1
        return maps


class ProposeMixes(ToyState):
    def propose(self, tokens: Tensor) -> Tensor:
        maps = super().propose(tokens)
        return maps - maps.mean(dim=1, keepdim=True) if tokens.shape[1] > 1 else maps


class RowsLeak(ToyState):
    def logits(self) -> Tensor:
        logits = super().logits()
        return logits - logits.mean(dim=0)


class WrongShape(ToyState):
    def logits(self) -> Tensor:
        return super().logits()[:, :, 1:]


class WrongType(ToyState):
    def logits(self) -> Tensor:
        return super().logits().double()


class NotANumber(ToyState):
    def logits(self) -> Tensor:
        logits = super().logits()
        logits[0, 0, 0] = torch.nan
        return logits


class Chance(ToyState):
    def logits(self) -> Tensor:
        return super().logits() + torch.rand(())


class Bright(ToyState):
    def decode(self) -> Tensor:
        return super().decode() * 2


class CommitMutates(ToyState):
    def commit(self, tokens: Tensor) -> None:
        super().commit(tokens)
        tokens.zero_()


class IncrementsAlone(ToyState):
    def increments(self, tokens: Tensor) -> Tensor:
        return super().increments(tokens) + 1

    def propose(self, tokens: Tensor) -> Tensor:
        return self.latent[:, None] + ToyState.increments(self, tokens)


class PreviewOfLatent(ToyState):
    def preview(self, tokens: Tensor) -> Tensor:
        return 1 - super().preview(tokens)


class PreviewCommits(ToyState):
    def preview(self, tokens: Tensor) -> Tensor:
        images = super().preview(tokens)
        self.latent = self.latent + 1
        return images


class ForgetsSecondHalf(ToyState):
    def reindex(self, rows: Tensor) -> None:
        labels, cache, count = self.labels, self.cache, len(rows)
        super().reindex(rows)
        kept = torch.arange(count) % labels.shape[1]  # the unconditional half stays in its old order
        self.labels = torch.stack((self.labels[0], labels[1, kept]))
        self.cache = torch.stack((self.cache[0], cache[1, kept]))


class ForgetsCache(ToyState):
    def reindex(self, rows: Tensor) -> None:
        cache = self.cache
        super().reindex(rows)
        self.cache = cache[:, torch.arange(len(rows)) % cache.shape[1]]


class ForgetsLatent(ToyState):
    def reindex(self, rows: Tensor) -> None:
        latent = self.latent
        super().reindex(rows)
        self.latent = latent[torch.arange(len(rows)) % len(latent)]


class NoRepetition(ToyState):
    def reindex(self, rows: Tensor) -> None:
        super().reindex(rows.unique())


STATES: dict[type[ToyState], tuple[str, ...]] = {
    ProposeAdvances: ("propose changes nothing", "as if it was not called"),
    ProposeGoesOn: ("propose changes nothing",),
    ProposeMutates: ("propose() at scale 1 must not change its arguments", "it changed tokens"),
    ProposeMixes: ("many candidates must be shown as each is alone", "propose() at scale 1"),
    RowsLeak: ("an image alone must come out as it does in a batch", "logits() of scale 1 differs"),
    WrongShape: ("logits() of scale 1 must be a float32 tensor of shape (3, 1, 16)", "shape (3, 1, 15)"),
    WrongType: ("must be a float32 tensor", "got float64"),
    NotANumber: ("logits() of scale 1 must be numbers", "1 of 48 are NaN"),
    Chance: ("generation must not use a global random generator", "the state of torch changed"),
    Bright: ("decode() must be from 0 to 1",),
    CommitMutates: ("commit must not change its arguments",),
    IncrementsAlone: ("latent and increments(tokens) must add up to propose(tokens)",),
    PreviewOfLatent: ("at the last scale a preview must be what decode() gives",),
    PreviewCommits: ("preview changes nothing",),
    ForgetsSecondHalf: ("after reindex(rows)", "both guidance halves"),
    ForgetsCache: ("after reindex(rows)", "keys and values", "logits()"),
    ForgetsLatent: ("after reindex(rows)", "latents"),
    NoRepetition: ("after reindex(rows)",),
}


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_a_broken_state_is_found(state: type[ToyState], broken: Broken) -> None:
    with broken("backbone toy", *STATES[state], "BackboneState in tts/interfaces.py"):
        check_backbone(ToyBackbone(state=state))


class HalfForgotten(ForgetsSecondHalf):
    """Right before ``logits``, wrong after it."""

    scored = -1

    def logits(self) -> Tensor:
        self.scored = self.scale
        return super().logits()

    def reindex(self, rows: Tensor) -> None:
        (super() if self.scored == self.scale else super(ForgetsSecondHalf, self)).reindex(rows)


def test_reindex_between_logits_and_commit_is_checked(broken: Broken) -> None:
    with broken("backbone toy", "after reindex(rows) between logits and commit"):
        check_backbone(ToyBackbone(state=HalfForgotten))


class Backbone(ToyBackbone):
    """A toy of which one method is replaced."""

    def __init__(self, **methods: Any) -> None:
        super().__init__()
        vars(self).update(methods)


class OffByOne(ToyState):
    """Guidance whose 'off' is another one than the information says."""

    def logits(self) -> Tensor:
        strength, self.cfg = self.cfg, self.cfg or 1.0
        logits = super().logits()
        self.cfg = strength
        return logits


def test_guidance_that_is_not_off_is_found(broken: Broken) -> None:
    with broken("backbone toy", "at cfg 0, info.guidance.off, logits must be those that guidance tends to"):
        check_backbone(ToyBackbone(state=OffByOne))


def hashes() -> Callable[[], str]:
    numbers = iter(range(10))
    return lambda: f"{next(numbers):064x}"


TOY = ToyBackbone()
METHODS: dict[str, tuple[dict[str, Any], str]] = {
    "views": (
        {"views": lambda tokens: TOY.views(tokens)[::-1]},
        "views(tokens) must give at each scale the map that propose() gave",
    ),
    "few views": ({"views": lambda tokens: TOY.views(tokens)[1:]}, "got 3 maps for 4 scales"),
    "decode": (
        {"decode": lambda tokens: 1 - TOY.decode(tokens)},
        "decode(tokens) must give the images of a state that committed these tokens",
    ),
    "encode type": (
        {"encode": lambda images: TOY.encode(images).int()},
        "encode(images) must be a int64 tensor of shape (3, 30)",
    ),
    "encode range": ({"encode": lambda images: TOY.encode(images) + 9}, "must be from 0 to 15"),
    "encode mutates": ({"encode": lambda images: TOY.encode(images.zero_())}, "it changed images"),
    "encode fails": ({"encode": lambda images: 1 / 0}, "raised ZeroDivisionError: division by zero"),
    "hash": ({"weights_hash": lambda: "1234"}, "64 lower-case hexadecimal digits"),
    "changing hash": ({"weights_hash": hashes()}, "and then '00000"),
    "fast": ({"fast": lambda compile_parts: ToyBackbone(state=RowsLeak)}, "fast() must give a backbone"),
    "fast signature": ({"fast": lambda: TOY}, "fast() must give a backbone"),
}


@pytest.mark.parametrize(("methods", "words"), METHODS.values(), ids=METHODS.keys())
def test_a_broken_method_is_found(methods: dict[str, Any], words: str, broken: Broken) -> None:
    with broken("backbone toy", words):
        check_backbone(Backbone(**methods))


FACTS: list[tuple[dict[str, Any], str]] = [
    ({"family": ""}, "info.family must be text"),
    ({"schedule": (2, 3, 4, 5)}, "info.schedule must increase from 1"),
    ({"schedule": (1, 2, 2, 4)}, "got (1, 2, 2, 4)"),
    ({"stochastic": (True,)}, "info.stochastic must say of each of the 4 scales"),
    ({"classes": 0}, "info.classes must be a whole number of at least 1; got 0"),
    ({"uint8": "floor"}, "info.uint8 must be 'truncate' or 'round'"),
    ({"grid": 5}, "propose() at scale 1 must be"),
    ({"channels": 4}, "propose() at scale 1 must be"),
    ({"image_size": 15}, "decode() must be a float32 tensor of shape (3, 3, 15, 15)"),
    ({"codebook_size": 17}, "logits() of scale 1 must be"),
]


@pytest.mark.parametrize(("facts", "words"), FACTS)
def test_wrong_facts_are_found(facts: dict[str, Any], words: str, broken: Broken) -> None:
    backbone = ToyBackbone()
    right, backbone.info = backbone.info, replace(backbone.info, **facts)
    backbone.begin = lambda labels, cfg: ToyState(right, labels, cfg)  # type: ignore[method-assign]
    with broken("backbone toy", words):
        check_backbone(backbone)


def test_a_check_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    check_backbone(ToyBackbone())
    assert torch.equal(torch.get_rng_state(), before)


def test_pictures_of_16_levels_survive_the_tokenizer() -> None:
    toy = ToyBackbone()
    red = torch.arange(32).view(2, 4, 4) * 7 % 16 / 15
    red = red.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
    images = red[:, None].repeat(1, 3, 1, 1)
    assert torch.equal(toy.decode(toy.encode(images))[:, 0], red)
