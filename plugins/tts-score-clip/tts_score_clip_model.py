"""A model of two towers, image and text, and how one is loaded from Hugging Face transformers.

Axis letters: B images, N texts, D dimensions of the shared space, R pixels a side as the model wants them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn
from tts_score_clip_options import Options
from tts_score_clip_pixels import Preprocessing, preprocessing

from tts.errors import UsageError, reason

TEXTS = 256
"""Texts that are embedded together."""


@dataclass(frozen=True)
class TwoTowers:
    """A network with ``get_image_features`` and ``get_text_features``, and its tokenizer."""

    network: Any
    tokenizer: Any
    prepare: Preprocessing
    device: torch.device
    dtype: torch.dtype

    @torch.inference_mode()
    def embed_images(self, images: Tensor) -> Tensor:
        """Directions (B, D), float32, of images (B, 3, S, S) in [0, 1]."""
        pixels = self.prepare(images.to(self.device)).to(self.dtype)  # B 3 R R
        return directions(self.network.get_image_features(pixel_values=pixels))

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Directions (N, D), float32, of texts. Raises ``UsageError`` for one that is too long."""
        self.check_lengths(texts)
        parts = [texts[i : i + TEXTS] for i in range(0, len(texts), TEXTS)]
        return torch.cat([directions(self.network.get_text_features(**self.encode(part))) for part in parts])

    def encode(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Token ids (N, T) and, for models that were trained with one, the mask that hides the padding.

        The SigLIP family was trained on texts that are padded to full length, without a mask.
        """
        if self.network.config.model_type.startswith("siglip"):
            options = {"padding": "max_length", "max_length": self.longest}
            names: tuple[str, ...] = ("input_ids",)
        else:
            options, names = {"padding": True}, ("input_ids", "attention_mask")
        encoded = self.tokenizer(list(texts), return_tensors="pt", **options)
        return {name: encoded[name].to(self.device) for name in names if name in encoded}

    @property
    def longest(self) -> int:
        """Number of tokens that a text may have."""
        config = getattr(self.network.config, "text_config", self.network.config)
        return int(getattr(config, "max_position_embeddings", self.tokenizer.model_max_length))

    def check_lengths(self, texts: Sequence[str]) -> None:
        """Refuse a text that would be cut."""
        ids = self.tokenizer(list(texts))["input_ids"]
        text, length = max(zip(texts, map(len, ids), strict=True), key=lambda pair: pair[1])
        if length > self.longest:
            raise UsageError(
                f"prompt {text[:80]!r} has {length} tokens, the model of scorer clip takes {self.longest};"
                " shorten the prompt or the name"
            )

    @property
    def scale(self) -> float:
        """What the model multiplies a cosine with: its learned logit scale, or 1 where it has none."""
        learned = getattr(self.network, "logit_scale", None)
        return 1.0 if learned is None else float(learned.detach().float().exp())

    @property
    def bias(self) -> float:
        """What the model adds to it: SigLIP's logit bias, else 0."""
        learned = getattr(self.network, "logit_bias", None)
        return 0.0 if learned is None else float(learned.detach().float())


def directions(output: Any) -> Tensor:
    """Unit vectors, float32, of a tower's output: a tensor, or since transformers 5 its pooled output."""
    features: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return F.normalize(features.float(), dim=-1)


def hash_weights(network: nn.Module) -> str:
    """SHA-256 of names, types, shapes and values of all tensors of a network."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def load(options: Options, device: torch.device) -> TwoTowers:
    """The model that the options name, tried on an empty image; what is wrong with it is a ``UsageError``."""
    name = options.model
    try:
        towers = _load(options, device)
        towers.embed_images(torch.zeros(1, 3, towers.prepare.size, towers.prepare.size))
    except ImportError as error:
        raise UsageError(
            f"scorer clip needs transformers ({reason(error)}); run pip install"
            " 'tts-score-clip[transformers]'"
        ) from error
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, SafetensorError) as error:
        raise UsageError(
            f"cannot load the model {name!r} of scorer clip ({reason(error)[:200]}); check the name,"
            " the network or the folder"
        ) from error
    return towers


def _load(options: Options, device: torch.device) -> TwoTowers:
    from transformers import AutoModel, AutoTokenizer

    name, where = options.model, {"local_files_only": options.local}
    with _no_bars(options.local):
        network, found = AutoModel.from_pretrained(name, output_loading_info=True, **where)
        tokenizer = AutoTokenizer.from_pretrained(name, **where)
    if not (hasattr(network, "get_image_features") and hasattr(network, "get_text_features")):
        raise ValueError(f"a model of type {network.config.model_type} has no towers of images and texts")
    if found["missing_keys"]:
        raise ValueError(f"its file lacks weights: {sorted(found['missing_keys'])[0]}")
    vision = getattr(network.config, "vision_config", network.config)
    prepare = preprocessing(_processor(name, where), getattr(vision, "image_size", None))
    dtype: torch.dtype = getattr(torch, options.dtype)
    network = network.eval().requires_grad_(False).to(device=device, dtype=dtype)
    return TwoTowers(network, tokenizer, prepare, device, dtype)


def _processor(name: str, where: dict[str, Any]) -> dict[str, Any] | None:
    """The image processor's configuration, if the model comes with one."""
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        config: dict[str, Any] = ImageProcessingMixin.get_image_processor_dict(name, **where)[0]
    except OSError:
        return None
    return config


@contextmanager
def _no_bars(quiet: bool) -> Iterator[None]:
    """Without the progress bars of transformers, which a folder does not need; downloads keep them."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    if quiet:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
