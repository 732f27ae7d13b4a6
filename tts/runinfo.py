"""How a result was made: versions, plugins, device, weights. Part of every output folder's record."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib import metadata
from typing import Any

import torch

from tts import __version__
from tts.interfaces import Backbone, ImageScorer, Scorer
from tts.manager import get_plugins

LIBRARIES = ("numpy", "pluggy", "safetensors", "einops")  # beside torch, which names its build too


def environment(device: torch.device) -> dict[str, Any]:
    """Versions of everything that can change a number, and the hardware."""
    return {
        "scalewise-tts": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {
            "torch": str(torch.__version__),
            **{name: metadata.version(name) for name in LIBRARIES},
        },
        "plugins": [f"{entry.distribution} {entry.version}" for entry in get_plugins().entries if entry.ok],
        "device": str(device),
        "device_name": device_name(device),
        "threads": torch.get_num_threads(),
        "attention": "torch scaled_dot_product_attention",
    }


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's architecture and vector extension."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def describe_backbone(backbone: Backbone) -> dict[str, Any]:
    """A backbone's identity for a record."""
    info = backbone.info
    return {
        "name": info.name,
        "family": info.family,
        "schedule": list(info.schedule),
        "classes": info.classes,
        "guidance": asdict(info.guidance),
        "greedy_scales": [k + 1 for k, random in enumerate(info.stochastic) if not random],
        "weights_sha256": backbone.weights_hash(),
        **_described(backbone),
    }


def describe_scorer(scorer: Scorer | ImageScorer | None) -> dict[str, Any] | None:
    """A scorer's identity for a record: its name and whatever its ``describe()`` adds."""
    if scorer is None:
        return None
    return {"name": scorer.name, **_described(scorer)}


def _described(part: object) -> dict[str, Any]:
    describe = getattr(part, "describe", None)
    return describe() if callable(describe) else {}
