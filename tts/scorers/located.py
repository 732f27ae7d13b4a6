"""The folders of a training that the user does not name, by the rule of the work folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tts.data.collect_config import CollectConfig
from tts.data.manifest import Kind
from tts.data.store import TokenStore
from tts.errors import UsageError
from tts.resolve import find_backbone
from tts.scorers.checkpoint import SCORER_FILE
from tts.scorers.train_config import TrainConfig
from tts.specs import BackboneSpec
from tts.workspace import DEFAULT_BACKBONE, place_of

KINDS: tuple[Kind, ...] = ("generated", "real")


def located(config: TrainConfig) -> TrainConfig:
    """The configuration with a folder for everything; without a backbone it is the data's or the default."""
    if config.real and config.generated and config.out:
        return config
    place = place_of(_name(config))
    whole = not config.out and (place.scorer / SCORER_FILE).is_file()
    finished = whole and not config.overwrite  # the same command again says so
    return replace(
        config,
        real=config.real or str(place.side("real")),
        generated=config.generated or str(place.side("generated")),
        out=config.out or str(place.scorer),
        resume=config.resume or finished,
    )


def missing_data(config: TrainConfig) -> tuple[CollectConfig, ...]:
    """What makes the data that the work folder lacks; refuses it where real images are not at hand."""
    if config.real and config.generated:
        return ()
    spec = _spec(config)
    place = place_of(spec.name)
    lacking = [kind for kind in KINDS if not (getattr(config, kind) or place.has(kind))]
    text = config.backbone or spec.name
    if lacking and spec.real_images is None:
        commands = {"generated": f"tts collect --backbone {text}"}
        commands["real"] = f"{commands['generated']} --real DIR"
        needed = " and ".join(f"'{commands[kind]}'" for kind in lacking)
        raise UsageError(f"no {' and no '.join(lacking)} data of {spec.name} in {place.folder}; run {needed}")
    sides = {"generated": None, "real": spec.real_images}
    return tuple(CollectConfig(text, config.weights, part=config.part, real=sides[kind]) for kind in lacking)


def _spec(config: TrainConfig) -> BackboneSpec:
    given = config.real or config.generated
    if config.backbone is None and given:
        return find_backbone(TokenStore.open(given).identity.name)[0]
    return find_backbone(config.backbone or DEFAULT_BACKBONE, config.weights)[0]


def _name(config: TrainConfig) -> str:
    given = config.real or config.generated
    if config.backbone is None and given:
        return TokenStore.open(Path(given)).identity.name
    return _spec(config).name
