"""Makes ``tts_backbone_tiny.safetensors``: k-means for the codes, then a few minutes of gradient descent.

``OMP_NUM_THREADS=1 python train.py [FILE]``, from this folder, with scikit-learn installed for the scans. All
draws come of generators with seeds of their own, so a machine makes the same file every time.

Axis letters as in ``tts_backbone_tiny_model``.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tts_backbone_tiny_model import (
    CLASSES,
    FORMAT,
    LENGTHS,
    SCALES,
    WEIGHTS,
    Predictor,
    Pyramid,
)

from tts.data.digits import augmented, load_digits_split
from tts.io import save_tensors

SEED = 0
FIRST_SEED = 1 << 40  # images for training share no seed with images that ``tts collect`` draws
CODEBOOK_IMAGES, ROUNDS = 4000, 30
STEPS, BATCH, RATE, WARM_UP = 1500, 64, 2e-3, 100
LABEL_DROP, AVERAGE = 0.1, 0.998


def images_of(first: int, count: int) -> tuple[Tensor, Tensor]:
    """Distorted training images (N, 1, S, S) in [0, 1] and labels (N,), from a number on."""
    seeds = FIRST_SEED + torch.arange(first, first + count)
    labels = seeds % CLASSES
    return augmented(labels, seeds)[:, :1], labels


def k_means(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Centres (V, P) of points (N, P); a centre without points moves to the point that is worst served."""
    centres = points[torch.randperm(len(points), generator=generator)[:count]]
    for _ in range(ROUNDS):
        distance, nearest = torch.cdist(points, centres).min(dim=1)
        sizes = nearest.bincount(minlength=count)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        centres = sums / sizes.clamp(min=1)[:, None]
        empty = (sizes == 0).nonzero()[:, 0]
        centres[empty] = points[distance.topk(len(empty)).indices]
    return centres


def train_tokenizer() -> Pyramid:
    """Codes scale by scale, each of what the scales before leave over."""
    generator = torch.Generator().manual_seed(SEED)
    net = Pyramid()
    rest, _ = images_of(0, CODEBOOK_IMAGES)
    for scale in range(SCALES):
        points = net.patches(rest, scale).flatten(0, 1)  # N L, P
        net.codes[scale] = k_means(points, net.codes.shape[1], generator)
        tokens = net.nearest(net.patches(rest, scale), scale)
        rest = rest - net.increment(tokens, scale)
    return net


def loss_of(net: Predictor, code: Pyramid, images: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy a token, in nats, of images (N, 1, S, S), given the true maps of coarser scales."""
    tokens = code.encode(images)
    seen = [torch.zeros_like(images), *code.sums(tokens)]  # e_0 to e_K
    total = images.new_zeros(())
    for scale, target in enumerate(tokens.split(LENGTHS, dim=1)):
        logits = net(code.patches(seen[scale], scale), labels, scale)  # N L V
        total = total + F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="sum")
    return total / tokens.numel()


def initialise(net: nn.Module, generator: torch.Generator) -> None:
    """Small normal weights, zero biases, and modulations that change nothing at first."""
    for name, value in net.named_parameters():
        if value.ndim == 1 or "modulation" in name:
            nn.init.zeros_(value)
        else:
            nn.init.normal_(value, std=0.02 if "label" in name else 0.05, generator=generator)


def rate_at(step: int) -> float:
    """Linear warm-up, then cosine to zero, as a factor of ``RATE``."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / (STEPS - WARM_UP)))


def train_predictor(code: Pyramid) -> Predictor:
    """AdamW on distorted images, equally many of each class; the moving average of the weights counts."""
    generator = torch.Generator().manual_seed(SEED + 1)
    net = Predictor()
    initialise(net, generator)
    average = {key: value.clone() for key, value in net.state_dict().items()}
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate_at)
    start = time.perf_counter()
    for step in range(STEPS):
        images, labels = images_of(step * BATCH, BATCH)
        drop = torch.rand(BATCH, generator=generator) < LABEL_DROP
        loss = loss_of(net, code, images, labels.masked_fill(drop, CLASSES))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        for key, value in net.state_dict().items():
            average[key].lerp_(value, 1 - min(AVERAGE, step / (step + 10)))
        if step % 250 == 0 or step == STEPS - 1:
            print(
                f"step {step:5d}  loss {float(loss.detach()):.4f}  {time.perf_counter() - start:.0f} s",
                flush=True,
            )
    net.load_state_dict(average)
    return net.requires_grad_(False).half().float()  # as the file has it


def figures(net: Predictor, code: Pyramid) -> dict[str, float]:
    """Mean squared error and mean PSNR of held-out scans after the tokenizer, and the predictor's losses."""
    images, labels = load_digits_split("heldout")
    images = images[:, :1]
    error = (code.sums(code.encode(images))[-1].clamp(0, 1) - images).square().mean(dim=(1, 2, 3))
    return {
        "mse": float(error.mean()),
        "psnr": float((-10 * error.log10()).mean()),
        "loss": float(loss_of(net, code, images, labels)),
        "loss_without_class": float(loss_of(net, code, images, torch.full_like(labels, CLASSES))),
    }


def main(file: Path) -> None:
    """Train both parts, store them and print what held-out scans say."""
    code = train_tokenizer()
    net = train_predictor(code)
    state = {f"tokenizer.{key}": value for key, value in code.state_dict().items()}
    state |= {f"predictor.{key}": value.half() for key, value in net.state_dict().items()}
    save_tensors(file, state, {"format": FORMAT})
    print(json.dumps(figures(net, code), indent=2))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else WEIGHTS)
