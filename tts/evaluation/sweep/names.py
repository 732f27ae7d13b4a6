"""Names of points: an id for files that is unique and readable, and a label for people."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tts.evaluation.sweep.point import BEST_OF_N, LSRS, Setting
from tts.interfaces import BackboneInfo
from tts.scorers.automatic import FALLBACK_SCORER
from tts.specs import BackboneSpec

KNOWN = (
    "greedy",
    "topk",
    "softmax",
    "random",
    "learned",
    "likelihood",
    "digits",
    "llamagen",
    "flexvar",
    "var",
)
"""Names of the toolkit that stand in an id as they are; with any other text a hash makes the id unique."""

CHECKPOINTS = (".safetensors", ".pth", ".pt")
GENERIC = ("scorer", "last", "best", "model")
"""Names of checkpoints that say less than their folder's."""

LONGEST = 40
HASH_DIGITS = 8


@dataclass(frozen=True)
class Defaults:
    """What a backbone uses where nothing is said, so that a name need not say it."""

    scorer: str
    cfg: float
    top_k: int
    top_p: float
    schedule: str
    guidance: str
    scales: int

    @staticmethod
    def of(spec: BackboneSpec, info: BackboneInfo) -> Defaults:
        """The defaults of a backbone that was built."""
        return Defaults(
            scorer=spec.default_scorer or FALLBACK_SCORER,
            cfg=float(info.sampling.cfg),
            top_k=info.sampling.top_k,
            top_p=float(info.sampling.top_p),
            schedule=",".join(map(str, spec.schedule)),
            guidance=spec.guidance[0].name,
            scales=info.scales,
        )


@dataclass(frozen=True)
class Name:
    """How a point is called in files and in tables."""

    id: str
    label: str


@dataclass(frozen=True)
class _Part:
    """A piece of a name; it is not ``sure`` where other settings could have the same piece of an id."""

    id: str
    label: str
    sure: bool = True


def name_of(setting: Setting, defaults: Defaults) -> Name:
    """The name of a setting; it depends on nothing else, so that a sweep can grow."""
    parts = [*_rule(setting), *_span(setting, defaults), *_model(setting, defaults)]
    text = "-".join(part.id for part in parts)
    label = " ".join(part.label for part in parts)
    return Name(text if all(part.sure for part in parts) else f"{text}-{_hash(setting)}", label)


def _rule(setting: Setting) -> Iterator[_Part]:
    """What chooses."""
    if setting.plain:
        yield _Part("plain", "plain")
        return
    if setting.strategy == BEST_OF_N:
        judge = _text(setting.image_scorer or "none")
        yield _Part(f"best-of-{setting.candidates}", f"best of {setting.candidates}")
        yield _Part(judge.id, f"by {judge.label}", judge.sure)
        return
    if setting.strategy != LSRS:
        yield _text(setting.strategy)
        if setting.image_scorer is not None:
            judge = _text(setting.image_scorer)
            yield _Part(judge.id, f"by {judge.label}", judge.sure)
        if setting.selector is None:
            return
    yield _text(setting.selector or "")
    if setting.top_k_select is not None:
        yield _Part(f"k{setting.top_k_select}", f"k {setting.top_k_select}")
    if setting.temperature not in (None, 1.0):
        yield _Part(f"t{_number(setting.temperature)}", f"T {_number(setting.temperature)}")


def _span(setting: Setting, defaults: Defaults) -> Iterator[_Part]:
    """How many candidates there are at which scales, and what judges them."""
    if setting.plain or setting.strategy == BEST_OF_N:
        return
    yield _Part(f"m{setting.candidates.replace(',', '.')}", f"M {setting.candidates}")
    if setting.start_scale is not None:
        yield _Part(f"st{setting.start_scale}", f"ST {setting.start_scale}")
    if setting.end_scale not in (None, defaults.scales):
        yield _Part(f"end{setting.end_scale}", f"to {setting.end_scale}")
    if setting.scorer not in (None, defaults.scorer):
        scorer = _text(setting.scorer or "")
        yield _Part(scorer.id, f"scorer {scorer.label}", scorer.sure)


def _model(setting: Setting, defaults: Defaults) -> Iterator[_Part]:
    """What of the model and its sampling is not as usual."""
    if setting.cfg != defaults.cfg:
        yield _Part(f"cfg{_number(setting.cfg)}", f"cfg {_number(setting.cfg)}")
    if setting.top_k != defaults.top_k:
        yield _Part(f"topk{setting.top_k}", f"top-k {setting.top_k}")
    if setting.top_p != defaults.top_p:
        yield _Part(f"topp{_number(setting.top_p)}", f"top-p {_number(setting.top_p)}")
    if setting.schedule != defaults.schedule:
        yield _Part(f"s{setting.schedule.replace(',', '.')}", f"schedule {setting.schedule}")
    if setting.guidance != defaults.guidance:
        guidance = _text(setting.guidance)
        yield _Part(guidance.id, f"guidance {guidance.label}", guidance.sure)


def _text(text: str) -> _Part:
    """A name of a part, or a file: then its name without its ending, or that of a folder if it says more."""
    if text in KNOWN:
        return _Part(text, text)
    path = Path(text)
    file = path.suffix in CHECKPOINTS
    names = (path.stem, *(parent.name for parent in path.parents)) if file else (text,)
    short = next((name for name in names if name not in (*GENERIC, "", "..")), path.stem)
    slug = re.sub(r"[^a-z0-9]+", "-", short.lower()).strip("-")[:LONGEST].strip("-") or "other"
    return _Part(slug, short, sure=False)


def _number(value: float | None) -> str:
    """The shortest text of a number that reads back as the same."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _hash(setting: Setting) -> str:
    text = json.dumps(asdict(setting), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]
