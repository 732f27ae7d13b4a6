"""What a tune is about: the model, its scorer, the features and the space, before anything is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tts.errors import UsageError
from tts.evaluation.references import open_reference
from tts.evaluation.sweep.lab import Lab
from tts.evaluation.sweep.run import Once
from tts.evaluation.tune.config import Asked, TuneConfig
from tts.evaluation.tune.halving import floor_images
from tts.evaluation.tune.space import Space, make_space
from tts.evaluation.tune.store import TuneRecord
from tts.resolve import remarks_of
from tts.runinfo import describe_backbone, describe_scorer


@dataclass(frozen=True)
class Setup:
    """The lab, the space, the fewest images of a measurement, and what the folder says of it all.

    ``config`` names the scorer that ``auto`` stands for.
    """

    lab: Lab
    space: Space
    name: str
    classes: int
    floor: int
    record: TuneRecord
    notes: tuple[str, ...]
    config: TuneConfig

    def remarks(self, halves: Mapping[str, int]) -> tuple[str, ...]:
        """What the user should know beside the result."""
        smallest, dimensions = min(halves.values()), self.lab.extractor.dimensions
        if smallest >= 2 * dimensions:
            return self.notes
        return (
            *self.notes,
            f"half of the reference has {smallest} images for {dimensions} features, so figures are coarse;"
            " give a larger --reference",
        )


def set_up(config: TuneConfig, asked: Asked, warn: Callable[[str], None]) -> Setup:
    """Build the model and its scorer, and describe all that decides the outcome."""
    reference = open_reference(config.reference)
    lab = Lab(
        config.base, config.features_text, None, asked.objective.options, config.base.batch_size, Once(warn)
    )
    reference.check(lab.extractor)
    facts, base, note = lab.facts(config.base), config.base, None
    if base.scorer == "auto":
        base, note = replace(base, scorer=facts.automatic.text), facts.automatic.note
        config = replace(config, base=base)
    info = facts.info
    space = make_space(info, asked.cfgs, config.max_candidates)
    model = lab.cache.model(base)
    scorer = model.scorer(base.scorer)
    if scorer is None:
        raise UsageError("scorer none leaves nothing to select by; give one with --scorer")
    found = reference.describe()
    notes = [note, *remarks_of(model.backbone), *remarks_of(scorer)]
    if found["statistics"] == "stored":
        notes.append(
            f"the halves come from the {found['images']} images of {config.reference}; the statistics that it"
            " stores cover others too and are left out"
        )
    record = TuneRecord(
        command=config.command(),
        base=base.settings(),
        options=config.options(),
        backbone=describe_backbone(model.backbone),
        scorer=describe_scorer(scorer) or {},
        features=lab.extractor.describe(),
        features_title=lab.extractor.title,
        reference=found,
    )
    least = floor_images(asked.objective.fill * lab.extractor.dimensions, info.classes)
    remarks = tuple(note for note in notes if isinstance(note, str))
    return Setup(lab, space, info.name, info.classes, config.min_images or least, record, remarks, config)
