"""The judge itself, and how a classifier of either library is loaded.

Axis letters: B images, S pixels a side, R pixels a side as the classifier wants them. Images are resized and
normalised with torch alone: the libraries' own preprocessing wants PIL images and torchvision.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tts.errors import UsageError
from tts.specs import ImageScorerRequest

EXAMPLES = "timm:resnet101.a1_in1k or hf:google/vit-base-patch16-224"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """The side R that a classifier wants, the share of a larger image that is cropped, mean and deviation."""

    size: int
    crop: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """Images (B, 3, R, R), normalised, of images (B, 3, S, S) in [0, 1]."""
        side = round(self.size / self.crop)
        options = {"mode": "bicubic", "align_corners": False, "antialias": True}
        resized = F.interpolate(images.float(), size=(side, side), **options).clamp(0, 1)  # B 3 side side
        first = (side - self.size) // 2
        cropped = resized[:, :, first : first + self.size, first : first + self.size]  # B 3 R R
        mean, std = (images.new_tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        return (cropped - mean) / std


@dataclass(frozen=True)
class Classifier:
    """A network, how its logits (B, classes) come of pixels (B, 3, R, R), and what it calls itself."""

    name: str
    network: nn.Module
    logits: Callable[[Tensor], Tensor]
    prepare: Preprocessing
    classes: int


class ClassifierScorer:
    """log p(label | image) of a classifier whose class c is the backbone's class c."""

    name = "classifier"

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    @torch.inference_mode()
    def score(self, images: Tensor, labels: Tensor) -> Tensor:
        """Scores (B,), float32, of images (B, 3, S, S) in [0, 1] for labels (B,)."""
        logits = self.classifier.logits(self.classifier.prepare(images)).float()  # B classes
        return logits.log_softmax(dim=1).gather(1, labels[:, None])[:, 0]

    @cached_property
    def sha256(self) -> str:
        """Hash of the weights, whatever file they came from."""
        return hash_weights(self.classifier.network)

    def describe(self) -> dict[str, object]:
        """The model's name and the hash of its weights, for a run's record."""
        return {"model": self.classifier.name, "sha256": self.sha256}


def hash_weights(network: nn.Module) -> str:
    """SHA-256 of names, types, shapes and values of all tensors of a network."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def build(request: ImageScorerRequest) -> ClassifierScorer:
    """Load the classifier that the text after the colon names; refuse one with other classes."""
    library, _, name = (request.argument or "").partition(":")
    if library not in LOADERS or not name:
        raise UsageError(f"classifier {request.argument!r} names no model; write classifier:{EXAMPLES}")
    try:
        classifier = LOADERS[library](name, request.device)
    except ImportError as error:
        package = {"hf": "transformers"}.get(library, library)
        raise UsageError(
            f"classifier {library}:{name} needs {package} ({error}); run pip install"
            f" 'tts-score-classifier[{package}]'"
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"cannot load the classifier {library}:{name} ({reason});"
            " check the name, the network or the folder"
        ) from error
    if classifier.classes != request.classes:
        raise UsageError(
            f"classifier {library}:{name} knows {classifier.classes} classes, the backbone draws"
            f" {request.classes}; choose one of the same classes in the same order"
        )
    return ClassifierScorer(classifier)


def load_timm(name: str, device: torch.device) -> Classifier:
    """A timm model by name, with its pretrained weights; ``local-dir:FOLDER`` is a local one."""
    import timm

    model = timm.create_model(name, pretrained=True).eval().to(device)
    config = dict(model.pretrained_cfg)
    prepare = Preprocessing(
        int(config["input_size"][-1]),
        float(config.get("crop_pct") or 1.0),
        tuple(config.get("mean") or IMAGENET_MEAN),
        tuple(config.get("std") or IMAGENET_STD),
    )
    return Classifier(f"timm:{name}", model, model, prepare, int(model.num_classes))


def load_transformers(name: str, device: torch.device) -> Classifier:
    """A classifier of the Hugging Face hub, or of a local folder."""
    from transformers import AutoModelForImageClassification
    from transformers.image_processing_base import ImageProcessingMixin

    model = AutoModelForImageClassification.from_pretrained(name).eval().to(device)
    config, _ = ImageProcessingMixin.get_image_processor_dict(name)
    prepare = Preprocessing(
        _side(config.get("crop_size") if config.get("do_center_crop") else config.get("size")),
        _side(config["crop_size"]) / _side(config["size"]) if config.get("do_center_crop") else 1.0,
        tuple(config.get("image_mean") or IMAGENET_MEAN),
        tuple(config.get("image_std") or IMAGENET_STD),
    )

    def logits(pixels: Tensor) -> Tensor:
        return model(pixel_values=pixels).logits

    return Classifier(f"hf:{name}", model, logits, prepare, int(model.config.num_labels))


def _side(size: Any) -> int:
    """The side of a size as Hugging Face writes it: a number, or a mapping with one of several keys."""
    if isinstance(size, Mapping):
        size = next((size[key] for key in ("height", "shortest_edge") if key in size), None)
    if not size:
        raise ValueError("its preprocessor configuration names no size")
    return int(size)


LOADERS = {"timm": load_timm, "hf": load_transformers}
