"""Images judged by CLIP or SigLIP.

``--strategy best-of-n --image-scorer clip:MODEL`` judges whole images, ``--scorer preview:clip:MODEL`` the
candidates of each scale, decoded as they stand.

This module holds the hook alone, so that listing plugins imports neither torch nor transformers.
"""

from __future__ import annotations

import tts


@tts.hookimpl
def tts_register_image_scorers() -> list[tts.ImageScorerSpec]:
    """Provide ``clip``."""
    return [
        tts.ImageScorerSpec(
            "clip",
            "tts_score_clip_judge:build",
            "how well an image fits its class's prompt, by CLIP or SigLIP of Hugging Face",
            argument="MODEL,classes=FILE|digits,prompt=a photo of a {},mode=similarity",
        )
    ]
