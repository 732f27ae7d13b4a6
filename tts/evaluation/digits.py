"""A small classifier of handwritten digits, whose features give the digits' Frechet distance.

Axis letters: N images, S pixels a side, D features. The figures of this distance are comparable with each
other only; it is not the FID, whose features come from Inception.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tts import limits
from tts.errors import CheckpointError, UsageError
from tts.evaluation.features import Features, check_images
from tts.io import load_tensors, save_tensors, sha256_file
from tts.records import parse_record
from tts.specs import FeatureRequest, ImageScorerRequest

CLASSIFIER_FILE = Path(__file__).parent.parent / "embedded" / "digits-classifier.safetensors"
CLASSIFIER_FORMAT = "scalewise-tts-digits-classifier-1"
SIZE = 16
SPATIAL_LAYER, SPATIAL_CHANNELS = 1, 7
"""The second convolution's first seven channels stand for sFID's, whose are Inception's first seven."""


@dataclass(frozen=True)
class ClassifierConfig:
    """Widths of the stride-two convolutions, the last of which is the number of features."""

    widths: limits.Widths = (16, 32, 64)
    classes: limits.Classes = 10
    groups: limits.Width = 4


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

    def maps(self, images: Tensor) -> list[Tensor]:
        """Each layer's maps (N, C, H, W) of images (N, 3, S, S) in [0, 1], whose channels are averaged."""
        x = images.float().mean(dim=1, keepdim=True) * 2 - 1  # N 1 S S
        found = []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.silu(norm(conv(x)))
            found.append(x)
        return found

    def features(self, images: Tensor) -> Tensor:
        """Features (N, D), float32, of images (N, 3, S, S) in [0, 1]."""
        return self.maps(images)[-1].mean(dim=(2, 3))

    def logits(self, features: Tensor) -> Tensor:
        """Class logits (N, classes) of features (N, D)."""
        return self.head(features)

    def forward(self, images: Tensor) -> Tensor:
        """Class logits (N, classes) of images (N, 3, S, S) in [0, 1]."""
        return self.logits(self.features(images))


def load_digits_classifier(file: Path = CLASSIFIER_FILE) -> DigitsClassifier:
    """The classifier that ships inside the package, in float32 and ready for inference."""
    state, metadata = load_tensors(file, own=True)
    if metadata.get("format") != CLASSIFIER_FORMAT:
        raise CheckpointError(
            f"{file} is no classifier of digits; leave the file name out for the embedded one"
        )
    remedy = "leave the file name out for the embedded one"
    config = parse_record(
        metadata.get("config", ""), ClassifierConfig, str(file), "classifier of digits", remedy
    )
    net = DigitsClassifier(config)
    net.load_state_dict({key: value.float() for key, value in state.items()})
    return net.requires_grad_(False).eval()


def write_digits_classifier(file: Path, net: DigitsClassifier) -> None:
    """Store a classifier in half precision, with its configuration in the metadata."""
    state = {key: value.half() for key, value in net.state_dict().items()}
    save_tensors(file, state, {"format": CLASSIFIER_FORMAT, "config": json.dumps(asdict(net.config))})


class DigitsFeatures:
    """Features of digits of 16x16: 64 for the Frechet distance, 112 spatial ones, and 10 logits."""

    name = "digits"
    title = "FD"
    image_size: int | None = SIZE
    knows_labels = True
    class_names = ("0", "9")

    def __init__(self, net: DigitsClassifier, file: Path, device: torch.device) -> None:
        self.net, self.file, self.device = net.to(device), file, device
        self.dimensions = net.config.widths[-1]

    @torch.inference_mode()
    def extract(self, images: Tensor) -> Features:
        """Features of uint8 images (N, 3, 16, 16)."""
        check_images(images)
        maps = self.net.maps(images.to(self.device).float() / 255)
        pool = maps[-1].mean(dim=(2, 3))
        spatial = maps[SPATIAL_LAYER][:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)
        return Features(pool.cpu(), spatial.cpu(), self.net.logits(pool).cpu())

    def describe(self) -> dict[str, Any]:
        """Name and hash of the weights."""
        return {"name": self.name, "sha256": sha256_file(self.file)}


class DigitsImageScorer:
    """log p(label | image) by the classifier of digits."""

    name = "digits"

    def __init__(self, net: DigitsClassifier, file: Path, device: torch.device) -> None:
        self.net, self.file = net.to(device), file

    @torch.inference_mode()
    def score(self, images: Tensor, labels: Tensor) -> Tensor:
        """Scores (B,) of images (B, 3, 16, 16) in [0, 1]."""
        log_probs = self.net(images).log_softmax(dim=1)
        return log_probs.gather(1, labels[:, None])[:, 0]

    def describe(self) -> dict[str, Any]:
        """Hash of the weights, for a run's record."""
        return {"sha256": sha256_file(self.file)}


def build(request: FeatureRequest) -> DigitsFeatures:
    """Factory of the digits' features."""
    return DigitsFeatures(load_digits_classifier(), CLASSIFIER_FILE, request.device)


def build_image_scorer(request: ImageScorerRequest) -> DigitsImageScorer:
    """Factory of the digits' judge of whole images."""
    net = load_digits_classifier()
    if (request.classes, request.image_size) != (net.config.classes, SIZE):
        raise UsageError(
            f"image scorer 'digits' judges {net.config.classes} classes of {SIZE}x{SIZE}, the backbone makes"
            f" {request.classes} of {request.image_size}x{request.image_size}; choose another --image-scorer"
        )
    return DigitsImageScorer(net, CLASSIFIER_FILE, request.device)
