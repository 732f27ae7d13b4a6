"""A third family of scale-wise models, ``tiny``: what ``tts list`` says of it, without building it.

This module holds the hook and the facts, so that listing plugins does not import torch; the model is in
``tts_backbone_tiny_model.py``, which is imported when a run asks for ``--backbone tiny``.
"""

from __future__ import annotations

import tts

GUIDANCE = tts.Guidance("fading", 0.0, "cond + t (cond - uncond), t = cfg (K - k) / K, k from 0")
"""The coarse scales decide which digit it is, so guidance is strongest there and fades towards the last."""

SPEC = tts.BackboneSpec(
    name="tiny",
    family="tiny",
    factory="tts_backbone_tiny_model:build",
    summary="handwritten digits of 16x16 by a pyramid of 2x2 patches; an example of a family of its own",
    schedule=(1, 2, 4, 8),
    classes=10,
    codebook_size=64,
    channels=4,
    image_size=16,
    sampling=tts.SamplingDefaults(cfg=0.5, top_k=0, top_p=0.0),
    collect=tts.CollectDefaults(cfg=0.0),
    guidance=(GUIDANCE,),
)


@tts.hookimpl
def tts_register_backbones() -> list[tts.BackboneSpec]:
    """Provide ``tiny``. Called once a process, before any command."""
    return [SPEC]
