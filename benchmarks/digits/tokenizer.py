"""Training of the digits' tokenizer: straight-through residual quantization with restarts of dead codes.

Axis letters: B images, L tokens of a scale, V codes, C code channels, H W the latent grid.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from digits.training import Recipe, balanced_images, fit, half, parameters
from tts.backbones.networks import TOKENIZER
from tts.backbones.parts import read_weights
from tts.backbones.quantizer import ResidualQuantizer
from tts.backbones.storage import write_tokenizer
from tts.backbones.var_weights import build_tokenizer
from tts.backbones.vqvae import Vqvae, VqvaeConfig
from tts.data.digits import load_digits_split

CONFIG = VqvaeConfig(
    schedule=(1, 2, 3, 4), codebook_size=256, channels=16, width=32, multipliers=(1, 2, 2), blocks=1
)
RECIPE = Recipe(steps=1500, batch=64, rate=1e-3, average=0.995, average_from=0.75)
COMMITMENT = 0.25
RESTART_EVERY = 25
RESTART_UNTIL = 0.7
DEAD_BELOW = 0.1  # uses a batch


class CodeUsage:
    """How often each code (V,) is used, and vectors (n, C) that could replace the dead ones."""

    def __init__(self, codes: int) -> None:
        self.uses = torch.ones(codes)
        self.vectors = torch.empty(0)

    def update(self, tokens: Tensor, vectors: Tensor) -> None:
        """Note the codes (n,) that a batch of vectors (n, C) was given."""
        counts = torch.bincount(tokens, minlength=len(self.uses)).float()
        self.uses.lerp_(counts, 0.1)
        self.vectors = vectors

    @torch.no_grad()
    def restart(self, codebook: Tensor, generator: torch.Generator) -> None:
        """Move the dead codes of ``codebook`` (V, C) onto random vectors of the last batch."""
        dead = (self.uses < DEAD_BELOW).nonzero()[:, 0]
        picks = torch.randint(len(self.vectors), (len(dead),), generator=generator)
        codebook[dead] = self.vectors[picks]
        self.uses[dead] = 1.0


def quantize(quantizer: ResidualQuantizer, feature: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Quantize features (B, C, H, W), scale by scale on the residual.

    Returns the latent (B, C, H, W), whose gradient goes straight to the features, the loss of codebook and
    commitment, and all tokens (n,) with the vectors (n, C) that they replace.
    """
    target = feature.detach()
    f_hat = quantizer.empty_latent(len(feature))
    losses, all_tokens, all_vectors = [], [], []
    for scale in range(len(quantizer.schedule)):
        vectors = quantizer.next_input(target - f_hat.detach(), scale)  # B L C
        tokens = quantizer.nearest(vectors.flatten(0, 1))  # BL
        f_hat = f_hat + quantizer.increment(tokens.unflatten(0, vectors.shape[:2]), scale)
        losses.append(F.mse_loss(f_hat, target) + COMMITMENT * F.mse_loss(feature, f_hat.detach()))
        all_tokens.append(tokens)
        all_vectors.append(vectors.flatten(0, 1))
    latent = feature + (f_hat - feature).detach()
    return latent, torch.stack(losses).mean(), torch.cat(all_tokens), torch.cat(all_vectors)


def train(recipe: Recipe = RECIPE) -> Vqvae:
    """Train the tokenizer from scratch."""
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    net = Vqvae(CONFIG)
    usage = CodeUsage(CONFIG.codebook_size)
    torch.nn.init.normal_(net.quantize.embedding.weight, std=0.1)

    def loss(step: int) -> Tensor:
        if step and step % RESTART_EVERY == 0 and step < RESTART_UNTIL * recipe.steps:
            usage.restart(net.quantize.embedding.weight, generator)
        images = balanced_images(step, recipe.batch)[0] * 2 - 1
        latent, quantization, tokens, vectors = quantize(net.quantize, net.features(images))
        usage.update(tokens, vectors)
        decoded: Tensor = net.decoder(net.post_quant_conv(latent))
        return F.mse_loss(decoded, images) + F.l1_loss(decoded, images) + quantization

    fit(net, loss, recipe)
    return net


def load(file: Path) -> Vqvae:
    """The stored tokenizer in float32: later stages see the half-precision weights that ship."""
    return build_tokenizer(read_weights(file, TOKENIZER).state, CONFIG).float()


@torch.no_grad()
def reconstruct(net: Vqvae, images: Tensor) -> Tensor:
    """Images (N, 3, S, S) in [0, 1] after encoding and decoding."""
    latents = (net.quantize.views(net.encode(part * 2 - 1))[-1] for part in images.split(256))
    return torch.cat([(net.decode(latent) + 1) / 2 for latent in latents])


def held_out_figures(net: Vqvae) -> dict[str, float]:
    """Mean PSNR of held-out scans, and how many codes they use."""
    images, _ = load_digits_split("heldout")
    error = (reconstruct(net, images) - images).square().mean(dim=(1, 2, 3))
    used = torch.cat([net.encode(part * 2 - 1).flatten() for part in images.split(256)]).unique()
    return {"psnr": float((-10 * error.log10()).mean()), "codes_used": len(used)}


def stage(out: Path) -> dict[str, float]:
    """Train and store the tokenizer; returns its figures."""
    file = out / "digits-tokenizer.safetensors"
    net = train()
    write_tokenizer(file, half(net))
    return {"parameters": parameters(net), **held_out_figures(load(file))}
