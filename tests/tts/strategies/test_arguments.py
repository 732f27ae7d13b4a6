"""Options of strategies as text."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tts.strategies.arguments import parse_options
from tts.strategies.beam import BeamOptions
from tts.strategies.particles import ParticleOptions

Refused = Callable[..., AbstractContextManager[None]]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, BeamOptions()),
        ("", BeamOptions()),
        ("8", BeamOptions(8)),
        ("paths=8", BeamOptions(8)),
        ("8, prune=3-", BeamOptions(8, "3-")),
        ("prune=2+4", BeamOptions(4, "2+4")),
    ],
)
def test_text_becomes_options(text: str | None, wanted: BeamOptions) -> None:
    assert parse_options(BeamOptions, "beam", text) == wanted


def test_numbers_and_words_have_their_kinds() -> None:
    wanted = ParticleOptions(2.5, 1.0, "value", "best")
    text = "strength=2.5,ess=1,potential=value,final=best"
    assert parse_options(ParticleOptions, "particles", text) == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wide=3", "strategy 'beam' cannot read 'wide=3'; write --strategy beam:paths=4,prune=1-"),
        ("4,3-", "cannot read '3-'"),
        ("paths=", "cannot read 'paths='"),
        ("4,paths=3", "cannot read 'paths=3'"),
        ("many", "paths 'many' of strategy 'beam' must be a whole number"),
        ("0", "strategy 'beam': paths 0 must be at least 1"),
    ],
)
def test_what_cannot_be_read_is_one_line(refused: Refused, text: str, words: str) -> None:
    with refused(words):
        parse_options(BeamOptions, "beam", text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("strength=-1", "strength -1.0 must be a number of at least 0"),
        ("strength=nan", "strength nan must be"),
        ("ess=2", "ess 2.0 must be from 0"),
        ("potential=sum", "unknown potential 'sum'; use increment or value"),
        ("final=first", "unknown final 'first'; use draw or best"),
        ("strength=x", "strength 'x' of strategy 'particles' must be a number"),
    ],
)
def test_values_out_of_range_are_one_line(refused: Refused, text: str, words: str) -> None:
    with refused(words):
        parse_options(ParticleOptions, "particles", text)


@pytest.mark.parametrize("prune", ["x", "0", "2+9", "3-2"])
def test_scales_out_of_range_are_refused(refused: Refused, prune: str) -> None:
    with refused("scale"):
        BeamOptions(4, prune).prunes(4)
