"""The work of ``tts train-scorer``: from two token data sets to a scorer file with its figures.

Under ``torchrun`` rank 0 decides whether and how to begin, evaluates and writes; all processes train.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path

import torch

from tts.config import Choices
from tts.data.manifest import BackboneIdentity
from tts.data.store import TokenStore
from tts.engine.launch import Launch, agree
from tts.engine.stopping import Stop
from tts.errors import CheckpointError, UsageError
from tts.interfaces import Backbone
from tts.io import ensure_writable_dir
from tts.locks import sole_writer
from tts.manager import get_plugins
from tts.owners import claim
from tts.resolve import build_backbone, find_backbone, load_factory, torch_device
from tts.runinfo import environment
from tts.scorers.checkpoint import SCORER_FILE
from tts.scorers.located import located
from tts.scorers.resume import (
    CHECKPOINT_FILE,
    FREE,
    Facts,
    beginning,
    check_same,
    clear,
    facts,
    load_checkpoint,
    restore,
    save_checkpoint,
)
from tts.scorers.settings import Loss, TrainSettings
from tts.scorers.state import Snapshot
from tts.scorers.team import Team, check_devices
from tts.scorers.train import Around, Training
from tts.scorers.train_config import TrainConfig, check, train_settings
from tts.scorers.train_files import METRICS_FILE, TrainSummary, read_metrics, read_summary, write_result

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """A training with all that it needs, opened by each process for itself."""

    training: Training
    facts: Facts
    identity: BackboneIdentity


def run_train(config: TrainConfig, progress: Progress = lambda done, total: None) -> TrainSummary | None:
    """Train a scorer and write ``scorer.safetensors``, ``metrics.json`` and the pictures.

    ``last.safetensors`` holds the training until it is finished, for ``resume`` to go on from. Gives nothing
    in ranks other than 0, which alone calls ``progress``.
    """
    with ExitStack() as held:
        return _run(config, progress, held)


def _run(config: TrainConfig, progress: Progress, held: ExitStack) -> TrainSummary | None:
    """The same, with the folder ``held`` by a lock from when it is first written to."""
    launch = Launch.from_environment()
    config = located(config)
    out = Path(config.out)
    opened: list[Job] = []

    def decide() -> tuple[bool, Snapshot | None]:
        """Whether the training is finished already, and the state to go on from."""
        loss = _check(config)
        start = _beginning(config, launch)
        if start == "finished":
            _check_finished(config)
            return True, None
        opened.append(_open(config, loss, launch))
        held.enter_context(sole_writer(out / CHECKPOINT_FILE))
        if start == "anew":
            clear(out)
            return False, None
        snapshot = load_checkpoint(out / CHECKPOINT_FILE, opened[0].facts)
        restore(out / CHECKPOINT_FILE, opened[0].training.state, snapshot)
        return False, snapshot

    finished, snapshot = agree(launch, decide)
    if finished:
        return read_summary(out, finished_before=True) if launch.main else None
    if not opened:
        opened.append(_open(config, _check(config), launch))
        if snapshot is not None:
            restore(out / CHECKPOINT_FILE, opened[0].training.state, snapshot)
    return _train(config, opened[0], launch, progress)


def _train(config: TrainConfig, job: Job, launch: Launch, progress: Progress) -> TrainSummary | None:
    out, training = Path(config.out), job.training
    with Team(launch, training.device) as team, Stop() as stop:
        around = Around(
            on_step=lambda step, total, _: progress(step, total),
            save=lambda: save_checkpoint(out / CHECKPOINT_FILE, training.state.snapshot(), job.facts),
            every=config.checkpoint_steps,
            stop=stop,
        )
        training.run(team, around)
    if not launch.main:
        return None
    made_by = {"environment": environment(training.device), "processes": launch.world}
    summary = write_result(config, training.settings, training.result(), job.identity, made_by)
    clear(out)
    return summary


def _check(config: TrainConfig) -> Loss:
    """Refuse what can be refused before anything is loaded; gives the loss."""
    check(config)
    losses = get_plugins().losses
    loss: Loss = load_factory(losses, config.loss)
    return claim(loss, get_plugins().origin(losses, config.loss))


def _beginning(config: TrainConfig, launch: Launch) -> str:
    out = Path(config.out)
    if out.resolve() in (Path(config.real).resolve(), Path(config.generated).resolve()):
        raise UsageError(f"{out} holds the data; choose another --out")
    again = launch.restarts > 0 and (out / CHECKPOINT_FILE).exists()
    resume = config.resume or again  # torchrun has started these processes anew: the training goes on
    return beginning(out, (out / SCORER_FILE).exists(), resume, config.overwrite and not again)


def _check_finished(config: TrainConfig) -> None:
    """Refuse to take a finished training for one with other settings."""
    path = Path(config.out) / METRICS_FILE
    before = read_metrics(Path(config.out)).settings
    names = [field.name for field in fields(TrainSettings) if hasattr(config, field.name)]
    now = {name: getattr(config, name) for name in names if name not in FREE}
    check_same(path, {name: before.get(name, getattr(TrainConfig, name, None)) for name in now}, now)


def _open(config: TrainConfig, loss: Loss, launch: Launch) -> Job:
    """Open the data, the folder and the backbone."""
    real, generated = open_side(config.real, "real"), open_side(config.generated, "generated")
    difference = real.identity.mismatch(generated.identity)
    if difference:
        raise CheckpointError(
            f"the real data are of {difference} in the generated; collect both with one backbone"
        )
    if launch.main:
        ensure_writable_dir(config.out)
    device = _device(config, launch)
    backbone = _backbone(config, generated, device)
    settings = train_settings(config, backbone.info.scales)
    training = Training(backbone, real, generated, settings, loss, device)
    return Job(training, facts(settings, real, generated), generated.identity)


def open_side(folder: str, kind: str) -> TokenStore:
    """A data set that must be of the given kind."""
    store = TokenStore.open(folder)
    if store.manifest.kind != kind:
        raise UsageError(
            f"{folder} holds {store.manifest.kind} images, --{kind} needs {kind} ones; swap the folders"
        )
    return store


def _device(config: TrainConfig, launch: Launch) -> torch.device:
    """This process's device, which must be able to do what is asked."""
    device = torch_device(config.device)
    check_devices(device, config.device, launch, torch.cuda.device_count)
    if config.precision == "float16" and device.type != "cuda":
        raise UsageError(
            f"float16 needs a CUDA GPU, got device {device.type}, which takes forty times as long as in"
            " float32; pass --precision bfloat16 or float32"
        )
    return device


def _backbone(config: TrainConfig, generated: TokenStore, device: torch.device) -> Backbone:
    """The backbone that the data came from, for its fusion of token maps."""
    recorded = generated.manifest.settings
    name = config.backbone or str(recorded.get("backbone", generated.identity.name))
    weights = config.weights or tuple(recorded.get("weights", ()))
    files = tuple(Path(weight) for weight in weights)
    free = find_backbone(name, files)[0].max_side is not None
    sides = ",".join(map(str, generated.identity.schedule)) if free else None
    choices = Choices(sides, part=config.part or recorded.get("part"))
    backbone = build_backbone(name, files, device, torch.float32, choices)[1]
    difference = generated.identity.mismatch(BackboneIdentity.from_backbone(backbone))
    if difference:
        raise CheckpointError(f"the data were collected with {difference}; pass the right --backbone")
    return backbone
