"""A small classifier of handwritten digits, whose features give the digits' Frechet distance.

Axis letters: N images, S pixels a side, D features. The figures of this distance are comparable with each
other only; it is not the FID, whose features come from Inception.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from tts.errors import CheckpointError
from tts.io import load_tensors, save_tensors

CLASSIFIER_FILE = Path(__file__).parent.parent / "embedded" / "digits-classifier.safetensors"
CLASSIFIER_FORMAT = "scalewise-tts-digits-classifier-1"


@dataclass(frozen=True)
class ClassifierConfig:
    """Widths of the stride-two convolutions, the last of which is the number of features."""

    widths: tuple[int, ...] = (16, 32, 64)
    classes: int = 10
    groups: int = 4


class DigitsClassifier(nn.Module):
    """Stride-two convolutions with GroupNorm and SiLU, a mean over positions, and one linear layer."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        inputs = (1, *config.widths[:-1])
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, 3, stride=2, padding=1) for i, o in zip(inputs, config.widths, strict=True)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(config.groups, width) for width in config.widths)
        self.head = nn.Linear(config.widths[-1], config.classes)

    def features(self, images: Tensor) -> Tensor:
        """Features (N, D), float32, of images (N, 3, S, S) in [0, 1]; the channels are averaged."""
        x = images.float().mean(dim=1, keepdim=True) * 2 - 1  # N 1 S S
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.silu(norm(conv(x)))
        return x.mean(dim=(2, 3))

    def logits(self, features: Tensor) -> Tensor:
        """Class logits (N, classes) of features (N, D)."""
        return self.head(features)

    def forward(self, images: Tensor) -> Tensor:
        """Class logits (N, classes) of images (N, 3, S, S) in [0, 1]."""
        return self.logits(self.features(images))


def load_digits_classifier(file: Path = CLASSIFIER_FILE) -> DigitsClassifier:
    """The classifier that ships inside the package, in float32 and ready for inference."""
    state, metadata = load_tensors(file)
    if metadata.get("format") != CLASSIFIER_FORMAT:
        raise CheckpointError(
            f"{file} is no classifier of digits; leave the file name out for the embedded one"
        )
    fields = json.loads(metadata["config"])
    config = ClassifierConfig(tuple(fields["widths"]), fields["classes"], fields["groups"])
    net = DigitsClassifier(config)
    net.load_state_dict({key: value.float() for key, value in state.items()})
    return net.requires_grad_(False).eval()


def write_digits_classifier(file: Path, net: DigitsClassifier) -> None:
    """Store a classifier in half precision, with its configuration in the metadata."""
    state = {key: value.half() for key, value in net.state_dict().items()}
    save_tensors(file, state, {"format": CLASSIFIER_FORMAT, "config": json.dumps(asdict(net.config))})
