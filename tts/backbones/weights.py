"""Reading checkpoints as published: never unpickling code, sizes read from the tensors, strict loading."""

from __future__ import annotations

import math
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tts.backbones.var import HEAD_DIM, VarConfig, VarTransformer
from tts.backbones.vqvae import GROUPS, Vqvae, VqvaeConfig
from tts.errors import CheckpointError

State = Mapping[str, Tensor]
Net = TypeVar("Net", bound=nn.Module)

WRAPPERS = (("trainer", "var_wo_ddp"), ("trainer", "vae_local"), ("state_dict",), ("model",), ("module",))
"""Keys under which published checkpoints keep the state dict, outermost first."""

DERIVED = ("lvl_1L", "attn_bias_for_masking", "attn.zero_k_bias", "quantize.ema_vocab_hit_SV")
"""Endings of keys that the architecture fixes or that only training uses: read, never loaded."""

MAX_REASON, MAX_NAME = 160, 80
"""Characters of an error or a tensor's name that a message may repeat."""


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict of a ``.safetensors`` or pickled (``.pth``) file, memory-mapped and unwrapped.

    Pickles are read with ``weights_only=True``, so that no code in them runs.
    """
    if not path.is_file():
        raise CheckpointError(f"no weights file {str(path)!r}; give the path of a .pth or .safetensors file")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _load_pickle(path)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(path, error)) from None
    except Exception as error:  # readers raise errors of many kinds for broken files
        raise CheckpointError(
            f"{str(path)!r} is truncated or no checkpoint ({_reason(error)}); fetch or convert it again"
        ) from None
    return unwrap(content, path)


def _load_pickle(path: Path) -> object:
    """What a ``.pth`` file holds; only the zip form of today's PyTorch can be memory-mapped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of broken files; their error says it
        return torch.load(path, map_location="cpu", mmap=zipfile.is_zipfile(path), weights_only=True)


def _refusal(path: Path, error: Exception) -> str:
    found = re.search(r"(?:GLOBAL|global|class)\s+`?([\w.]+)", str(error))
    what = f"asks to run {found.group(1)}" if found else "holds more than tensors"
    return f"{str(path)!r} {what}, refused unread; only plain state dicts of tensors are loaded"


def _reason(error: Exception) -> str:
    """The first sentence, since PyTorch explains at length; parsers that stumble say nothing useful."""
    if isinstance(error, (AttributeError, EOFError, LookupError, TypeError)):
        return "damaged contents"
    return str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".")[:MAX_REASON]


