"""From a plan back to the configuration, and the command, that carries it out."""

from __future__ import annotations

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

from tts.data.collect_config import CollectConfig
from tts.engine.plan import Plan
from tts.errors import CheckpointError, TtsError
from tts.resolve import find_backbone
from tts.sample_config import SampleConfig

Config = SampleConfig | CollectConfig
OPTIONS = {"formats": "format"}
"""Options that are not named like their field."""


def config_of(plan: Plan, folder: Path, device: str = "auto") -> Config:
    """What opens the folder of a plan again and adds nothing.

    It asks for the plan's last segment; where there are several, extending by items that are all there
    opens the plan as it is.
    """
    given: dict[str, Any] = {**plan.settings, **plan.segments[-1].choice}
    execution: dict[str, Any] = {"out": str(folder), "device": device, "extend": len(plan.segments) > 1}
    try:
        given["weights"] = tuple(given["weights"])
        if plan.kind == "sample":
            return SampleConfig(**{**given, "formats": tuple(given["formats"])}, **execution)
        schedule = _schedule(given["backbone"], plan.identity["schedule"])
        return CollectConfig(**given, schedule=schedule, **execution)
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder} was planned by another version ({error}); use that one, or make it again"
        ) from error


def command_of(plan: Plan, folder: Path) -> str:
    """The command that goes on with the folder of a plan, as it is typed."""
    config = config_of(plan, folder)
    words = ["tts", "sample" if plan.kind == "sample" else "collect"]
    for field in fields(config):
        value = getattr(config, field.name)
        if value != field.default:
            words += _option(OPTIONS.get(field.name, field.name), value)
    return shlex.join(words)


def _option(name: str, value: Any) -> list[str]:
    option = f"--{name.replace('_', '-')}"
    if value is True:
        return [option]
    if isinstance(value, tuple) and name == "weights":
        return [word for file in value for word in (option, file)]
    return [option, ",".join(value) if isinstance(value, tuple) else str(value)]


def _schedule(backbone: str, sides: list[int]) -> str | None:
    """The schedule as an option; ``None`` where it is the backbone's own."""
    try:
        own = find_backbone(backbone)[0].schedule
    except TtsError:  # building it will say so
        own = ()
    return None if tuple(sides) == tuple(own) else ",".join(map(str, sides))
