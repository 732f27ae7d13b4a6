"""The text after ``clip:``, and the prompts that it asks for. No torch here."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path

from tts.errors import UsageError, reason

SIMILARITY, PROBABILITY = MODES = ("similarity", "probability")
DTYPES = ("float32", "bfloat16", "float16")

DIGITS = "digits"
DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

FORM = "write clip:MODEL,classes=FILE, for example clip:openai/clip-vit-base-patch32,classes=names.txt"

OPTION = re.compile(r",\s*(?=[A-Za-z_]+\s*=)")
"""A comma that begins an option; others belong to a path or a prompt."""

HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)


@dataclass(frozen=True)
class Options:
    """What the text after the colon says.

    ``classes`` is a file of one name a line or ``digits``; ``prompt`` holds templates between bars, each with
    one ``{}``; ``mode`` says whether the score is the similarity to the class's prompt or the log-probability
    of that prompt among those of all classes.
    """

    model: str
    classes: str | None = None
    prompt: str = "a photo of a {}"
    mode: str = SIMILARITY
    dtype: str = "float32"

    @property
    def local(self) -> bool:
        """Whether the model is a folder; then nothing asks the network."""
        return Path(self.model).is_dir()

    @property
    def templates(self) -> tuple[str, ...]:
        """The templates, each with one ``{}``."""
        return tuple(part.strip() for part in self.prompt.split("|"))


def parse(text: str | None) -> Options:
    """Options from ``MODEL,key=value,...``; every value is checked, and a folder must be there."""
    model, *parts = OPTION.split(text or "")
    model = model.strip()
    known = [field.name for field in fields(Options)][1:]
    if not model or model.partition("=")[0] in known:
        raise UsageError(f"scorer clip got {text!r}, which names no model; {FORM}")
    given: dict[str, str] = {}
    for part in parts:
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key not in known or not value:
            raise UsageError(f"scorer clip cannot read {part!r} (options: {', '.join(known)}); {FORM}")
        if key in given:
            raise UsageError(f"scorer clip has {key} twice; leave one out")
        given[key] = value
    options = Options(model, **given)
    _check(options)
    return options


def _check(options: Options) -> None:
    if not options.local and not HUB_NAME.fullmatch(options.model):
        raise UsageError(
            f"scorer clip found no folder {options.model!r}; give one that save_pretrained made, or a name of"
            " the Hugging Face hub"
        )
    for key, value, choices in (("mode", options.mode, MODES), ("dtype", options.dtype, DTYPES)):
        if value not in choices:
            raise UsageError(
                f"{key} {value!r} of scorer clip is unknown; write {key}={f' or {key}='.join(choices)}"
            )
    for template in options.templates:
        if template.count("{}") != 1:
            raise UsageError(
                f"prompt {template!r} of scorer clip must hold {{}} once, where the class's name goes;"
                " write prompt=a photo of a {}"
            )


def class_names(options: Options, classes: int) -> tuple[str, ...]:
    """Names of the backbone's classes in their order, as many as it has."""
    if options.classes is None:
        raise UsageError(
            f"scorer clip needs the names of the {classes} classes; add classes=FILE with one name a line, or"
            " classes=digits for zero to nine"
        )
    names = DIGIT_NAMES if options.classes == DIGITS else _read_names(Path(options.classes))
    if len(names) != classes:
        raise UsageError(
            f"classes={options.classes} names {len(names)} classes, the backbone draws {classes}; give one"
            " name a line in the order of its labels"
        )
    return names


def _read_names(file: Path) -> tuple[str, ...]:
    try:
        lines = file.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read the class names in {str(file)!r} ({reason(error)}); give a text file in UTF-8 with"
            " one name a line"
        ) from None
    names = tuple(line.strip() for line in lines)
    if "" in names:
        raise UsageError(f"line {names.index('') + 1} of {str(file)!r} is empty; give each class a name")
    return names