def unwrap(content: object, path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, whether plain or under one of the known wrapper keys."""
    for keys in ((), *WRAPPERS):
        inner = content
        for key in keys:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(inner, dict) and inner and all(isinstance(v, Tensor) for v in inner.values()):
            return {str(key).removeprefix("module."): value for key, value in inner.items()}
    found = ", ".join(sorted(map(str, content))[:5]) if isinstance(content, dict) else type(content).__name__
    raise CheckpointError(f"{str(path)!r} holds no state dict (found: {found}); give the published file")


def load_strict(net: Net, state: State, what: str) -> Net:
    """Put ``state`` into ``net`` (built on the meta device) without copying; every key must fit."""
    wanted = net.state_dict()
    given = {key: value for key, value in state.items() if not key.endswith(DERIVED)}
    common = [key for key in wanted if key in given]
    shapes = {key: (tuple(given[key].shape), tuple(wanted[key].shape)) for key in common}
    problems = {
        "missing": [key for key in wanted if key not in given],
        "unexpected": [key for key in given if key not in wanted],
        "mis-shaped": [f"{key} {got} for {need}" for key, (got, need) in shapes.items() if got != need],
        "not of floating point": [key for key in common if not given[key].is_floating_point()],
    }
    found = {kind: names for kind, names in problems.items() if names}
    if found:
        shown = 2 if len(found) == 1 else 1
        texts = (_some(kind, names, shown) for kind, names in found.items())
        raise CheckpointError(f"the weights do not fit {what}: {'; '.join(texts)}; give the right file")
    net.load_state_dict(given, strict=True, assign=True)
    return net.requires_grad_(False).eval()


def _some(kind: str, names: list[str], shown: int) -> str:
    first = ", ".join(name[:MAX_NAME] for name in names[:shown])
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{len(names)} {kind} ({first}{more})"


def _need(state: State, key: str, what: str, dimensions: int) -> Tensor:
    if key not in state:
        raise CheckpointError(f"no tensor {key!r}: this is no {what}; check that the right file was given")
    if state[key].ndim != dimensions or 0 in state[key].shape:
        shape = tuple(state[key].shape)
        raise CheckpointError(
            f"{key!r} has shape {shape}, a {what} has {dimensions} axes there; fetch it again"
        )
    return state[key]


def _count(state: State, pattern: str) -> int:
    found = [int(m.group(1)) for key in state if (m := re.match(pattern, key))]
    return max(found, default=-1) + 1


def infer_schedule(state: State, given: tuple[int, ...] | None) -> tuple[int, ...]:
    """Sides of the scales: from the level of each token where the file has it, else as given."""
    tokens = _need(state, "pos_1LC", "VAR transformer", 3).shape[1]
    levels = state.get("lvl_1L")
    schedule = given
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


def infer_var_config(state: State, schedule: tuple[int, ...] | None = None) -> VarConfig:
    """Depth, width, heads, classes, codebook, channels and shared adaLN, read from the tensors."""
    classes, width = _need(state, "class_emb.weight", "VAR transformer", 2).shape
    scale = _need(state, "blocks.0.attn.scale_mul_1H11", "VAR transformer", 4)
    if classes < 2:
        raise CheckpointError(
            "class_emb.weight has one row, so no class besides the unconditional; not a VAR"
        )
    if width != scale.shape[1] * HEAD_DIM:
        raise CheckpointError(f"width {width} is not heads x {HEAD_DIM} ({scale.shape[1]} heads); not a VAR")
    return VarConfig(
        schedule=infer_schedule(state, schedule),
        depth=_count(state, r"blocks\.(\d+)\."),
        width=width,
        heads=scale.shape[1],
        classes=classes - 1,
        codebook_size=_need(state, "head.weight", "VAR transformer", 2).shape[0],
        channels=_need(state, "word_embed.weight", "VAR transformer", 2).shape[1],
        shared_adaln="shared_ada_lin.1.weight" in state,
    )


def infer_vqvae_config(state: State, schedule: tuple[int, ...]) -> VqvaeConfig:
    """Widths, levels and codebook of the tokenizer, read from the tensors."""
    what = "VAR tokenizer"
    width = _need(state, "encoder.conv_in.weight", what, 4).shape[0]
    codes, channels = _need(state, "quantize.embedding.weight", what, 2).shape
    convs = [
        f"encoder.down.{i}.block.0.conv1.weight" for i in range(_count(state, r"encoder\.down\.(\d+)\."))
    ]
    widths = [_need(state, key, what, 4).shape[0] for key in convs]
    if not widths or any(not w or w % GROUPS or w % width for w in (width, *widths)):
        raise CheckpointError(
            f"the encoder's widths {(width, *widths)} are no multiples of {GROUPS} and of the first one;"
            " this is no VAR tokenizer"
        )
    return VqvaeConfig(
        schedule=schedule,
        codebook_size=codes,
        channels=channels,
        width=width,
        multipliers=tuple(w // width for w in widths),
        blocks=_count(state, r"encoder\.down\.0\.block\.(\d+)\."),
    )


def build_transformer(state: State, config: VarConfig) -> VarTransformer:
    """The transformer on the meta device, then filled: no initialisation is computed or patched away."""
    with torch.device("meta"):
        net = VarTransformer(config)
    return load_strict(net, state, f"a VAR of depth {config.depth}")


def build_tokenizer(state: State, config: VqvaeConfig) -> Vqvae:
    """The tokenizer, likewise."""
    with torch.device("meta"):
        net = Vqvae(config)
    return load_strict(net, state, "the VAR tokenizer")
