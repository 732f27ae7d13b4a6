"""The work of ``tts eval``: from paths to the figures of the images there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from tts.engine.launch import Launch
from tts.evaluation.compute import evaluate
from tts.evaluation.crew import Crew
from tts.evaluation.eval_result import Evaluation, RunFigures
from tts.evaluation.extract import share_source
from tts.evaluation.features import Features
from tts.evaluation.figures import Reference
from tts.evaluation.prepared import EvalConfig, Prepared, Warn
from tts.evaluation.references import OpenReference, check_spatial
from tts.evaluation.uint8_rules import uint8_remarks
from tts.packing import Bar, no_bar
from tts.resolve import torch_device
from tts.runinfo import environment


def run_eval(
    config: EvalConfig,
    launch: Launch | None = None,
    warn: Warn = lambda message: None,
    bar: Bar = no_bar,
) -> Evaluation | None:
    """Figures of all samples against the reference, in rank 0 of the processes that share the work.

    Everything is opened and checked before the first image is looked at.
    """
    with Crew(launch) as crew:
        batch = config.batch
        return _Work(config, crew, bar, batch, Prepared.of(config)).done(warn)


@dataclass(frozen=True)
class _Work:
    """Everything opened and built."""

    config: EvalConfig
    crew: Crew
    bar: Bar
    batch: int
    prepared: Prepared

    def done(self, warn: Warn) -> Evaluation | None:
        """Extract and compute, set by set, so that memory holds the features of one and the reference."""
        prepared, extractor = self.prepared, self.prepared.extractor
        remarks: list[str] = []
        reference = self._reference(lambda text: _note(remarks, None, warn, text))
        runs: list[RunFigures] = []
        for name, source in zip(prepared.names, prepared.sources, strict=True):
            with self.bar(name, "images") as tell:
                found = share_source(source, extractor, self.crew, self.batch, tell)
            if reference is not None and found is not None:
                runs.append(self._figures(len(runs), found, reference, warn))
        if not self.crew.main:
            return None
        return Evaluation(
            title=extractor.title,
            features=extractor.describe(),
            reference=self.opened.describe(),
            options=self.config.options,
            runs=tuple(runs),
            warnings=tuple(remarks),
            versions=environment(torch_device(self.config.device)),
            resize=self.config.resize.describe() if self.config.resize else None,
            notes=prepared.notes,
        )

    @property
    def opened(self) -> OpenReference:
        """The reference, which there always is here."""
        assert self.prepared.reference is not None
        return self.prepared.reference

    def _reference(self, say: Warn) -> Reference | None:
        """What to compare with, in rank 0, and what is doubtful of it and of all sets together."""
        prepared, main = self.prepared, self.crew.main
        for doubt in (*uint8_remarks(prepared.names, prepared.sources), *prepared.doubts()) if main else ():
            say(doubt)
        with self.bar("reference", "images") as tell:
            manifold = self.config.options.manifold
            found = self.opened.load(prepared.extractor, self.crew, self.batch, tell, manifold)
        source = self.opened.source
        for doubt in source.image_doubts() if source and main else ():
            say(f"reference: {doubt}")
        return found

    def _figures(self, number: int, found: Features, reference: Reference, warn: Warn) -> RunFigures:
        prepared, extractor = self.prepared, self.prepared.extractor
        name, source = prepared.names[number], prepared.sources[number]
        base = prepared.sources[0].images_per_second
        check_spatial(self.config.reference, reference, found, extractor)
        said: list[str] = []
        for doubt in (*source.set_doubts(extractor), *source.image_doubts()):
            _note(said, name, warn, doubt)
        figures = evaluate(
            found,
            reference,
            self.config.options,
            extractor.knows_labels,
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
            notes=source.notes,
            warnings=tuple(said),
        )


def _note(said: list[str], name: str | None, warn: Warn, text: str) -> None:
    """Pass a remark on under the name of the set, if it concerns one, and keep it."""
    said.append(text)
    warn(f"{name}: {text}" if name else text)
