"""The kinds of plugin that there is a template for. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from tts.errors import UsageError


@dataclass(frozen=True)
class Kind:
    """A kind: which hook it implements, what its template does, and how a user tries it.

    ``registry`` is the attribute of ``tts.manager.Plugins`` that holds such parts, ``prefix`` what the
    packages of the kind start with after ``tts-``. ``commands`` may hold ``$part`` for the part's name.
    """

    name: str
    hook: str
    registry: str
    prefix: str
    summary: str
    commands: tuple[str, ...]


KINDS = (
    Kind(
        "selector",
        "tts_register_selectors",
        "selectors",
        "select",
        "the candidate with the second-highest score",
        ("tts sample --selector $part --out samples/$part",),
    ),
    Kind(
        "scorer",
        "tts_register_scorers",
        "scorers",
        "score",
        "smooth maps first, by the mean difference between neighbours",
        ("tts sample --scorer $part --out samples/$part",),
    ),
    Kind(
        "image-scorer",
        "tts_register_image_scorers",
        "image_scorers",
        "judge",
        "images of high contrast first, by the deviation of their grey values",
        (
            "tts sample --strategy best-of-n --image-scorer $part --out samples/$part",
            "tts sample --scorer preview:$part --out samples/$part-preview",
        ),
    ),
    Kind(
        "strategy",
        "tts_register_strategies",
        "strategies",
        "strategy",
        "candidates at late scales only, from a scale that the user may choose",
        ("tts sample --strategy $part:first=3 --out samples/$part",),
    ),
    Kind(
        "loss",
        "tts_register_losses",
        "losses",
        "loss",
        "a real map above a generated one by a margin of 1, as a hinge",
        (
            "tts collect --per-class 20 --out data/generated",
            "tts collect --real digits --per-class 20 --out data/real",
            "tts train-scorer --real data/real --generated data/generated --loss $part --out scorers/$part",
        ),
    ),
    Kind(
        "features",
        "tts_register_features",
        "features",
        "features",
        "mean colours of a grid of 4x4 cells, for images of any size",
        ("tts sample --out samples/plain", "tts eval samples/plain --features $part"),
    ),
    Kind(
        "backbone",
        "tts_register_backbones",
        "backbones",
        "backbone",
        "mosaics in the colour of their class, without any weights",
        ("tts sample --backbone $part --labels 0-5 --out samples/$part",),
    ),
)
KIND_NAMES = tuple(kind.name for kind in KINDS)


def find_kind(name: str) -> Kind:
    """The kind of a name."""
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise UsageError(f"unknown kind of plugin {name!r}; use {', '.join(KIND_NAMES)}")
