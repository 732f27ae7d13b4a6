"""Options of a strategy in the text after its name: ``beam:4`` or ``particles:strength=2,final=best``."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar, get_type_hints

from tts.errors import UsageError

T = TypeVar("T")


def parse_options(kind: type[T], name: str, text: str | None) -> T:
    """A dataclass from ``key=value`` parts between commas; a first part without a key is the first field.

    Fields are ``int``, ``float`` or ``str``, and what ``kind`` raises as ``ValueError`` becomes the user's.
    """
    hints, known = get_type_hints(kind), [field.name for field in fields(kind)]  # type: ignore[arg-type]
    given: dict[str, Any] = {}
    for i, part in enumerate(text.split(",") if text else ()):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals and i == 0:
            key, value = known[0], key
        if key not in known or key in given or not value:
            raise UsageError(f"strategy {name!r} cannot read {part!r}; write {_form(kind, name)}")
        given[key] = _converted(hints[key], key, value, name)
    try:
        return kind(**given)
    except ValueError as error:
        raise UsageError(f"strategy {name!r}: {error}") from None


def _converted(kind: type, key: str, value: str, name: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise UsageError(f"{key} {value!r} of strategy {name!r} must be {wanted}") from None


def _form(kind: type, name: str) -> str:
    defaults = [f"{field.name}={field.default}" for field in fields(kind)]
    return f"--strategy {name}:{','.join(defaults)}, or some of it"
