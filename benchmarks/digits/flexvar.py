"""Training of the digits FlexVAR: teacher-forced next-scale prediction on raw token maps, several schedules.

Axis letters: B images, L tokens of all scales of a schedule, V codes, C code channels.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from digits import flexvae
from digits.flexvae import SCHEDULE
from digits.training import Recipe, fit, half, parameters
from digits.var import LABEL_DROP, TokenPool, initialise
from tts.backbones.flexvae import FlexVae
from tts.backbones.flexvar import FlexVarConfig, FlexVarTransformer, upsampled_inputs
from tts.backbones.presets import SPECS
from tts.backbones.storage import TRANSFORMER_FILE, FolderConfig, write_transformer
from tts.data.digits import CLASSES, load_digits_split

NAME = "flexvar-digits"
HEADS, DEPTH = 1, 2
RECIPE = Recipe(steps=300, batch=64, rate=2e-3, weight_decay=0.05, seed=1)
SCHEDULES = (SCHEDULE, (1, 2, 4), SCHEDULE, (1, 3, 4))
"""Steps take these in turn, so that half of them see the whole schedule."""

CONFIG = FlexVarConfig(
    schedule=SCHEDULE,
    depth=DEPTH,
    width=64 * HEADS,
    heads=HEADS,
    classes=CLASSES,
    codebook_size=flexvae.CONFIG.codebook_size,
    channels=flexvae.CONFIG.channels,
    table=SCHEDULE[-1],
    trained_side=SCHEDULE[-1],
)


def choose(tokens: Tensor, schedule: tuple[int, ...]) -> Tensor:
    """Token maps (B, sum L_k) of a schedule, from those (B, L) of the whole one."""
    parts = dict(zip(SCHEDULE, tokens.split([side * side for side in SCHEDULE], dim=1), strict=True))
    return torch.cat([parts[side] for side in schedule], dim=1)


@torch.no_grad()
def teacher_inputs(code: FlexVae, tokens: Tensor, schedule: tuple[int, ...]) -> Tensor:
    """Inputs (B, sum L_k - 1, C) of scales 2..K that predict tokens (B, sum L_k)."""
    return upsampled_inputs(code.code_maps(tokens, schedule))


def sine_table(width: int, side: int) -> Tensor:
    """The published initial position table (1, D, S, S): sines down, cosines across."""
    frequency = 10000.0 ** (-2 * torch.arange(width // 2) / width)
    angle = torch.arange(side)[:, None] * frequency  # S D/2
    down, across = angle.sin()[:, None], angle.cos()[None]
    table = torch.stack((down.expand(side, side, -1), across.expand(side, side, -1)), dim=-1)
    return table.flatten(2).permute(2, 0, 1)[None]


def train(code: FlexVae, recipe: Recipe = RECIPE, config: FlexVarConfig = CONFIG) -> FlexVarTransformer:
    """Train the model from scratch."""
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    net = FlexVarTransformer(config)
    initialise(net)
    net.pos_1LC = nn.Parameter(sine_table(config.width, config.table))
    pool = TokenPool(lambda images: code.encode(images, SCHEDULE))

    def loss(step: int) -> Tensor:
        tokens, labels = pool.batch(step, recipe.batch)
        schedule = SCHEDULES[step % len(SCHEDULES)]
        tokens = choose(tokens, schedule)
        drop = torch.rand(len(labels), generator=generator) < LABEL_DROP
        inputs = teacher_inputs(code, tokens, schedule)
        logits = net(labels.masked_fill(drop, CLASSES), inputs, schedule)  # B L V
        return F.cross_entropy(logits.flatten(0, 1), tokens.flatten())

    fit(net, loss, recipe)
    return net


@torch.no_grad()
def held_out_loss(net: FlexVarTransformer, code: FlexVae, schedule: tuple[int, ...]) -> float:
    """Cross-entropy a token, in nats, of the held-out scans."""
    images, labels = load_digits_split("heldout")
    tokens = code.encode(images * 2 - 1, schedule)
    logits = net(labels, teacher_inputs(code, tokens, schedule), schedule)
    return float(F.cross_entropy(logits.flatten(0, 1), tokens.flatten()))


def stage(out: Path) -> dict[str, float]:
    """Train and store the model; returns its figures."""
    code = flexvae.load(out)
    net = train(code)
    spec = next(spec for spec in SPECS if spec.name == NAME)
    config = FolderConfig(NAME, "flexvar", net.config, code.config, spec.sampling)
    write_transformer(out / NAME / TRANSFORMER_FILE, half(net), config)
    losses = {f"held_out_loss_{len(s)}": held_out_loss(net, code, s) for s in SCHEDULES[:2]}
    return {"parameters": parameters(net), **losses}
