"""Training of the two digits VARs: teacher-forced next-scale prediction on augmented training images.

Axis letters: B images, L tokens of all scales, V codes, C code channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from digits import tokenizer
from digits.training import Recipe, balanced_images, fit, half, parameters
from tts.backbones.flexvar import FlexVarTransformer
from tts.backbones.presets import SPECS
from tts.backbones.storage import TRANSFORMER_FILE, FolderConfig, write_transformer
from tts.backbones.var import VarConfig, VarTransformer
from tts.backbones.vqvae import Vqvae
from tts.data.digits import CLASSES, load_digits_split

LABEL_DROP = 0.1
POOL, ENCODE, STRIDE = 40_000, 500, 7919  # images of the pool, at once, and a stride without common factor


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
    "var-digits": Variant(2, 1, Recipe(steps=250, batch=64, rate=2e-3, weight_decay=0.05, seed=1)),
    "var-digits-l": Variant(4, 2, Recipe(steps=700, batch=96, rate=2e-3, weight_decay=0.05, seed=2)),
}


def initialise(net: VarTransformer | FlexVarTransformer) -> None:
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
def teacher_inputs(code: Vqvae, tokens: Tensor) -> Tensor:
    """Inputs (B, L - 1, C) of scales 2..K that predict tokens (B, L)."""
    views = code.quantize.views(tokens)[:-1]
    return torch.cat([code.quantize.next_input(view, k) for k, view in enumerate(views, start=1)], dim=1)


class TokenPool:
    """Tokens of augmented training images, encoded once and drawn from in a fixed, balanced order."""

    def __init__(self, encode: Callable[[Tensor], Tensor], images: int = POOL) -> None:
        """``encode`` gives token maps (B, L) of images (B, 3, S, S) in [-1, 1]."""
        parts = [balanced_images(step, ENCODE) for step in range(images // ENCODE)]
        with torch.no_grad():
            self.tokens = torch.cat([encode(pixels * 2 - 1) for pixels, _ in parts])
        self.labels = torch.cat([labels for _, labels in parts])

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Tokens (B, L) and labels (B,) of one step; the stride visits every image, classes in turn."""
        index = torch.arange(step * size, (step + 1) * size) * STRIDE % len(self.labels)
        return self.tokens[index], self.labels[index]


def train(variant: Variant, code: Vqvae) -> VarTransformer:
    """Train one model from scratch."""
    recipe = variant.recipe
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    net = VarTransformer(variant.config)
    initialise(net)
    pool = TokenPool(code.encode)

    def loss(step: int) -> Tensor:
        tokens, labels = pool.batch(step, recipe.batch)
        inputs = teacher_inputs(code, tokens)
        drop = torch.rand(len(labels), generator=generator) < LABEL_DROP
        logits = net(labels.masked_fill(drop, CLASSES), inputs)  # B L V
        return F.cross_entropy(logits.flatten(0, 1), tokens.flatten())

    fit(net, loss, recipe)
    return net


@torch.no_grad()
def held_out_loss(net: VarTransformer, code: Vqvae) -> float:
    """Cross-entropy a token, in nats, of the held-out scans."""
    images, labels = load_digits_split("heldout")
    tokens = code.encode(images * 2 - 1)
    logits = net(labels, teacher_inputs(code, tokens))
    return float(F.cross_entropy(logits.flatten(0, 1), tokens.flatten()))


def stage(name: str, out: Path) -> dict[str, float]:
    """Train and store one model; returns its figures."""
    code = tokenizer.load(out / "digits-tokenizer.safetensors")
    net = train(VARIANTS[name], code)
    spec = next(spec for spec in SPECS if spec.name == name)
    (out / name).mkdir(parents=True, exist_ok=True)
    config = FolderConfig(name, "var", net.config, code.config, spec.sampling)
    write_transformer(out / name / TRANSFORMER_FILE, half(net), config)
    return {"parameters": parameters(net), "held_out_loss": held_out_loss(net, code)}
