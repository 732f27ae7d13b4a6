"""Named specs and the plugins that own them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Generic, Protocol, TypeVar

from tts.errors import PluginError

BUILTIN_OWNER = "scalewise-tts:builtins"
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Named(Protocol):
    """A spec: anything with a name, and perhaps ``aliases``."""

    @property
    def name(self) -> str:
        """What the user types."""
        ...


Spec = TypeVar("Spec", bound=Named)


class Registry(Generic[Spec]):
    """The specs of one kind, by name and alias, in the order of registration.

    ``conflicts`` holds the names that several third-party plugins claim; such a name is an error at use.
    ``broken`` names the plugins that failed to load, for the answer to an unknown name.
    """

    def __init__(self, kind: str, spec_type: type[Spec], broken: Sequence[str] = ()) -> None:
        self.kind = kind
        self.spec_type = spec_type
        self.conflicts: dict[str, tuple[str, ...]] = {}
        self._broken = broken
        self._specs: dict[str, tuple[Spec, str]] = {}

    def add(self, spec: Spec, owner: str) -> None:
        """Take a spec under its name and aliases, or under none of them if one is invalid or taken."""
        names = _names(spec)
        for name in names:
            if not NAME.fullmatch(name):
                rule = "must be lower-case letters, digits and single dashes"
                raise PluginError(f"{self.kind} name {name!r} {rule}, such as var-d30; rename it")
            if names.count(name) > 1:
                raise PluginError(f"{self.kind} {spec.name!r} repeats the name {name!r}; drop the alias")
            if name in self._specs:
                raise PluginError(self._taken(name, owner))
        for name in names:
            self._specs[name] = (spec, owner)

    def _taken(self, name: str, owner: str) -> str:
        holder = self._specs[name][1]
        if BUILTIN_OWNER not in (holder, owner) and holder != owner:
            self.conflicts[name] = (*self.conflicts.get(name, (holder,)), owner)
        return f"{self.kind} {name!r} of {owner} is already taken by {holder}; rename one of them"

    def discard(self, owner: str) -> None:
        """Forget everything that ``owner`` provides."""
        self._specs = {name: held for name, held in self._specs.items() if held[1] != owner}

    def get(self, name: str) -> Spec:
        """Give the spec of a name or alias."""
        return self._find(name)[0]

    def owner(self, name: str) -> str:
        """Give the plugin (``distribution:entry``) that provides a name or alias."""
        return self._find(name)[1]

    def _find(self, name: str) -> tuple[Spec, str]:
        if name in self.conflicts:
            owners = " and ".join(self.conflicts[name])
            mend = "uninstall all but one, or choose with TTS_PLUGINS"
            raise PluginError(f"{self.kind} {name!r} is claimed by {owners}; {mend}")
        if name not in self._specs:
            raise PluginError(self._unknown(name))
        return self._specs[name]

    def _unknown(self, name: str) -> str:
        close = " or ".join(repr(match) for match in get_close_matches(name.lower(), self._specs))
        hint = f"did you mean {close}? " if close else ""
        message = f"unknown {self.kind} {name!r}; {hint}known: {', '.join(self.names()) or 'none'}"
        failed = ", ".join(self._broken)
        return f"{message}; failed to load: {failed} (see tts plugins)" if failed else message

    def names(self) -> list[str]:
        """Give the usable names, sorted, without aliases."""
        return sorted(spec.name for spec, _ in self)

    def __iter__(self) -> Iterator[tuple[Spec, str]]:
        """Go through the usable specs and their owners in the order of registration."""
        for name, (spec, owner) in self._specs.items():
            if name == spec.name and name not in self.conflicts:
                yield spec, owner


def _names(spec: Named) -> tuple[str, ...]:
    aliases = getattr(spec, "aliases", ())
    if isinstance(aliases, str):
        raise PluginError(f"aliases of {spec.name!r} must be a tuple of names, got {aliases!r}")
    return (spec.name, *aliases)
