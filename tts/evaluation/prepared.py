"""What ``tts eval`` is asked for, opened and built before the first image is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tts.errors import UsageError
from tts.evaluation.choosing import choose_features
from tts.evaluation.eval_result import run_names
from tts.evaluation.extract import BATCH, check_size
from tts.evaluation.features import FeatureExtractor
from tts.evaluation.figures import MetricOptions
from tts.evaluation.image_source import ImageSource
from tts.evaluation.reading import Reading
from tts.evaluation.references import OpenReference, open_reference
from tts.evaluation.resizing import Resize
from tts.evaluation.sources import open_source
from tts.limits import check_number, check_numbers
from tts.outputs import check_target
from tts.resolve import build_features, torch_device

Warn = Callable[[str], None]
DEFAULT_REFERENCE = "heldout"
_ALIKE = 1.1  # times as many images change a distance by less than its noise


@dataclass(frozen=True)
class EvalConfig:
    """What ``tts eval`` takes; features ``auto`` are digits where a side is known to be, else inception."""

    samples: tuple[Path, ...]
    reference: str = DEFAULT_REFERENCE
    features: str = "auto"
    options: MetricOptions = field(default_factory=MetricOptions)
    batch_size: int | None = None
    device: str = "auto"
    resize: Resize | None = None
    apply_orientation: bool = False

    @property
    def batch(self) -> int:
        """Images at once."""
        check_number("batch_size", self.batch_size, f"leave it out for {BATCH}")
        check_numbers(self.options)
        return self.batch_size or BATCH


def check_out(out: Path | None, config: EvalConfig) -> None:
    """Refuse a place for the result that cannot be written, before the work."""
    if out is not None and out.is_dir():
        raise UsageError(f"{out} is a folder; give a file such as {out / 'figures.json'}")
    if out is not None:
        check_target(out, (*config.samples, config.reference))


@dataclass(frozen=True)
class Prepared:
    """Sets and their names, the reference, if any, and the features; ``notes`` say what was chosen."""

    names: list[str]
    sources: list[ImageSource]
    reference: OpenReference | None
    extractor: FeatureExtractor
    notes: tuple[str, ...]

    @classmethod
    def of(cls, config: EvalConfig, compared: bool = True) -> Prepared:
        """Open and build, and refuse what does not fit together."""
        reading, names = Reading(config.apply_orientation, config.resize), run_names(config.samples)
        sources = [open_source(path, reading) for path in config.samples]
        reference = open_reference(config.reference, reading) if compared else None
        name, notes = config.features, tuple[str, ...]()
        if name == "auto":
            name, why = choose_features(names, sources, reference)
            notes = (f"features are {name}: {why}",)
        extractor = build_features(name, torch_device(config.device))
        for source in sources:
            check_size(source, extractor)
        if reference is not None:
            reference.check(extractor)
        return cls(names, sources, reference, extractor, notes)

    def doubts(self) -> Iterator[str]:
        """What makes a comparison of these sets doubtful before it is made."""
        reference = self.reference
        sides = dict(zip(self.names, (source.size for source in self.sources), strict=True))
        if reference is not None and reference.source is not None:
            sides[f"reference {reference.text}"] = reference.source.size
            yield from (f"reference: {doubt}" for doubt in reference.source.doubts)  # its labels are not used
        counts = [source.count for source in self.sources]
        if self.reference is not None and max(counts) > _ALIKE * min(counts):
            yield (
                f"sets have {min(counts)} to {max(counts)} images, and distances fall with their number:"
                " compare equal numbers, or the distances at infinity of --extrapolate"
            )
        if len({*sides.values()}) > 1:
            said = ", ".join(f"{size}x{size} in {name}" for name, size in list(sides.items())[:4])
            yield (
                f"images are of different sizes ({said}), so their figures tell of sharpness too; --resize"
                " SIZE makes them alike"
            )
