"""Reading checkpoints as published: never unpickling code, sizes read from the tensors, strict loading."""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tts.backbones.var import HEAD_DIM, VarConfig, VarTransformer
from tts.backbones.vqvae import Vqvae, VqvaeConfig
from tts.errors import CheckpointError

State = Mapping[str, Tensor]
Net = TypeVar("Net", bound=nn.Module)

WRAPPERS = (("trainer", "var_wo_ddp"), ("trainer", "vae_local"), ("state_dict",), ("model",), ("module",))
"""Keys under which published checkpoints keep the state dict, outermost first."""

DERIVED = ("lvl_1L", "attn_bias_for_masking", "attn.zero_k_bias", "quantize.ema_vocab_hit_SV")
"""Endings of keys that the architecture fixes or that only training uses: read, never loaded."""


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict of a ``.safetensors`` or pickled (``.pth``) file, memory-mapped and unwrapped.

    Pickles are read with ``weights_only=True``, so that no code in them runs.
    """
    if not path.is_file():
        raise CheckpointError(f"no weights file {str(path)!r}; give the path of a .pth or .safetensors file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(path, error)) from None
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{str(path)!r} is truncated or no checkpoint ({_first_line(error)}); fetch or convert it again"
        ) from None
    return unwrap(content, path)


def _refusal(path: Path, error: Exception) -> str:
    found = re.search(r"(?:GLOBAL|global|class)\s+`?([\w.]+)", str(error))
    what = f"asks to run {found.group(1)}" if found else "holds more than tensors"
    return f"{str(path)!r} {what}, refused unread; only plain state dicts of tensors are loaded"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def unwrap(content: object, path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, whether plain or under one of the known wrapper keys."""
    for keys in ((), *WRAPPERS):
        inner = content
        for key in keys:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(inner, dict) and inner and all(isinstance(v, Tensor) for v in inner.values()):
            return {key.removeprefix("module."): value for key, value in inner.items()}
    found = ", ".join(sorted(map(str, content))[:5]) if isinstance(content, dict) else type(content).__name__
    raise CheckpointError(f"{str(path)!r} holds no state dict (found: {found}); give the published file")


def load_strict(net: Net, state: State, what: str) -> Net:
    """Put ``state`` into ``net`` (built on the meta device) without copying; every key must fit."""
    wanted = net.state_dict()
    given = {key: value for key, value in state.items() if not key.endswith(DERIVED)}
    problems = (
        *_some("missing", (key for key in wanted if key not in given)),
        *_some("unexpected", (key for key in given if key not in wanted)),
        *_some(
            "mis-shaped",
            (
                f"{key} {tuple(given[key].shape)} for {tuple(wanted[key].shape)}"
                for key in wanted
                if key in given and given[key].shape != wanted[key].shape
            ),
        ),
    )
    if problems:
        raise CheckpointError(f"the weights do not fit {what}: {'; '.join(problems)}")
    net.load_state_dict(given, strict=True, assign=True)
    return net.requires_grad_(False).eval()


def _some(kind: str, keys: Iterable[str]) -> tuple[str, ...]:
    names = list(keys)
    if not names:
        return ()
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (f"{len(names)} {kind} ({', '.join(names[:3])}{more})",)


def _need(state: State, key: str, what: str) -> Tensor:
    if key not in state:
        raise CheckpointError(f"no tensor {key!r}: this is no {what}; check that the right file was given")
    return state[key]


def _count(state: State, pattern: str) -> int:
    found = [int(m.group(1)) for key in state if (m := re.match(pattern, key))]
    return max(found, default=-1) + 1


def infer_schedule(state: State, given: tuple[int, ...] | None) -> tuple[int, ...]:
    """Sides of the scales: from the level of each token where the file has it, else as given."""
    tokens = _need(state, "pos_1LC", "VAR transformer").shape[1]
    levels = state.get("lvl_1L")
    schedule = given
    if levels is not None:
        counts = torch.bincount(levels.flatten()).tolist()
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
    classes, width = _need(state, "class_emb.weight", "VAR transformer").shape
    scale = _need(state, "blocks.0.attn.scale_mul_1H11", "VAR transformer")
    if width != scale.shape[1] * HEAD_DIM:
        raise CheckpointError(f"width {width} is not heads x {HEAD_DIM} ({scale.shape[1]} heads); not a VAR")
    return VarConfig(
        schedule=infer_schedule(state, schedule),
        depth=_count(state, r"blocks\.(\d+)\."),
        width=width,
        heads=scale.shape[1],
        classes=classes - 1,
        codebook_size=_need(state, "head.weight", "VAR transformer").shape[0],
        channels=_need(state, "word_embed.weight", "VAR transformer").shape[1],
        shared_adaln="shared_ada_lin.1.weight" in state,
    )


def infer_vqvae_config(state: State, schedule: tuple[int, ...]) -> VqvaeConfig:
    """Widths, levels and codebook of the tokenizer, read from the tensors."""
    width = _need(state, "encoder.conv_in.weight", "VAR tokenizer").shape[0]
    levels = _count(state, r"encoder\.down\.(\d+)\.")
    codes, channels = _need(state, "quantize.embedding.weight", "VAR tokenizer").shape
    return VqvaeConfig(
        schedule=schedule,
        codebook_size=codes,
        channels=channels,
        width=width,
        multipliers=tuple(
            state[f"encoder.down.{i}.block.0.conv1.weight"].shape[0] // width for i in range(levels)
        ),
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
