"""The judge: how well an image fits the prompt of its class.

With v the direction of an image's embedding, t_c that of class c's prompts, s and b the model's logit scale
and bias (1 and 0 where it has none), the logits are l_c = s v.t_c + b, which are the model's own
``logits_per_image``. The score for label y is l_y (``similarity``) or log softmax(l)_y over all classes
(``probability``). Of several prompt templates t_c is the direction of the mean of their directions.

Axis letters: B images, Y classes, D dimensions of the shared space.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor
from tts_score_clip_model import TwoTowers, hash_weights, load
from tts_score_clip_options import PROBABILITY, Options, class_names, parse

from tts.specs import ImageScorerRequest

IMAGES = 64
"""Images that are embedded together; previews of a scale come by the hundred."""


class ClipScorer:
    """Scores of images for their classes' prompts; the texts are embedded once, when it is built."""

    name = "clip"

    def __init__(self, towers: TwoTowers, options: Options, names: Sequence[str]) -> None:
        self.towers, self.options, self.names = towers, options, tuple(names)
        self.texts = class_directions(towers, options.templates, names)  # Y D
        self.scale, self.bias = towers.scale, towers.bias

    @torch.inference_mode()
    def score(self, images: Tensor, labels: Tensor) -> Tensor:
        """Scores (B,), float32, of images (B, 3, S, S) in [0, 1] for labels (B,)."""
        embedded = torch.cat([self.towers.embed_images(part) for part in images.split(IMAGES)])  # B D
        logits = self.scale * embedded @ self.texts.T + self.bias  # B Y
        if self.options.mode == PROBABILITY:
            logits = logits.log_softmax(dim=1)
        return logits.gather(1, labels.to(logits.device)[:, None])[:, 0].to(images.device)

    @cached_property
    def sha256(self) -> str:
        """Hash of the weights, whatever file they came from."""
        return hash_weights(self.towers.network)

    def describe(self) -> dict[str, object]:
        """The model, the hash of its weights and what was asked of it, for a run's record."""
        return {
            "model": self.options.model,
            "sha256": self.sha256,
            "mode": self.options.mode,
            "dtype": self.options.dtype,
            "prompts": list(self.options.templates),
            "class_names_sha256": hashlib.sha256("\n".join(self.names).encode()).hexdigest(),
        }


def class_directions(towers: TwoTowers, templates: Sequence[str], names: Sequence[str]) -> Tensor:
    """Directions (Y, D) of the classes: of the mean, over templates, of the directions of their prompts."""
    each = [towers.embed_texts([template.replace("{}", name) for name in names]) for template in templates]
    return F.normalize(torch.stack(each).mean(dim=0), dim=-1)


def build(request: ImageScorerRequest) -> ClipScorer:
    """Load what the text after the colon names; names of other classes are refused before the model loads."""
    options = parse(request.argument)
    names = class_names(options, request.classes)
    return ClipScorer(load(options, request.device), options, names)
