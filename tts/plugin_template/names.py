"""The names of a new plugin: distribution, module and part; what is taken is refused. Imports no torch."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec

from tts.errors import PluginError, UsageError
from tts.manager import Plugins
from tts.plugin_template.kinds import Kind

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 40


@dataclass(frozen=True)
class Names:
    """``distribution`` is what pip installs, ``module`` what Python imports, ``part`` what the user types."""

    distribution: str
    module: str
    part: str


def choose_names(name: str, kind: Kind, plugins: Plugins) -> Names:
    """The names that follow from the distribution's.

    The part is called like the distribution without ``tts-`` and the kind's prefix: ``tts-score-smooth``
    provides the scorer ``smooth``.
    """
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        raise UsageError(
            f"plugin name {name!r} must start with a letter and have lower-case letters, digits and single"
            f" dashes, at most {LONGEST}; write it like tts-{kind.prefix}-{kind.name}"
        )
    names = Names(name, name.replace("-", "_"), part_name(name, kind))
    check_free(names, kind, plugins)
    return names


def part_name(name: str, kind: Kind) -> str:
    """What is left of a distribution's name without its prefixes; all of it, if nothing is."""
    prefixed = re.fullmatch(f"(?:tts-)?(?:(?:{kind.prefix}|{kind.name})-)?(.+)", name)
    return prefixed[1] if prefixed else name


def check_free(names: Names, kind: Kind, plugins: Plugins) -> None:
    """Refuse names that an installed distribution, a module or a part of the kind has."""
    if names.distribution in {entry.distribution for entry in plugins.entries} or installed(names):
        raise UsageError(
            f"a distribution {names.distribution!r} is already installed; choose another name or uninstall it"
        )
    if keyword.iskeyword(names.module) or names.module in sys.stdlib_module_names or importable(names.module):
        raise UsageError(f"a module {names.module!r} already exists; choose another name")
    registry = getattr(plugins, kind.registry)
    try:
        owner = registry.owner(names.part)
    except PluginError:
        if names.part in registry.conflicts:
            owner = " and ".join(registry.conflicts[names.part])
        else:
            return
    raise UsageError(f"{registry.kind} {names.part!r} is already provided by {owner}; choose another name")


def installed(names: Names) -> bool:
    """Whether a distribution of the name is installed."""
    try:
        distribution(names.distribution)
    except PackageNotFoundError:
        return False
    return True


def importable(module: str) -> bool:
    """Whether Python finds a module of the name; folders without ``__init__.py`` do not count."""
    try:
        found = find_spec(module)
    except ValueError:  # one that runs, as __main__
        return True
    return found is not None and found.origin is not None
