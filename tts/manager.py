"""Discovery of plugins: what is installed, what it provides and what failed to load. Imports no torch.

A plugin loads as a whole or not at all. One that fails stays in ``Plugins.entries`` with its reason, and the
rest goes on; only the run that asks for what it provides fails. ``TTS_PLUGINS`` (distribution names between
commas; empty: built-ins only) chooses which plugins load, ``TTS_STRICT=1`` makes every failure an error.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from tts import __version__, hookspecs
from tts.discovery import Load, PluginEntry, installed
from tts.errors import PluginError, RunError, described
from tts.owners import Origin
from tts.registry import BUILTIN_OWNER, Registry
from tts.specs import (
    BackboneSpec,
    FeatureSpec,
    ImageScorerSpec,
    LossSpec,
    ScorerSpec,
    SelectorSpec,
    StrategySpec,
)

if TYPE_CHECKING:
    import typer

    from tts.interfaces import ScaleEvent

HOOKS = tuple(name for name in vars(hookspecs) if name.startswith("tts_"))

MAX_SPECS = 10_000
"""Parts of one kind that a plugin may provide: a hook may be a generator, which may have no end."""


class Plugins:
    """The plugins of a process and what they provide."""

    def __init__(self) -> None:
        self._broken: list[str] = []
        self.backbones = Registry("backbone", BackboneSpec, self._broken)
        self.scorers = Registry("scorer", ScorerSpec, self._broken)
        self.selectors = Registry("selector", SelectorSpec, self._broken)
        self.strategies = Registry("strategy", StrategySpec, self._broken)
        self.losses = Registry("loss", LossSpec, self._broken)
        self.features = Registry("features", FeatureSpec, self._broken)
        self.image_scorers = Registry("image scorer", ImageScorerSpec, self._broken)
        self.entries: list[PluginEntry] = []
        self._registries: dict[str, Registry[Any]] = {
            "tts_register_backbones": self.backbones,
            "tts_register_scorers": self.scorers,
            "tts_register_selectors": self.selectors,
            "tts_register_strategies": self.strategies,
            "tts_register_losses": self.losses,
            "tts_register_features": self.features,
            "tts_register_image_scorers": self.image_scorers,
        }
        self._pluggy = pluggy.PluginManager("tts")
        self._pluggy.add_hookspecs(hookspecs)

    def load(self, entry: PluginEntry, load: Load) -> None:
        """Load one plugin: import its module, check its hooks, collect its specs."""
        self.entries.append(entry)
        with self._guard(entry, f"entry {entry.entry}"):
            self._register(entry, load())
        for hook, registry in self._registries.items():
            if entry.ok and hook in entry.hooks:
                with self._guard(entry, hook):
                    self._collect(entry, hook, registry)

    def _register(self, entry: PluginEntry, module: object) -> None:
        if not isinstance(module, ModuleType):
            raise PluginError(f"the entry point must name a module, got {type(module).__name__}")
        if self._pluggy.is_registered(module):
            other = self._pluggy.get_name(module)
            raise PluginError(f"module {module.__name__} is already loaded as {other}; rename one of them")
        self._pluggy.register(module, name=entry.owner)
        self._check_names()
        callers = {caller.name: caller for caller in self._pluggy.get_hookcallers(module) or ()}
        entry.hooks = tuple(name for name in HOOKS if name in callers)
        _check_marks(module, entry.hooks)
        for name, caller in callers.items():
            if any(impl.wrapper or impl.hookwrapper for impl in caller.get_hookimpls()):
                raise PluginError(f"{name} cannot be a hook wrapper; drop wrapper=True")

    def _check_names(self) -> None:
        """Refuse hooks that there are none of, with the closest there is."""
        try:
            self._pluggy.check_pending()
        except pluggy.PluginValidationError as error:
            unknown = re.search(r"unknown hook '(\w+)'", str(error))
            raise PluginError(f"{_one_line(error)}{_closest(unknown[1]) if unknown else ''}") from error

    def _collect(self, entry: PluginEntry, hook: str, registry: Registry[Any]) -> None:
        wanted = registry.spec_type
        for specs in self._caller(entry, hook)() or [None]:  # pluggy leaves out results that are None
            if not isinstance(specs, Iterable):
                raise PluginError(f"must return an iterable of {wanted.__name__}, got {type(specs).__name__}")
            for count, spec in enumerate(specs, 1):
                if count > MAX_SPECS:
                    raise PluginError(f"returns more than {MAX_SPECS} specs; name fewer")
                if not isinstance(spec, wanted):
                    raise PluginError(f"must return {wanted.__name__} objects, got {type(spec).__name__}")
                registry.add(spec, entry.owner)
        entry.provides[registry.kind] = tuple(spec.name for spec, owner in registry if owner == entry.owner)

    def register_commands(self, app: typer.Typer, taken: Iterable[str] = ()) -> None:
        """Add the plugins' commands to ``app``.

        A plugin whose hook fails, or that uses a name of ``app``, of ``taken`` or of a plugin before it, is
        broken, and none of its commands is added.
        """
        from typer import Typer

        known = dict.fromkeys([*taken, *_command_names(app)], "the toolkit")
        for entry in self._implementing("tts_register_commands"):
            own = Typer()
            with self._guard(entry, "tts_register_commands"):
                self._caller(entry, "tts_register_commands")(app=own)
                entry.provides["command"] = _checked_commands(own, known)
            if entry.ok:
                app.registered_commands += own.registered_commands
                app.registered_groups += own.registered_groups
                known.update(dict.fromkeys(entry.provides["command"], entry.label))
        self.check_strict()

    def origin(self, registry: Registry[Any], name: str) -> Origin | None:
        """Give the plugin and the hook that provide a name or alias, or ``None`` for a built-in."""
        owner = registry.owner(name)
        if owner == BUILTIN_OWNER:
            return None
        hook = next(hook for hook, own in self._registries.items() if own is registry)
        label = next(entry.label for entry in self.entries if entry.owner == owner)
        return Origin(label, hook, name)

    def observers(self) -> list[Callable[[ScaleEvent], None]]:
        """Give one callable for each plugin that implements ``tts_after_scale``."""
        return [self._observer(entry) for entry in self._implementing("tts_after_scale")]

    def _observer(self, entry: PluginEntry) -> Callable[[ScaleEvent], None]:
        caller = self._caller(entry, "tts_after_scale")

        def observe(event: ScaleEvent) -> None:
            try:
                caller(event=event)
            except Exception as error:
                raise RunError(f"{entry.label}, tts_after_scale: {_one_line(error)}") from error

        return observe

    def code(self) -> dict[str, str]:
        """Labels of the plugins by the package or module that holds their hooks or a part's factory."""
        found: dict[str, str] = {}
        for entry in self.entries:
            module = self._pluggy.get_plugin(entry.owner) if entry.owner != BUILTIN_OWNER else None
            if module is not None:
                found[_package(module.__name__)] = entry.label
        for registry in self._registries.values():
            for spec, owner in registry:
                label = next(entry.label for entry in self.entries if entry.owner == owner)
                place = _package(str(getattr(spec, "factory", None) or spec.target).partition(":")[0])
                if owner != BUILTIN_OWNER and place.partition(".")[0] != "tts":
                    found.setdefault(place, label)
        return found

    def broken(self) -> list[PluginEntry]:
        """Give the plugins that failed to load."""
        return [entry for entry in self.entries if not entry.ok]

    def check_strict(self) -> None:
        """Refuse any broken plugin where ``TTS_STRICT`` is set."""
        reasons = [entry.reason or "" for entry in self.broken()]
        if reasons and os.environ.get("TTS_STRICT", "0") not in ("", "0"):
            raise PluginError(f"TTS_STRICT allows no broken plugin: {'; '.join(reasons)}")

    def _implementing(self, hook: str) -> list[PluginEntry]:
        return [entry for entry in self.entries if entry.ok and hook in entry.hooks]

    def _caller(self, entry: PluginEntry, hook: str) -> pluggy.HookCaller:
        """Call ``hook`` of this plugin alone, so that a failure has an owner."""
        module = self._pluggy.get_plugin(entry.owner)
        others = [plugin for plugin in self._pluggy.get_plugins() if plugin is not module]
        return self._pluggy.subset_hook_caller(hook, others)

    @contextmanager
    def _guard(self, entry: PluginEntry, where: str) -> Iterator[None]:
        """Turn a failure inside into the reason why the plugin is broken; built-ins fail aloud.

        What the plugin prints meanwhile goes to stderr: stdout is for results.
        """
        try:
            with redirect_stdout(sys.stderr):
                yield
        except BaseException as error:  # also those that pass by ``except Exception``; not Ctrl-C
            if entry.owner == BUILTIN_OWNER or type(error) is KeyboardInterrupt:
                raise
            self._break(entry, f"{entry.label}, {where}: {_one_line(error)}")

    def _break(self, entry: PluginEntry, reason: str) -> None:
        entry.reason = reason
        entry.provides = {}
        self._broken.append(entry.label)
        for registry in self._registries.values():
            registry.discard(entry.owner)
        if self._pluggy.has_plugin(entry.owner):
            self._pluggy.unregister(name=entry.owner)


