"""Plugins that exist for one test only, a tiny exact backbone and scorer, and the embedded digits."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tts.backbones.storage import embedded_folder, load_folder
from tts.backbones.var_adapter import VarBackbone
from tts.data.manifest import BackboneIdentity
from tts.errors import TtsError, UsageError
from tts.interfaces import BackboneInfo, Proposals
from tts.manager import get_plugins
from tts.scorers.checkpoint import ScorerCard, save_scorer
from tts.scorers.network import ScorerNetwork, default_config
from tts.specs import Guidance, SamplingDefaults

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Write distributions of one module each into a folder that is on ``sys.path``."""
    monkeypatch.delenv("TTS_PLUGINS", raising=False)
    monkeypatch.delenv("TTS_STRICT", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    get_plugins.cache_clear()

    def write(
        name: str,
        source: str,
        *,
        entry_points: str | None = None,
        module: str | None = None,
        folder: str = ".",
    ) -> Path:
        module = module or name.replace("-", "_")
        site = tmp_path / folder
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{module}.py").write_text("import tts\n" + dedent(source))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        points = entry_points or f"[scalewise_tts]\nmain = {module}\n"
        (info / "entry_points.txt").write_text(points)
        importlib.invalidate_caches()
        get_plugins.cache_clear()  # a fixture may have looked at them before
        return info

    yield write
    get_plugins.cache_clear()
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that operations make while they live; ``peak`` is the most at once."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self.alive: dict[StorageWeakRef, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and count what it made."""
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                self.alive[StorageWeakRef(storage)] = storage.nbytes()
        self.alive = {ref: size for ref, size in self.alive.items() if not ref.expired()}
        self.peak = max(self.peak, sum(self.alive.values()))
        return out


@pytest.fixture
def live_bytes() -> type[LiveBytes]:
    """What counts the memory of tensors in a ``with`` block."""
    return LiveBytes


@pytest.fixture
def refused() -> Callable[..., AbstractContextManager[None]]:
    """Expect an error for the user: one line, lower case, no full stop, the given words in it."""

    @contextmanager
    def check(*words: str, kind: type[TtsError] = UsageError, code: int = 2) -> Iterator[None]:
        with pytest.raises(kind) as caught:
            yield
        message = str(caught.value)
        assert caught.value.exit_code == code
        assert "\n" not in message
        assert not message.endswith(".")
        for word in words:
            assert word in message

    return check


def pictures(latents: Tensor) -> Tensor:
    """Grey images whose brightness follows latents (N, C, H, W)."""
    grey = latents.sum(1, keepdim=True) % 16 / 15
    return grey.repeat(1, 3, 2, 2)


class FakeState:
    """A batch of the fake backbone; all arithmetic is exact, so that no result depends on the batch."""

    def __init__(self, backbone: FakeBackbone, labels: Tensor, cfg: float) -> None:
        self.backbone, self.info = backbone, backbone.info
        self.scale = 0
        self.history = labels * 7 + round(8 * cfg)  # B
        self.latent = torch.zeros(len(labels), self.info.channels, self.info.grid, self.info.grid)

    def logits(self) -> Tensor:
        """Each token's distribution depends on the label and on all maps before."""
        position = torch.arange(self.info.lengths[self.scale])[:, None]  # L 1
        code = torch.arange(self.info.codebook_size)  # V
        phase = self.history[:, None, None] * (code + 3) + position * (5 * code + 2)
        return (phase * (code + 1) % 11) / 4.0 + code / 64  # B L V, no two alike

    def propose(self, tokens: Tensor) -> Tensor:
        """The latent plus each code's vector, copied to the whole grid."""
        side, grid = self.info.schedule[self.scale], self.info.grid
        vectors = torch.arange(self.info.codebook_size * self.info.channels).view(-1, self.info.channels)
        maps = vectors[tokens].movedim(-1, 2).unflatten(-1, (side, side)).float()  # B M C side side
        near = torch.arange(grid) * side // grid
        return self.latent[:, None] + maps[..., near[:, None], near]

    def commit(self, tokens: Tensor) -> None:
        """Go on to the next scale."""
        self.backbone.committed.append(tokens)
        self.latent = self.propose(tokens[:, None])[:, 0]
        weights = torch.arange(tokens.shape[1]) + 1
        self.history = (self.history * 31 + (tokens * weights).sum(1) + 1) % 10007
        self.scale += 1

    def reindex(self, rows: Tensor) -> None:
        """Keep some rows."""
        self.history, self.latent = self.history[rows], self.latent[rows]

    def preview(self, tokens: Tensor) -> Tensor:
        """Candidates as images."""
        return pictures(self.propose(tokens).flatten(0, 1)).unflatten(0, tokens.shape[:2])

    def decode(self) -> Tensor:
        """The latent as images."""
        return pictures(self.latent)


class FakeBackbone:
    """Three scales of 1, 4 and 9 tokens from 7 codes; remembers what was committed."""

    def __init__(self, state: type[FakeState] = FakeState, **changes: Any) -> None:
        facts: dict[str, Any] = {
            "name": "fake",
            "family": "fake",
            "schedule": (1, 2, 3),
            "codebook_size": 7,
            "channels": 2,
            "grid": 3,
            "classes": 5,
            "image_size": 6,
            "guidance": Guidance("none", 0.0, "no guidance"),
            "sampling": SamplingDefaults(cfg=0.0, top_k=0, top_p=0.0),
            "stochastic": (True, True, True),
        }
        self.info = BackboneInfo(**{**facts, **changes})
        self.state = state
        self.committed: list[Tensor] = []

    def begin(self, labels: Tensor, cfg: float) -> FakeState:
        """Start a batch."""
        return self.state(self, labels, cfg)

    def encode(self, images: Tensor) -> Tensor:
        """All zeros."""
        return torch.zeros(len(images), self.info.tokens, dtype=torch.int64)

    def decode(self, tokens: Tensor) -> Tensor:
        """Images of recorded maps."""
        state = self.begin(torch.zeros(len(tokens), dtype=torch.int64), 0.0)
        for part in tokens.split(self.info.lengths, dim=1):
            state.commit(part)
        return state.decode()

    def views(self, tokens: Tensor) -> list[Tensor]:
        """Latents of recorded maps."""
        state, latents = self.begin(torch.zeros(len(tokens), dtype=torch.int64), 0.0), []
        for part in tokens.split(self.info.lengths, dim=1):
            state.commit(part)
            latents.append(state.latent)
        return latents

    def weights_hash(self) -> str:
        """A made-up hash."""
        return "fa" * 32


class FakeScorer:
    """Scores by a function of the proposals and remembers each call's scale and tokens."""

    def __init__(self, rule: Callable[[Proposals], Tensor] | None = None, name: str = "fake-scorer") -> None:
        self.rule, self.name = rule or weighted_sum, name
        self.calls: list[Proposals] = []

    def score(self, proposals: Proposals) -> Tensor:
        """Apply the rule."""
        self.calls.append(proposals)
        return self.rule(proposals)


def weighted_sum(proposals: Proposals) -> Tensor:
    """Scores (B, M) that depend on every token, on the label and on the map; exact, with few ties."""
    weights = torch.arange(proposals.tokens.shape[2]) * 13 + 1
    mixed = (proposals.tokens * weights).sum(-1) * 29 + proposals.labels[:, None]
    return (mixed % 101).float() + proposals.maps.mean(dim=(2, 3, 4)) / 64


@pytest.fixture(scope="session")
def fake_backbone() -> type[FakeBackbone]:
    """The class of a tiny exact backbone; ``state`` replaces its state's class, the rest facts."""
    return FakeBackbone


@pytest.fixture(scope="session")
def fake_state() -> type[FakeState]:
    """The class of its state, to derive broken ones from."""
    return FakeState


@pytest.fixture(scope="session")
def fake_scorer() -> type[FakeScorer]:
    """The class of a scorer that follows a function."""
    return FakeScorer


@pytest.fixture(scope="session")
def digits_backbone() -> VarBackbone:
    """The embedded model of handwritten digits on the CPU."""
    files = embedded_folder("var-digits")
    return VarBackbone(*load_folder(*files), torch.device("cpu"), torch.float32)


@pytest.fixture(scope="session")
def digits_identity(digits_backbone: VarBackbone) -> BackboneIdentity:
    """Its identity."""
    return BackboneIdentity.from_backbone(digits_backbone)


@pytest.fixture(scope="session")
def digits_scorer(
    digits_backbone: VarBackbone, digits_identity: BackboneIdentity, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A scorer file for it: untrained, but of the right shape and with reproducible weights."""
    info = digits_backbone.info
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = ScorerNetwork(default_config(info.channels, info.grid, info.classes, info.scales))
    path = tmp_path_factory.mktemp("scorer") / "scorer.safetensors"
    save_scorer(path, network.eval(), ScorerCard(network.config, digits_identity, {"settings": {"seed": 3}}))
    return path
