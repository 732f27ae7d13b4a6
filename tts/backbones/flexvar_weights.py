"""The sizes of a FlexVAR and of its tokenizer, read from the tensors."""

from __future__ import annotations

from tts.backbones.flexvae import FlexVae, FlexVaeConfig
from tts.backbones.flexvar import FlexVarConfig, FlexVarTransformer
from tts.backbones.var_weights import infer_sizes, infer_widths
from tts.backbones.weights import State, build_net, count, need
from tts.errors import CheckpointError
from tts.specs import Schedule

TITLE = "FlexVAR"


def infer_flexvar_config(
    state: State, schedule: Schedule | None = None, fallback: Schedule | None = None
) -> FlexVarConfig:
    """Sizes and position table of a FlexVAR, read from the tensors.

    The weights hold no schedule: it is the given one, or ``fallback`` where the table has room for it.
    """
    sizes = infer_sizes(state, TITLE)
    shape = tuple(need(state, "pos_1LC", f"{TITLE} transformer", 4).shape)
    table = shape[-1]
    if shape[2] != table:
        raise CheckpointError(f"pos_1LC has shape {shape}, its last two must be equal; fetch it again")
    sides = schedule or fallback
    if sides is None:
        raise CheckpointError(f"the weights name no schedule; pass --schedule 1,2,3,… up to {table}")
    if sides[-1] > table:
        raise CheckpointError(
            f"schedule {','.join(map(str, sides))} ends at side {sides[-1]}, the model's position table has"
            f" {table}; pass --schedule 1,2,3,… up to {table}"
        )
    return FlexVarConfig(schedule=sides, **sizes, table=table)


def infer_flexvae_config(state: State) -> FlexVaeConfig:
    """Widths, levels, latent and codebook of the tokenizer, read from the tensors."""
    what = f"{TITLE} tokenizer"
    codes, channels = need(state, "quantize.embedding.weight", what, 2).shape
    levels = range(count(state, r"encoder\.conv_blocks\.(\d+)\."))
    keys = [f"encoder.conv_blocks.{i}.res.0.conv1.weight" for i in levels]
    width, multipliers = infer_widths(state, keys, TITLE)
    return FlexVaeConfig(
        codebook_size=codes,
        channels=channels,
        latent=need(state, "quant_conv.weight", what, 4).shape[1],
        width=width,
        multipliers=multipliers,
        blocks=count(state, r"encoder\.conv_blocks\.0\.res\.(\d+)\."),
    )


def build_transformer(state: State, config: FlexVarConfig) -> FlexVarTransformer:
    """The transformer with the weights of ``state``."""
    return build_net(FlexVarTransformer, config, state, f"a {TITLE} of depth {config.depth}")


def build_tokenizer(state: State, config: FlexVaeConfig) -> FlexVae:
    """The tokenizer with the weights of ``state``."""
    return build_net(FlexVae, config, state, f"the {TITLE} tokenizer")