@cache
def get_plugins() -> Plugins:
    """Discover all plugins, once a process; ``get_plugins.cache_clear()`` starts anew."""
    plugins = Plugins()
    distribution, _, entry = BUILTIN_OWNER.partition(":")
    plugins.load(PluginEntry(distribution, __version__, entry), lambda: import_module("tts.builtins"))
    for found, load in installed():
        plugins.load(found, load)
    plugins.check_strict()
    return plugins


def _check_marks(module: ModuleType, hooks: tuple[str, ...]) -> None:
    """Refuse a module that forgot ``@tts.hookimpl``."""
    unmarked = [name for name in HOOKS if name in vars(module) and name not in hooks]
    if unmarked:
        raise PluginError(f"{', '.join(unmarked)} is not marked; put @tts.hookimpl above it")
    for name in vars(module):
        if not hooks and name.startswith("tts_") and _closest(name):
            raise PluginError(f"module {module.__name__} implements no hook, but {name}{_closest(name)}")
    if not hooks:
        raise PluginError(f"module {module.__name__} implements no hook; put @tts.hookimpl above a function")


def _closest(name: str) -> str:
    """The hook that a misspelt one may be."""
    return "".join(f"; did you mean {hook!r}?" for hook in get_close_matches(name, HOOKS, 1))


def _command_names(app: typer.Typer) -> tuple[str, ...]:
    """Build the commands, which checks their signatures, and give their names."""
    from typer.main import get_group

    return tuple(get_group(app).commands)


def _checked_commands(app: typer.Typer, known: dict[str, str]) -> tuple[str, ...]:
    if app.registered_callback is not None:
        raise PluginError("cannot replace the root callback; use @app.command() or app.add_typer()")
    names = _command_names(app)
    for name in names:
        if name in known:
            raise PluginError(f"command {name!r} is already taken by {known[name]}; rename it")
    if len(names) < len(app.registered_commands):
        raise PluginError("two commands have the same name; rename one of them")
    return names


def _package(module: str) -> str:
    """The package that a module is in; a module by itself is one."""
    return module.rpartition(".")[0] or module


def _one_line(error: BaseException) -> str:
    if isinstance(error, (PluginError, pluggy.PluginValidationError)):
        return " ".join(str(error).split())
    return described(error)
