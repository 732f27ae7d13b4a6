"""What the shell offers for the values of options: names of the registries, and files that begin so."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator

from tts.manager import get_plugins

Complete = Callable[[str], list[tuple[str, str]]]


def words(*values: str) -> Complete:
    """Offer fixed words."""
    return lambda incomplete: [(value, "") for value in values if value.startswith(incomplete)]


def names(registry: str, *others: str, files: bool = False) -> Complete:
    """Offer a registry's names and aliases, if one of ``Plugins`` is named, ``others``, and perhaps files."""

    def complete(incomplete: str) -> list[tuple[str, str]]:
        known = getattr(get_plugins(), registry) if registry else ()
        offered = [*_named(known), *((other, "") for other in others)]
        found = [pair for pair in offered if pair[0].startswith(incomplete)]
        return [*found, *((path, "") for path in _paths(incomplete))] if files else found

    return complete


def guidance(incomplete: str) -> list[tuple[str, str]]:
    """Offer the guidance forms of all backbones."""
    forms = {form.name: form.formula for spec, _ in get_plugins().backbones for form in spec.guidance}
    return [pair for pair in forms.items() if pair[0].startswith(incomplete)]


def _named(registry: Iterable[tuple[object, str]]) -> Iterator[tuple[str, str]]:
    for spec, _ in registry:
        for name in (getattr(spec, "name", ""), *getattr(spec, "aliases", ())):
            yield name, getattr(spec, "summary", "")


def _paths(incomplete: str) -> list[str]:
    """Files and folders that begin so; a folder ends in a slash, to go on below it."""
    found = sorted(glob.glob(f"{glob.escape(incomplete)}*")) if incomplete else []
    return [f"{path}{os.sep}" if os.path.isdir(path) else path for path in found]


REFERENCES = names("", "heldout", "train", "all", files=True)
"""What figures compare with."""
