"""The shipped backbone, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tts_backbone_tiny import SPEC
from tts_backbone_tiny_model import TinyBackbone, build
from typer.testing import CliRunner

from tts.specs import BackboneRequest
from tts_cli.main import app

torch.set_num_threads(1)  # small tensors: threads only fight over cores

Build = Callable[..., TinyBackbone]
Run = Callable[..., tuple[int, str, str]]


def build_tiny(*weights: Path, dtype: torch.dtype = torch.float32) -> TinyBackbone:
    """The backbone on the CPU, with the shipped weights or the given ones."""
    return build(BackboneRequest(SPEC, torch.device("cpu"), dtype, weights))


@pytest.fixture(scope="session")
def make() -> Build:
    """Build the backbone."""
    return build_tiny


@pytest.fixture(scope="session")
def backbone() -> TinyBackbone:
    """The shipped backbone in float32."""
    return build_tiny()


@pytest.fixture(scope="session")
def run() -> Run:
    """Run ``tts`` with the installed plugins; gives exit code, stdout and stderr."""

    def run(*args: object) -> tuple[int, str, str]:
        result = CliRunner().invoke(
            app, list(map(str, args)), env={"COLUMNS": "200", "TTS_PROGRESS": "off"}, catch_exceptions=False
        )
        return result.exit_code, result.stdout, result.stderr

    return run
