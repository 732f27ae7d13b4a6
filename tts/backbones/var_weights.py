"""The sizes of a VAR and of its tokenizer, read from the tensors."""

from __future__ import annotations

import math

import torch

from tts.backbones.blocks import HEAD_DIM
from tts.backbones.var import VarConfig, VarTransformer
from tts.backbones.vqvae import GROUPS, Vqvae, VqvaeConfig
from tts.backbones.weights import State, build_net, count, need
from tts.errors import CheckpointError
from tts.specs import Schedule


def infer_schedule(state: State, given: Schedule | None, fallback: Schedule | None) -> Schedule:
    """Sides of the scales: from the level of each token where the file has it, else as given."""
    tokens = need(state, "pos_1LC", "VAR transformer", 3).shape[1]
    levels = state.get("lvl_1L")
    schedule = given or fallback
    if levels is not None:
        levels = levels.flatten().long()
        if levels.numel() != tokens or not 0 <= int(levels.min()) <= int(levels.max()) < tokens:
            raise CheckpointError(
                f"lvl_1L does not hold the scale of each of {tokens} tokens; fetch it again"
            )
        counts = torch.bincount(levels).tolist()
        stored = tuple(math.isqrt(count) for count in counts)
        if given and given != stored:
            raise CheckpointError(
                f"schedule {given} given, but the weights have {stored}; leave --schedule out"
            )
        schedule = stored
    if schedule is None:
        raise CheckpointError("the weights do not name their schedule; pass --schedule 1,2,3,…")
    if sum(side * side for side in schedule) != tokens or len(schedule) < 2:
        raise CheckpointError(f"schedule {schedule} has another number of tokens than the weights ({tokens})")
    return schedule


def infer_sizes(state: State, title: str) -> dict[str, int]:
    """Depth, width, heads, classes, codebook and channels of a transformer with VAR's blocks, by field."""
    what = f"{title} transformer"
    classes, width = need(state, "class_emb.weight", what, 2).shape
    scale = need(state, "blocks.0.attn.scale_mul_1H11", what, 4)
    if classes < 2:
        raise CheckpointError(
            f"class_emb.weight has one row, so no class besides the unconditional; not a {title}"
        )
    if width != scale.shape[1] * HEAD_DIM:
        raise CheckpointError(
            f"width {width} is not heads x {HEAD_DIM} ({scale.shape[1]} heads); not a {title}"
        )
    return {
        "depth": count(state, r"blocks\.(\d+)\."),
        "width": width,
        "heads": scale.shape[1],
        "classes": classes - 1,
        "codebook_size": need(state, "head.weight", what, 2).shape[0],
        "channels": need(state, "word_embed.weight", what, 2).shape[1],
    }


def infer_var_config(
    state: State, schedule: Schedule | None = None, fallback: Schedule | None = None
) -> VarConfig:
    """Depth, width, heads, classes, codebook, channels and shared adaLN, read from the tensors.

    ``fallback`` is the schedule where neither the tensors nor ``schedule`` say it.
    """
    sizes = infer_sizes(state, "VAR")
    sides = infer_schedule(state, schedule, fallback)
    return VarConfig(schedule=sides, **sizes, shared_adaln="shared_ada_lin.1.weight" in state)


def infer_widths(state: State, keys: list[str], title: str) -> tuple[int, tuple[int, ...]]:
    """Width of an encoder's first convolution, and each level's as a multiple of it."""
    what = f"{title} tokenizer"
    width = need(state, "encoder.conv_in.weight", what, 4).shape[0]
    widths = [need(state, key, what, 4).shape[0] for key in keys]
    if not widths or any(not w or w % GROUPS or w % width for w in (width, *widths)):
        raise CheckpointError(
            f"the encoder's widths {(width, *widths)} are no multiples of {GROUPS} and of the first one;"
            f" this is no {title} tokenizer"
        )
    return width, tuple(w // width for w in widths)


def infer_vqvae_config(state: State, schedule: Schedule) -> VqvaeConfig:
    """Widths, levels and codebook of the tokenizer, read from the tensors."""
    codes, channels = need(state, "quantize.embedding.weight", "VAR tokenizer", 2).shape
    levels = range(count(state, r"encoder\.down\.(\d+)\."))
    width, multipliers = infer_widths(
        state, [f"encoder.down.{i}.block.0.conv1.weight" for i in levels], "VAR"
    )
    return VqvaeConfig(
        schedule=schedule,
        codebook_size=codes,
        channels=channels,
        width=width,
        multipliers=multipliers,
        blocks=count(state, r"encoder\.down\.0\.block\.(\d+)\."),
    )


def build_transformer(state: State, config: VarConfig) -> VarTransformer:
    """The transformer with the weights of ``state``."""
    return build_net(VarTransformer, config, state, f"a VAR of depth {config.depth}")


def build_tokenizer(state: State, config: VqvaeConfig) -> Vqvae:
    """The tokenizer with the weights of ``state``."""
    return build_net(Vqvae, config, state, "the VAR tokenizer")
