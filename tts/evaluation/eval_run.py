"""The work of ``tts eval``: from paths to the figures of the images there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tts.engine.launch import Launch
from tts.errors import UsageError
from tts.evaluation.compute import evaluate
from tts.evaluation.crew import Crew
from tts.evaluation.digits_source import PARTS
from tts.evaluation.eval_result import Evaluation, RunFigures, run_names
from tts.evaluation.extract import BATCH, check_size, share_source
from tts.evaluation.features import FeatureExtractor, Features
from tts.evaluation.figures import MetricOptions, Reference
from tts.evaluation.image_source import ImageSource
from tts.evaluation.references import OpenReference, check_spatial, open_reference
from tts.evaluation.sources import open_source
from tts.evaluation.uint8_rules import uint8_remarks
from tts.io import ensure_writable_dir
from tts.packing import Bar, no_bar
from tts.resolve import build_features, torch_device
from tts.runinfo import environment

Warn = Callable[[str], None]


@dataclass(frozen=True)
class EvalConfig:
    """What ``tts eval`` takes; features ``auto`` are digits where the reference is, else inception."""

    samples: tuple[Path, ...]
    reference: str = "heldout"
    features: str = "auto"
    options: MetricOptions = field(default_factory=MetricOptions)
    batch_size: int | None = None
    device: str = "auto"


def check_out(out: Path | None) -> None:
    """Refuse a place for the result that cannot be written, before the work."""
    if out is not None and out.is_dir():
        raise UsageError(f"{out} is a folder; give a file such as {out / 'figures.json'}")
    if out is not None:
        ensure_writable_dir(out.parent)


def run_eval(
    config: EvalConfig,
    launch: Launch | None = None,
    warn: Warn = lambda message: None,
    bar: Bar = no_bar,
) -> Evaluation | None:
    """Figures of all samples against the reference, in rank 0 of the processes that share the work.

    Everything is opened and checked before the first image is looked at.
    """
    if config.batch_size is not None and config.batch_size < 1:
        raise UsageError(f"batch-size {config.batch_size} must be at least 1; leave it out for {BATCH}")
    with Crew(launch) as crew:
        return _Work.prepared(config, crew, bar).done(warn)


@dataclass(frozen=True)
class _Work:
    """Everything opened and built."""

    config: EvalConfig
    crew: Crew
    bar: Bar
    names: list[str]
    sources: list[ImageSource]
    reference: OpenReference
    extractor: FeatureExtractor

    @classmethod
    def prepared(cls, config: EvalConfig, crew: Crew, bar: Bar) -> _Work:
        """Open and build, and refuse what does not fit together."""
        sources = [open_source(path) for path in config.samples]
        reference = open_reference(config.reference)
        name = config.features
        if name == "auto":
            name = "digits" if config.reference in PARTS else "inception"
        extractor = build_features(name, torch_device(config.device))
        for source in sources:
            check_size(source, extractor)
        reference.check(extractor)
        return cls(config, crew, bar, run_names(config.samples), sources, reference, extractor)

    def done(self, warn: Warn) -> Evaluation | None:
        """Extract and compute, set by set, so that memory holds the features of one and the reference."""
        remarks = uint8_remarks(self.names, self.sources) if self.crew.main else []
        for remark in remarks:
            warn(remark)
        batch = self.config.batch_size or BATCH
        with self.bar("reference", "images") as tell:
            manifold = self.config.options.manifold
            reference = self.reference.load(self.extractor, self.crew, batch, tell, manifold)
        runs: list[RunFigures] = []
        for name, source in zip(self.names, self.sources, strict=True):
            with self.bar(name, "images") as tell:
                found = share_source(source, self.extractor, self.crew, batch, tell)
            if reference is not None and found is not None:
                runs.append(self._figures(len(runs), found, reference, warn))
        if not self.crew.main:
            return None
        return Evaluation(
            title=self.extractor.title,
            features=self.extractor.describe(),
            reference=self.reference.describe(),
            options=self.config.options,
            runs=tuple(runs),
            warnings=tuple(remarks),
            versions=environment(torch_device(self.config.device)),
        )

    def _figures(self, number: int, found: Features, reference: Reference, warn: Warn) -> RunFigures:
        name, source, base = self.names[number], self.sources[number], self.sources[0].images_per_second
        check_spatial(self.config.reference, reference, found, self.extractor)
        said: list[str] = []
        figures = evaluate(
            found,
            reference,
            self.config.options,
            self.extractor.knows_labels,
            partial(_note, said, name, warn),
        )
        speed = source.images_per_second
        return RunFigures(
            run=name,
            path=str(self.config.samples[number]),
            figures=figures,
            uint8_rule=source.uint8_rule,
            images_per_second=speed,
            overhead=base / speed - 1 if base and speed else None,
            warnings=tuple(said),
        )


def _note(said: list[str], name: str, warn: Warn, text: str) -> None:
    """Pass a remark on under the name of the set, and keep it."""
    said.append(text)
    warn(f"{name}: {text}")
