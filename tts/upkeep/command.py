"""From a plan back to the configuration, and the command, that carries it out."""

from __future__ import annotations

import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tts.data.collect_config import CollectConfig
from tts.engine.plan import PLAN_FILE, Plan
from tts.errors import CheckpointError, TtsError
from tts.records import encode, parse_record
from tts.resolve import find_backbone
from tts.sample_config import SampleConfig

Config = SampleConfig | CollectConfig
OPTIONS = {"formats": "format"}
"""Options that are not named like their field."""

REMEDY = "use that one, or make it again"


def config_of(plan: Plan, folder: Path, device: str = "auto") -> Config:
    """What opens the folder of a plan again and adds nothing.

    It asks for the plan's last segment; where there are several, extending by items that are all there
    opens the plan as it is.
    """
    kind: type[Config] = SampleConfig if plan.kind == "sample" else CollectConfig
    given: dict[str, Any] = {**plan.settings, **plan.segments[-1].choice}
    for name in sorted(given.keys() ^ {field.name for field in fields(kind)}):
        if name in given or name in ("backbone", "weights"):
            raise CheckpointError(f"{folder} was planned by another version ({name!r:.80}); {REMEDY}")
    sides = plan.identity.get("schedule")
    if kind is CollectConfig:
        given["schedule"] = ",".join(map(str, sides)) if isinstance(sides, list) else sides
    given |= {"out": str(folder), "device": device, "extend": len(plan.segments) > 1}
    config = parse_record(encode(given), kind, str(folder / PLAN_FILE), "plan of this version", REMEDY)
    if isinstance(config, CollectConfig) and config.schedule == _own_schedule(config.backbone):
        return replace(config, schedule=None)
    return config


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


def _own_schedule(backbone: str) -> str | None:
    """A backbone's own schedule as an option; ``None`` where it cannot be had: building it will say why."""
    try:
        return ",".join(map(str, find_backbone(backbone)[0].schedule))
    except TtsError:
        return None
