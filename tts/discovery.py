"""Plugins that are installed: the entry points of the group ``scalewise_tts``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distributions

from tts import __version__
from tts.errors import PluginError
from tts.hookspecs import ENTRY_POINT_GROUP

Load = Callable[[], object]

TOOLKIT = "scalewise-tts"
_PROJECT = re.compile(r"[A-Za-z0-9._-]*")


@dataclass
class PluginEntry:
    """A plugin as it was found; ``reason`` says in one line why it is broken.

    ``provides`` holds names by kind (backbone, scorer, selector, loss, command); ``hooks`` are those that it
    implements.
    """

    distribution: str
    version: str
    entry: str
    reason: str | None = None
    provides: dict[str, tuple[str, ...]] = field(default_factory=dict)
    hooks: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the plugin is loaded."""
        return self.reason is None

    @property
    def owner(self) -> str:
        """Its name in the registries."""
        return f"{self.distribution}:{self.entry}"

    @property
    def label(self) -> str:
        """Its name in messages."""
        return f"{self.distribution} {self.version}".strip()


def installed() -> Iterator[tuple[PluginEntry, Load]]:
    """Go through the chosen plugins by name, each with the function that imports it.

    Of a distribution that is on the path twice only the first counts, which is the one that Python imports.
    """
    allowed = _allowed()
    found: dict[str, Distribution] = {}
    for distribution in distributions():
        if ENTRY_POINT_GROUP in (distribution.read_text("entry_points.txt") or ""):
            found.setdefault(_name(distribution), distribution)
    for name in sorted(found if allowed is None else allowed):
        if name in found:
            yield from _entries(name, found[name])
        else:
            message = f"TTS_PLUGINS names {name}, which is not installed or is no plugin; see tts plugins"
            yield PluginEntry(name, "", "TTS_PLUGINS"), _failing(PluginError(message))


def without_entry_point() -> list[str]:
    """Distributions that say by a keyword that they are plugins, but have no entry point that is found."""
    found = []
    for distribution in distributions():
        if ENTRY_POINT_GROUP in (distribution.read_text("entry_points.txt") or ""):
            continue
        head = (distribution.read_text("METADATA") or "").partition("\n\n")[0]
        words = [line.partition(":")[2] for line in head.splitlines() if line.startswith("Keywords:")]
        names = {word.strip().lower() for text in words for word in text.replace(",", " ").split()}
        if TOOLKIT in names and _name(distribution) != TOOLKIT:
            found.append(f"{_name(distribution)} {distribution.version}")
    return sorted(set(found))


def _entries(name: str, distribution: Distribution) -> Iterator[tuple[PluginEntry, Load]]:
    version = _version(distribution)
    try:
        if not version:
            raise PluginError("the distribution has no readable METADATA; install it again")
        points = distribution.entry_points.select(group=ENTRY_POINT_GROUP)
        conflict = version_conflict(distribution.requires or ())
    except Exception as error:  # whatever a damaged installation makes of its metadata
        yield PluginEntry(name, version, "entry_points.txt"), _failing(error)
        return
    for point in sorted(points, key=lambda point: point.name):
        load = _failing(PluginError(conflict)) if conflict else point.load
        yield PluginEntry(name, version, point.name), load


def version_conflict(requirements: Iterable[str]) -> str | None:
    """Say which requirement of another version of the toolkit a distribution has, or ``None``.

    Requirements of extras and of other systems do not count, nor does one that cannot be read: what it asks
    for is pip's to check.
    """
    for text in requirements:
        if _canonical(_PROJECT.match(text)[0]) != TOOLKIT:  # type: ignore[index]
            continue
        from packaging.requirements import InvalidRequirement, Requirement

        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        applies = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        if applies and not wanted.specifier.contains(__version__, prereleases=True):
            return (
                f"requires {TOOLKIT}{wanted.specifier}, this is {TOOLKIT} {__version__};"
                " install versions that go together"
            )
    return None


def _failing(error: Exception) -> Load:
    def load() -> object:
        raise error

    return load


def _allowed() -> set[str] | None:
    names = os.environ.get("TTS_PLUGINS")
    return None if names is None else {_canonical(name) for name in names.split(",") if name.strip()}


def _name(distribution: Distribution) -> str:
    try:
        return _canonical(distribution.name)
    except Exception:  # no METADATA file: what is left of an interrupted installation
        return "unknown"


def _version(distribution: Distribution) -> str:
    try:
        return distribution.version or ""
    except Exception:  # the same: later versions of importlib.metadata raise
        return ""


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
