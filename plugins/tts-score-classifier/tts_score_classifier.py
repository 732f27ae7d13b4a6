"""Whole images judged by an image classifier: log p(class | image).

``tts sample --strategy best-of-n --image-scorer classifier:timm:resnet101.a1_in1k`` or
``classifier:hf:google/vit-base-patch16-224``, where a local folder may stand for the name. This module holds
the hook alone, so that listing plugins imports neither torch nor a model library.
"""

from __future__ import annotations

import tts


@tts.hookimpl
def tts_register_image_scorers() -> list[tts.ImageScorerSpec]:
    """Provide ``classifier``."""
    return [
        tts.ImageScorerSpec(
            "classifier",
            "tts_score_classifier_models:build",
            "log-probability of the class by a timm or Hugging Face classifier",
            argument="timm:NAME or hf:NAME",
        )
    ]
