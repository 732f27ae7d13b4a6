"""Which plugin a built part comes from, so that an error can say whose it is. Built-ins are not listed."""

from __future__ import annotations

import traceback
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tts.errors import RunError, TtsError, described

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


@contextmanager
def naming(
    plugins: Callable[[], Mapping[str, str]], but: tuple[type[BaseException], ...] = ()
) -> Iterator[None]:
    """Make an error that comes out of a plugin's code one line that names the plugin, where and what it was.

    ``plugins`` gives the plugins' names by the package or module that holds their code. Errors for the user
    keep their class and their words, after the plugin's name; others, except ``but`` and Ctrl-C, are the
    cause of a ``RunError``: also ``SystemExit``, which would end the command as if all went well.
    """
    try:
        yield
    except BaseException as error:
        aside = isinstance(error, but) or type(error) is KeyboardInterrupt
        found = None if aside else _raised_in(error, plugins())
        if found is None or (isinstance(error, TtsError) and found[0] in str(error)):
            raise
        owner, where = found
        if isinstance(error, TtsError):
            if str(error):
                error.args = (f"{owner}: {error}",)
            raise
        raise RunError(
            f"{owner} failed in {where}: {described(error)}; ask its author, or leave it out"
        ) from error


def _raised_in(error: BaseException, plugins: Mapping[str, str]) -> tuple[str, str] | None:
    """The plugin whose code ran last when an error was raised, with the function and the line there.

    An error for the user is the plugin's only where the plugin itself raised it: the toolkit's own checks say
    whom they concern.
    """
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = str(frame.f_globals.get("__name__", ""))
        parts = module.split(".")
        names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
        owner = next((plugins[name] for name in names if name in plugins), None)
        if owner is not None:
            code = frame.f_code
            function = getattr(code, "co_qualname", code.co_name)
            return owner, f"{function} ({Path(code.co_filename).name}, line {line})"
        if isinstance(error, TtsError):
            return None
    cause = error.__cause__  # of an error that Python makes of another, as of StopIteration in a generator
    return None if cause is None or isinstance(error, TtsError) else _raised_in(cause, plugins)
