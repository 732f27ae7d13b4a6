"""What batches launch, read, write and compute, counted on a copy of the model without values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tts.bench.counting import Count, count
from tts.bench.subject import Subject
from tts.bench.timing import first_items
from tts.bench.untrained import META
from tts.errors import TtsError, reason
from tts.search import search


@dataclass
class BatchCounter:
    """Counts batches for as long as that works; ``say`` hears why it does not.

    A part that asks for values, as a plugin's may, cannot be counted: there are no counts then.
    """

    subject: Subject | None
    say: Callable[[str], None]

    @staticmethod
    def of(subject: Subject, say: Callable[[str], None]) -> BatchCounter:
        """A counter of a built model's batches."""
        counter = BatchCounter(None, say)
        try:
            counter.subject = subject.on_meta()
        except Exception as error:  # copies of plugins' objects can fail in any way
            counter._give_up(error)
        return counter

    def count(self, batch: int, candidates: int, decode: bool) -> Count | None:
        """The count of a batch."""
        if self.subject is None:
            return None
        try:
            return self._count(self.subject, batch, candidates, decode)
        except TtsError:
            raise
        except Exception as error:  # so can work on tensors without values
            self._give_up(error)
        return None

    def peak(self, counted: Count) -> int:
        """Most bytes of a counted batch, with all weights."""
        assert self.subject is not None
        return counted.peak + self.subject.bytes

    def _count(self, subject: Subject, batch: int, candidates: int, decode: bool) -> Count:
        generator = subject.generator(candidates)
        settings = replace(generator.settings, decode=decode)
        labels, seeds = first_items(generator.backbone.info.classes, batch, META)
        parts = generator.backbone, generator.scorer, generator.selector
        return count(lambda: search(*parts, settings, labels, seeds))

    def _give_up(self, error: Exception) -> None:
        self.subject = None
        self.say(f"operations are not counted ({reason(error)})")
