"""Training of the two digits VARs: teacher-forced next-scale prediction on augmented training images.

Axis letters: B images, L tokens of all scales, V codes, C code channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from digits import tokenizer
from digits.training import Recipe, balanced_images, fit, half, parameters
from tts.backbones.presets import SPECS
from tts.backbones.storage import TRANSFORMER_FILE, FolderConfig, write_transformer
from tts.backbones.var import VarConfig, VarTransformer
from tts.backbones.vqvae import Vqvae
from tts.data.digits import CLASSES, load_digits_split

LABEL_DROP = 0.1


@dataclass(frozen=True)
class Variant:
    """Size and training of one model."""

    depth: int
    heads: int
    recipe: Recipe

    @property
    def config(self) -> VarConfig:
        """The transformer's whole configuration; the width is 64 a head."""
        code = tokenizer.CONFIG
        return VarConfig(
            schedule=code.schedule,
            depth=self.depth,
            width=64 * self.heads,
            heads=self.heads,
            classes=CLASSES,
            codebook_size=code.codebook_size,
            channels=code.channels,
        )


VARIANTS = {
    "var-digits": Variant(2, 1, Recipe(steps=600, batch=128, rate=2e-3, weight_decay=0.05, seed=1)),
    "var-digits-l": Variant(4, 2, Recipe(steps=1500, batch=256, rate=2e-3, weight_decay=0.05, seed=2)),
}


def initialise(net: VarTransformer) -> None:
    """Small normal weights, zero biases, and residual branches that start almost closed."""
    depth, width = net.config.depth, net.config.width
    for name, parameter in net.named_parameters():
        if name.endswith(("mat_qkv.weight", "fc1.weight")):
            nn.init.normal_(parameter, std=1 / math.sqrt(width))
        elif name.endswith(("proj.weight", "fc2.weight")):
            nn.init.normal_(parameter, std=1 / math.sqrt(2 * depth * parameter.shape[1]))
        elif "scale_mul" not in name and parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.02)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)


@torch.no_grad()
def training_pair(code: Vqvae, images: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens (B, L) of images in [0, 1], and the inputs (B, L - 1, C) of scales 2..K that predict them."""
    tokens = code.encode(images * 2 - 1)  # B L
    views = code.quantize.views(tokens)[:-1]
    inputs = [code.quantize.next_input(view, k) for k, view in enumerate(views, start=1)]
    return tokens, torch.cat(inputs, dim=1)


def train(variant: Variant, code: Vqvae) -> VarTransformer:
    """Train one model from scratch."""
    recipe = variant.recipe
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    net = VarTransformer(variant.config)
    initialise(net)

    def loss(step: int) -> Tensor:
        images, labels = balanced_images(step, recipe.batch)
        tokens, inputs = training_pair(code, images)
        drop = torch.rand(len(labels), generator=generator) < LABEL_DROP
        logits = net(labels.masked_fill(drop, CLASSES), inputs)  # B L V
        return F.cross_entropy(logits.flatten(0, 1), tokens.flatten())

    fit(net, loss, recipe)
    return net


@torch.no_grad()
def held_out_loss(net: VarTransformer, code: Vqvae) -> float:
    """Cross-entropy a token, in nats, of the held-out scans."""
    images, labels = load_digits_split("heldout")
    tokens, inputs = training_pair(code, images)
    return float(F.cross_entropy(net(labels, inputs).flatten(0, 1), tokens.flatten()))


def stage(name: str, out: Path) -> dict[str, float]:
    """Train and store one model; returns its figures."""
    code = tokenizer.load(out / "digits-tokenizer.safetensors")
    net = train(VARIANTS[name], code)
    spec = next(spec for spec in SPECS if spec.name == name)
    (out / name).mkdir(parents=True, exist_ok=True)
    config = FolderConfig(name, "var", net.config, code.config, spec.sampling)
    write_transformer(out / name / TRANSFORMER_FILE, half(net), config)
    return {"parameters": parameters(net), "held_out_loss": held_out_loss(net, code)}
