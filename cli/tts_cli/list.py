"""``tts list``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tts.manager import Plugins, get_plugins
from tts.registry import Registry
from tts.specs import BackboneSpec
from tts_cli import options
from tts_cli.output import echo, print_json, print_table

BACKBONE_HEADER = (
    "BACKBONE",
    "IMAGE",
    "CLASSES",
    "CFG",
    "TOP-K",
    "TOP-P",
    "GUIDANCE",
    "FREE-TO",
    "SCHEDULE",
    "SCORER",
    "ALIASES",
    "OWNER",
)
LEGEND = (
    "IMAGE: pixels a side; CFG, TOP-K, TOP-P: what samples are drawn with; FREE-TO: the last side up to which"
    " --schedule is free; SCORER: what comes with it, for --scorer auto; -: none."
)


def list_names(
    as_json: options.Json = False,
) -> None:
    """List backbones (with their defaults) and everything else that has a name.

    \b
    Examples:
      tts list
      tts list --json
    """
    plugins = get_plugins()
    if as_json:
        print_json({title: _records(registry) for title, registry in _registries(plugins).items()})
        return
    rows = [_backbone_row(spec, owner) for spec, owner in plugins.backbones]
    print_table(BACKBONE_HEADER, rows, LEGEND)
    for registry in list(_registries(plugins).values())[1:]:
        echo("")
        rows = [(_with_argument(spec), _distribution(owner), spec.summary) for spec, owner in registry]
        print_table((registry.kind.upper(), "OWNER", "SUMMARY"), rows)


def _registries(plugins: Plugins) -> dict[str, Registry[Any]]:
    return {
        "backbones": plugins.backbones,
        "scorers": plugins.scorers,
        "selectors": plugins.selectors,
        "strategies": plugins.strategies,
        "losses": plugins.losses,
        "features": plugins.features,
        "image_scorers": plugins.image_scorers,
    }


def _records(registry: Registry[Any]) -> list[dict[str, Any]]:
    return [{**asdict(spec), "owner": _distribution(owner)} for spec, owner in registry]


def _backbone_row(spec: BackboneSpec, owner: str) -> tuple[str, ...]:
    sampling = spec.sampling
    return (
        spec.name,
        str(spec.image_size),
        str(spec.classes),
        f"{sampling.cfg:g}",
        str(sampling.top_k or "off"),
        f"{sampling.top_p:g}" if sampling.top_p else "off",
        ",".join(form.name for form in spec.guidance),
        str(spec.max_side or "-"),
        ",".join(map(str, spec.schedule)),
        spec.default_scorer or "-",
        ",".join(spec.aliases) or "-",
        _distribution(owner),
    )


def _with_argument(spec: Any) -> str:
    """Give the name as it is typed, such as ``learned:FILE``."""
    argument = getattr(spec, "argument", None)
    return f"{spec.name}:{argument}" if argument else str(spec.name)


def _distribution(owner: str) -> str:
    return owner.partition(":")[0]
