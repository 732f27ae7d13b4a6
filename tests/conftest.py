"""Golden tensors, and synthetic checkpoints whose every tensor is a pure function of its key and shape."""

from __future__ import annotations

import json
import math
import os
import signal
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

GOLDEN = Path(__file__).parent / "golden"
SCHEDULES = {
    30: (1, 2, 3, 4),
    680: (1, 2, 3, 4, 5, 6, 8, 10, 13, 16),
    2240: (1, 2, 3, 4, 6, 9, 13, 18, 24, 32),
}

os.environ["TTS_PROGRESS"] = "off"  # of commands that tests start; those about progress switch it on
os.environ["TTS_WORK"] = f"{tempfile.gettempdir()}/no-tts-work"  # tests of the work folder name their own
torch.set_num_threads(1)  # small tensors: threads only fight over cores

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background job
    signal.signal(signal.SIGINT, signal.default_int_handler)


def synthetic_tensor(key: str, shape: list[int]) -> Tensor:
    """The reference's rule: seeded by the key, scaled by kind and shape."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
    if key.endswith("scale_mul_1H11"):
        return math.log(4) + 0.1 * x
    if len(shape) >= 2:
        return x / math.sqrt(math.prod(shape[1:]))
    if key.endswith(".weight"):
        return 1 + 0.1 * x
    return 0.02 * x


def sine_table(width: int, side: int) -> Tensor:
    """FlexVAR's initial position table (1, D, side, side): sines down, cosines across."""
    frequency = 10000.0 ** (-2 * torch.arange(width // 2, dtype=torch.float64) / width)
    angle = torch.arange(side, dtype=torch.float64)[:, None] * frequency  # side D/2
    down = angle.sin()[:, None].expand(-1, side, -1)
    across = angle.cos()[None].expand(side, -1, -1)
    return torch.stack((down, across), dim=-1).flatten(2).permute(2, 0, 1)[None].float().contiguous()


def _fixed_tensor(key: str, shape: list[int]) -> Tensor | None:
    """Tensors that keep the value the architecture gives them."""
    if key == "lvl_1L":
        sides = torch.tensor(SCHEDULES[shape[1]])
        return torch.repeat_interleave(torch.arange(len(sides)), sides**2)[None]
    if key == "attn_bias_for_masking":
        level = _fixed_tensor("lvl_1L", [1, shape[2]])
        return torch.where(level[0, :, None] >= level[0], 0.0, -torch.inf)[None, None]
    if key == "pos_1LC" and len(shape) == 4:
        return sine_table(shape[1], shape[2])
    if key.endswith(("zero_k_bias", "ema_vocab_hit_SV", "codebook_used")):
        return torch.zeros(shape)
    return None


def inception_tensor(key: str, shape: list[int]) -> Tensor:
    """The reference's rule for the Inception network, which keeps its maps at one size through all layers."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    x = synthetic_tensor(key, shape)
    if key.endswith("running_mean"):
        return 0.02 * x
    if key.endswith("running_var"):
        return 1 + 0.1 * x.abs()
    return x * math.sqrt(2) if len(shape) >= 2 else x


def build_state(name: str) -> dict[str, Tensor]:
    """The synthetic state dict of a checkpoint of ``checkpoints.json``."""
    keys = json.loads((GOLDEN / "checkpoints.json").read_text())[name]
    make = inception_tensor if name == "inception" else synthetic_tensor
    state = {}
    for key, (shape, _) in keys.items():
        fixed = _fixed_tensor(key, shape)
        state[key] = make(key, shape) if fixed is None else fixed
    return state


def meta_state(name: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint of ``checkpoints.json`` without contents: shapes and types only."""
    keys = json.loads((GOLDEN / "checkpoints.json").read_text())[name]
    return {
        key: torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
        for key, (shape, dtype) in keys.items()
    }


def relative_error(ours: Tensor, reference: Tensor) -> float:
    """max |a - b| / max |reference| over a tensor."""
    assert ours.shape == reference.shape, (ours.shape, reference.shape)
    return float((ours - reference).abs().max() / reference.abs().max())


def rounding_bound(terms: int, layers: int = 1) -> float:
    """The relative error that two float32 computations of the same may differ by, on any CPU.

    A sum of ``terms`` products has a rounding (2**-24 at most) a product, in an order that is the CPU's and
    the library's, and ``layers`` such sums follow one another. Roundings go up as often as down, so that what
    they come to grows with the root of their number; 8 of these are beyond the largest of a million values.
    """
    return 8 * 2**-24 * math.sqrt(terms * layers)


@pytest.fixture(scope="session")
def rounding() -> Callable[..., float]:
    """The relative error that float32 allows, by products in a sum and sums in a row."""
    return rounding_bound


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, Tensor]]:
    """Loads a golden file by name."""
    return lambda name: load_file(GOLDEN / f"{name}.safetensors")


@pytest.fixture(scope="session")
def synthetic_state() -> Callable[[str], dict[str, Tensor]]:
    """Builds a synthetic state dict by checkpoint name."""
    return build_state


@pytest.fixture(scope="session")
def checkpoint_shapes() -> Callable[[str], dict[str, Tensor]]:
    """Builds a state dict of tensors without contents by checkpoint name."""
    return meta_state


@pytest.fixture(scope="session")
def error() -> Callable[[Tensor, Tensor], float]:
    """The reference's relative error."""
    return relative_error


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """Transformer and tokenizer of a tiny model, saved as the authors publish them."""
    folder = tmp_path_factory.mktemp("published")

    def make(name: str) -> tuple[Path, Path]:
        tokenizer = "flexvae_tiny" if name == "flexvar_tiny" else "vae_tiny"
        files = (folder / f"{name}.pth", folder / f"{tokenizer}.pth")
        for file, key in zip(files, (name, tokenizer), strict=True):
            if not file.exists():
                state = build_state(key)
                torch.save({"model": state} if key == "flexvae_tiny" else state, file)
        return files

    return make


@pytest.fixture(scope="session")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic weights of the FID Inception, saved as published; tests only read it."""
    file = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(build_state("inception"), file)
    return file
