"""What is timed: the backbone and the scorer of a configuration, with random weights where there are none."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from tts.backbones.fetch import cached_file
from tts.bench.config import BenchConfig
from tts.bench.untrained import META, UntrainedScorer, scorer_config, untrained
from tts.building import Model, PartsCache, build_generator, build_model
from tts.config import choose_options
from tts.pipeline import Generator
from tts.resolve import build_selector, find_backbone, torch_device, torch_dtype
from tts.sample_config import SampleConfig
from tts.scorers.automatic import FALLBACK_SCORER
from tts.specs import BackboneSpec

GIVEN, OWN, FETCHED, RANDOM = "given", "own", "fetched", "random"
"""Where weights come from: files of the user, the package or plugin, the download cache, or nowhere."""


class OneModel(PartsCache):
    """Parts that are built already."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._model = model

    def model(self, config: SampleConfig) -> Model:
        """The model, whatever the configuration."""
        return self._model


@dataclass(frozen=True)
class Subject:
    """A built model; ``weights`` and ``scorer_weights`` say where they come from.

    ``bytes`` is the memory of all weights, known of a model without values.
    """

    config: BenchConfig
    model: Model
    weights: str
    scorer_weights: str
    bytes: int = 0

    def generator(self, candidates: int) -> Generator:
        """What generates with so many candidates."""
        made = build_generator(self.config.arm(candidates), OneModel(self.model))
        return replace(made, settings=replace(made.settings, decode=self.config.decode))

    def on_meta(self) -> Subject:
        """The same model without values, for counting; fast forms are made anew, as for a GPU.

        Nothing is compiled: a count does not see what is fused.
        """
        config = replace(self.config, sample=replace(self.config.sample, compile_parts=False))
        with WithoutValues() as copied:
            backbone, scorers = copy.deepcopy((self.model.backbone, self.model.scorers))
        vars(backbone)["device"] = META
        model = replace(
            self.model, backbone=backbone, device=META, scorers=scorers, fast_scorers={}, forms={}
        )
        return replace(self, config=config, model=model, bytes=copied.bytes)


def build_subject(config: BenchConfig) -> Subject:
    """Build what a configuration names; a selector that is out of range is refused before that."""
    sample = config.sample
    build_selector(sample.selector, sample.top_k_select, sample.temperature)
    device, dtype = torch_device(sample.device), torch_dtype(sample.dtype)
    spec, own = find_backbone(sample.backbone, sample.weights)
    weights = weights_of(spec, own, sample)
    if weights == RANDOM:
        backbone = untrained(spec, choose_options(spec, sample.choices), dtype, device)
        model = Model(spec, backbone, device, dtype)
    else:
        model = build_model(sample)
    scorer_weights = GIVEN
    if sample.scorer == "auto":
        auto = None if weights == RANDOM else model.automatic
        scorer_weights = RANDOM if auto is None or auto.text == FALLBACK_SCORER else OWN
    if scorer_weights == RANDOM:
        judge = UntrainedScorer(False, dtype, device, scorer_config(model.info))
        model.scorers["auto"] = judge
    return Subject(config, model, weights, scorer_weights)


def weights_of(spec: BackboneSpec, own: tuple[Path, ...], sample: SampleConfig) -> str:
    """Where the weights of a backbone come from."""
    if own or sample.weights:
        return GIVEN
    if not spec.files:
        return OWN
    return FETCHED if all(cached_file(spec, role) for role in spec.files) else RANDOM


class WithoutValues(TorchFunctionMode):
    """Within it, copies of tensors have no values: they are on ``meta``; ``bytes`` is what they lack."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Copy a tensor without its values; let everything else through."""
        kwargs = kwargs or {}
        if func is Tensor.__deepcopy__:
            return self._copied(*args)
        if func is Tensor.clone:  # how a parameter is copied
            return self._empty(args[0])
        return func(*args, **kwargs)

    def _copied(self, tensor: Tensor, memo: dict[int, Any]) -> Tensor:
        if id(tensor) not in memo:
            memo[id(tensor)] = self._empty(tensor)
        made: Tensor = memo[id(tensor)]
        return made

    def _empty(self, tensor: Tensor) -> Tensor:
        self.bytes += tensor.numel() * tensor.element_size()
        return torch.empty_like(tensor, device=META)
