"""Candidates in dense regions, after VAR-Scaling (arXiv 2601.07293): ``tts sample --selector density``.

This module holds the hook alone, so that listing plugins does not import torch.
"""

from __future__ import annotations

import tts


@tts.hookimpl
def tts_register_selectors() -> list[tts.SelectorSpec]:
    """Provide ``density``."""
    return [
        tts.SelectorSpec(
            "density",
            "tts_select_density_choice:build",
            "a draw among the k densest candidates, or k random ones, odds by kernel density",
            argument="k=4,mode=top,space=map,bandwidth=median,weight=W",
            unused=("top_k_select",),
        )
    ]
