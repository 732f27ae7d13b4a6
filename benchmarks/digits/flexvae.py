"""Training of FlexVAR's digits tokenizer: every side of the schedule is quantized and decoded by itself.

Axis letters: B images, L tokens of a scale, C code channels, S a side.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from digits.tokenizer import COMMITMENT, RESTART_EVERY, RESTART_UNTIL, CodeUsage
from digits.training import Recipe, balanced_images, fit, half, parameters
from tts.backbones.flexvae import FlexVae, FlexVaeConfig
from tts.backbones.flexvar_adapter import to_images
from tts.backbones.flexvar_weights import build_tokenizer
from tts.backbones.networks import TOKENIZER
from tts.backbones.parts import read_weights
from tts.backbones.presets import DIGITS_SCHEDULE as SCHEDULE
from tts.backbones.storage import TOKENIZER_FILE, write_tokenizer
from tts.data.digits import load_digits_split

CONFIG = FlexVaeConfig(codebook_size=256, channels=16, latent=64, width=32, multipliers=(1, 2, 2), blocks=1)
RECIPE = Recipe(steps=1500, batch=64, rate=1e-3, average=0.995, average_from=0.75)
COARSE = 0.3  # weight of the images that the coarse sides decode to


def quantize(net: FlexVae, features: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Quantize encoder features (B, Z, H, W) at one side.

    Returns the code map (B, C, S, S), whose gradient goes straight to the features, the loss of codebook and
    commitment, and the tokens (n,) with the unit vectors (n, C) that they replace.
    """
    vectors = F.normalize(net.vectors(features, side), dim=-1)  # B L C
    tokens = net.quantize.nearest(vectors.detach().flatten(0, 1)).unflatten(0, vectors.shape[:2])  # B L
    target = vectors.transpose(1, 2).unflatten(2, (side, side))  # B C S S
    code_map = net.quantize.code_map(tokens, side)
    loss = F.mse_loss(code_map, target.detach()) + COMMITMENT * F.mse_loss(target, code_map.detach())
    straight = target + (code_map - target).detach()
    return straight, loss * vectors.shape[-1], tokens.flatten(), vectors.detach().flatten(0, 1)


def train(recipe: Recipe = RECIPE) -> FlexVae:
    """Train the tokenizer from scratch."""
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    net = FlexVae(CONFIG)
    usage = CodeUsage(CONFIG.codebook_size)
    torch.nn.init.normal_(net.quantize.embedding.weight)

    def loss(step: int) -> Tensor:
        if step and step % RESTART_EVERY == 0 and step < RESTART_UNTIL * recipe.steps:
            usage.restart(net.quantize.embedding.weight, generator)
        images = balanced_images(step, recipe.batch)[0] * 2 - 1
        features = net.encoder(images)
        total = images.new_zeros(())
        parts = []
        for side in SCHEDULE:
            code_map, quantization, tokens, vectors = quantize(net, features, side)
            wanted = F.interpolate(images, size=(CONFIG.factor * side,) * 2, mode="area")
            decoded = net.decode(code_map)
            weight = 1.0 if side == SCHEDULE[-1] else COARSE
            error = F.mse_loss(decoded, wanted) + F.l1_loss(decoded, wanted)
            total = total + weight * error + quantization / len(SCHEDULE)
            parts.append((tokens, vectors))
        usage.update(torch.cat([tokens for tokens, _ in parts]), torch.cat([v for _, v in parts]))
        return total

    fit(net, loss, recipe)
    return net


def load(out: Path) -> FlexVae:
    """The stored tokenizer in float32: later stages see the half-precision weights that ship."""
    return build_tokenizer(
        read_weights(out / "flexvar-digits" / TOKENIZER_FILE, TOKENIZER).state, CONFIG
    ).float()


@torch.no_grad()
def reconstruct(net: FlexVae, images: Tensor) -> Tensor:
    """Images (N, 3, S, S) in [0, 1] after encoding and decoding at the finest side."""
    side = SCHEDULE[-1]
    parts = []
    for part in images.split(256):
        tokens = net.encode(part * 2 - 1, (side,))
        parts.append(to_images(net.decode(net.quantize.code_map(tokens, side))))
    return torch.cat(parts)


@torch.no_grad()
def held_out_figures(net: FlexVae) -> dict[str, float]:
    """Mean PSNR of held-out scans, and how many codes they use at all sides."""
    images, _ = load_digits_split("heldout")
    error = (reconstruct(net, images) - images).square().mean(dim=(1, 2, 3))
    used = torch.cat([net.encode(part * 2 - 1, SCHEDULE).flatten() for part in images.split(256)]).unique()
    return {"psnr": float((-10 * error.log10()).mean()), "codes_used": len(used)}


def stage(out: Path) -> dict[str, float]:
    """Train and store the tokenizer; returns its figures."""
    net = train()
    (out / "flexvar-digits").mkdir(parents=True, exist_ok=True)
    write_tokenizer(out / "flexvar-digits" / TOKENIZER_FILE, half(net))
    return {"parameters": parameters(net), **held_out_figures(load(out))}
