"""Which plugin a built part comes from, so that an error can say whose it is. Built-ins are not listed."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Origin:
    """The ``plugin`` (distribution and version) and the ``hook`` that provided a part under ``name``."""

    plugin: str
    hook: str
    name: str

    def __str__(self) -> str:
        """As it stands in messages."""
        return f"{self.plugin}, {self.hook}"


_ORIGINS: dict[int, tuple[Callable[[], Any], Origin]] = {}
"""By identity, since parts need be neither hashable nor open to new attributes."""


def claim(part: T, origin: Origin | None) -> T:
    """Remember where a part comes from, as long as it lives; ``None`` remembers nothing."""
    if origin is not None and part is not None:
        key = id(part)
        try:
            held: Callable[[], Any] = weakref.ref(part, lambda _: _ORIGINS.pop(key, None))
        except TypeError:  # a part with slots stays: there is one a run
            held = _holding(part)
        _ORIGINS[key] = (held, origin)
    return part


def _holding(part: object) -> Callable[[], Any]:
    return lambda: part


def origin_of(part: object) -> Origin | None:
    """Where a part comes from, or ``None`` for a built-in."""
    held, origin = _ORIGINS.get(id(part), (None, None))
    return origin if held is not None and held() is part else None


def inherit(part: T, source: object) -> T:
    """Say that a part comes from where ``source`` does, as its fast form."""
    return claim(part, origin_of(source)) if part is not source else part


def titled(part: Any) -> str:
    """The name of a part in errors, as in ``sum (acme 1.2, tts_register_scorers)`` for a plugin's."""
    origin = origin_of(part)
    own = getattr(part, "name", None) or getattr(part, "__name__", None)
    if origin is None:
        return str(own or type(part).__name__)
    return f"{own or origin.name} ({origin})"
