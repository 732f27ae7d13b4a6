"""The command line as a process of its own, with plugins that exist for one test only, and in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tts.manager import get_plugins
from tts_cli.main import app

Install = Callable[[str, str], None]
Tts = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    code: int
    stdout: str
    stderr: str


Run = Callable[..., Done]
Succeed = Callable[..., str]
Refuse = Callable[..., str]


def run_in_process(*args: object) -> Done:
    """Run ``tts`` in this process with the built-in plugins; a bug in it raises."""
    get_plugins.cache_clear()
    environment = {"COLUMNS": "1000", "TTS_PLUGINS": "", "TTS_STRICT": ""}
    try:
        result = CliRunner().invoke(app, list(map(str, args)), env=environment, catch_exceptions=False)
    finally:
        get_plugins.cache_clear()
    return Done(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="session")
def run() -> Run:
    """Run ``tts`` in this process."""
    return run_in_process


@pytest.fixture(scope="session")
def succeed() -> Succeed:
    """Run ``tts``, which must succeed in silence on stderr; gives stdout."""

    def check(*args: object) -> str:
        done = run_in_process(*args)
        assert (done.code, done.stderr) == (0, "")
        return done.stdout

    return check


@pytest.fixture(scope="session")
def refuse() -> Refuse:
    """Run ``tts``, which must refuse its input in one line and with exit code 2; gives the line."""

    def check(*args: object) -> str:
        done = run_in_process(*args)
        assert (done.code, done.stdout) == (2, ""), done
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: ")
        assert len(line) < 500
        return line

    return check


@dataclass(frozen=True)
class Trained:
    """Small data sets of var-digits, and a scorer trained on them."""

    real: Path
    generated: Path
    scorer: Path


@pytest.fixture(scope="session")
def trained(succeed: Succeed, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Both sides of the data and a quickly trained scorer, by way of the command line."""
    root = tmp_path_factory.mktemp("trained")
    made = Trained(root / "real", root / "generated", root / "scorer")
    succeed("collect", "--per-class", 20, "--out", made.generated)
    succeed("collect", "--per-class", 20, "--real", "digits", "--out", made.real)
    sides = ("--real", made.real, "--generated", made.generated)
    done = run_in_process("train-scorer", *sides, "--epochs", 1, "--epoch-pairs", 256, "--out", made.scorer)
    assert done.code == 0  # with a warning: so short a training ranks by chance
    return made


@pytest.fixture(scope="session")
def converted(
    succeed: Succeed,
    tiny_files: Callable[[str], tuple[Path, Path]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Path]:
    """Folder of a tiny model that ``tts convert`` made from files as the authors publish them."""
    root = tmp_path_factory.mktemp("converted")

    def make(name: str) -> Path:
        out = root / name
        if not out.exists():
            transformer, tokenizer = tiny_files(name)
            succeed("convert", "--transformer", transformer, "--tokenizer", tokenizer, "--out", out)
        return out

    return make


@pytest.fixture(scope="session")
def published_flexvar(succeed: Succeed, tiny_files: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny FlexVAR, converted from files as the authors publish them."""
    out = tmp_path_factory.mktemp("published") / "flexvar"
    transformer, tokenizer = tiny_files("flexvar_tiny")
    parts = ("--transformer", transformer, "--tokenizer", tokenizer)
    succeed("convert", *parts, "--schedule", "1,2,3,4", "--out", out)
    return out


@pytest.fixture(scope="session")
def flexvar(
    succeed: Succeed, tiny_files: Any, synthetic_state: Any, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same with the same codes, but a small encoder and decoder, so that large grids are quick."""
    from tts.backbones.flexvae import FlexVae, FlexVaeConfig

    root = tmp_path_factory.mktemp("small")
    config = FlexVaeConfig(codebook_size=64, channels=32, latent=8, width=32, multipliers=(1, 2), blocks=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        state = FlexVae(config).state_dict()
    codes = "quantize.embedding.weight"
    torch.save({"model": {**state, codes: synthetic_state("flexvae_tiny")[codes]}}, root / "vae.pth")
    parts = ("--transformer", tiny_files("flexvar_tiny")[0], "--tokenizer", root / "vae.pth")
    succeed("convert", *parts, "--schedule", "1,2,3,4", "--out", root / "flexvar")
    return root / "flexvar"


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.marker,)


@dataclass(frozen=True)
class Malicious:
    """A checkpoint that makes ``marker`` if it is ever unpickled."""

    file: Path
    marker: Path


@pytest.fixture
def malicious(tmp_path: Path) -> Malicious:
    """A hostile checkpoint."""
    made = Malicious(tmp_path / "malicious.pth", tmp_path / "marker")
    torch.save({"class_emb.weight": torch.ones(11, 128), "x": Payload(made.marker)}, made.file)
    return made


@pytest.fixture
def files(tmp_path: Path) -> Callable[[Path], dict[str, bytes]]:
    """Contents of all files below a folder, to compare before and after."""
    return lambda folder: {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Write a distribution of one module into a folder that ``tts`` has on its path."""

    def write(name: str, source: str) -> None:
        module = name.replace("-", "_")
        info = tmp_path / "site" / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (info.parent / f"{module}.py").write_text("import tts\n" + dedent(source))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[scalewise_tts]\nmain = {module}\n")

    return write


@pytest.fixture
def tts_environment(tmp_path: Path) -> dict[str, str]:
    """Environment in which the test's plugins are installed."""
    ignored = ("TTS_PLUGINS", "TTS_STRICT")
    kept = {name: value for name, value in os.environ.items() if name not in ignored}
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, "COLUMNS": "1000"}


@pytest.fixture
def tts(tts_environment: dict[str, str]) -> Tts:
    """Run ``tts`` with arguments; keywords are environment variables."""

    def run(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; sys.argv[0] = 'tts'; from tts_cli.main import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code, *args],
            env={**tts_environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run
