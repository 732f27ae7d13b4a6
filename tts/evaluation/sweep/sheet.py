"""What the tables of a sweep are made from: its curves, its measures, and three shapes of table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tts.evaluation.sweep import measures
from tts.evaluation.sweep.curves import Curve, Curves
from tts.evaluation.sweep.measures import Measure, Names
from tts.evaluation.sweep.reading import ResultPoint, Results
from tts.evaluation.sweep.scorer_analysis import Analysis
from tts.evaluation.sweep.tables import NOTHING, Column, Table, make_table

FAVOURED = "the judge is the network whose features are compared, which favours best of N"
SHARED = "those of the measuring processes, which shared the machine if there were several"


@dataclass(frozen=True)
class Sheet:
    """A sweep's results; ``analysis`` adds what is known of its scorers."""

    results: Results
    analysis: Analysis | None = None

    @cached_property
    def curves(self) -> Curves:
        """The curves of the points."""
        return Curves(self.results)

    @property
    def names(self) -> Names:
        """The measures that are named after the features."""
        return Names(self.results.title)

    @property
    def quality(self) -> tuple[Measure, ...]:
        """The measures of image quality."""
        m = measures
        return (self.names.fid, self.names.sfid, m.INCEPTION, m.PRECISION, m.RECALL, m.ACCURACY)

    @property
    def second(self) -> Measure:
        """The measure beside the Frechet distance: accuracy where the features know labels, else IS."""
        return measures.ACCURACY if self.results.has("accuracy") else measures.INCEPTION

    @property
    def rule(self) -> str:
        """The usual way to select, in words."""
        return f"{self.curves.usual['selector']} selection {self.curves.span}"

    def scorer_name(self, curve: Curve) -> str:
        """The name of a curve of one scorer, with the loss of its training unless the name says it."""
        text = curve.points[-1].setting.scorer
        scorers = self.analysis.scorers if self.analysis else ()
        loss = next((s.trained_with for s in scorers if s.text == text), None)
        return curve.name if loss is None or loss in curve.name else f"{curve.name} ({loss})"

    def favours(self, points: Sequence[ResultPoint]) -> bool:
        """Whether a judge of whole images is the network whose features are compared."""
        judges = {point.setting.image_scorer or "" for point in points}
        return any(judge.partition(":")[0] == self.results.features for judge in judges)

    def with_time(self, said: str, points: Sequence[ResultPoint | None]) -> str:
        """What is to be said, and how the seconds of points came about, where any are known."""
        known = [point for point in points if point and point.values(measures.SECONDS.key)]
        untimed = [point.label for point in known if not point.rounds]
        notes = [said] if said else []
        if len(untimed) < len(known):
            notes.append(self._rounds())
        if untimed:
            whose = f" of {', '.join(untimed)}" if len(untimed) < len(known) else ""
            notes.append(f"seconds{whose} are {SHARED}")
        return "; ".join(notes)

    def _rounds(self) -> str:
        """How points were timed, and how far a point that was timed twice differs from itself."""
        timing = self.results.timing
        assert timing is not None
        low, high = timing.noise
        twice = next((point for point in self.results.points if point.id == timing.again_of), None)
        name = "the plain model" if twice is None or twice.plain else twice.label
        rounds = f"{timing.rounds} interleaved rounds" if timing.rounds > 1 else "one round"
        return (
            f"timed in {rounds} of {timing.images} images ({name} against itself: {low:.2f} to {high:.2f})"
            + (", seconds are medians ± sample standard deviation over rounds" if timing.rounds > 1 else "")
        )

    def note(self, points: Sequence[ResultPoint | None], bold: str = "the best of a column") -> str:
        """How numbers came about, for a caption."""
        sets = {len(point.sets) for point in points if point}
        most = max(sets, default=0)
        images = f"{self.results.images:,}".replace(",", " ")
        if most < 2:
            how = f"one set of {images} images"
        else:
            several = f"{'up to ' if len(sets) > 1 else ''}{most} seed sets of {images} images"
            how = f"mean ± sample standard deviation over {several}"
        return f"{how}; reference {self.results.reference}; bold is {bold}"

    def caption(self, points: Sequence[ResultPoint | None], said: str = "") -> str:
        """A caption: what is to be said, and how the numbers came about."""
        text = f"{said}; {self.note(points)}." if said else f"{self.note(points)}."
        return text[0].upper() + text[1:]

    def by_curve(
        self,
        name: str,
        title: str,
        paper: str | None,
        curve: Curve,
        text: tuple[str, Callable[[float], str]],
        wanted: Sequence[Measure],
        said: str = "",
    ) -> list[Table]:
        """A table along one curve: ``text`` heads its first column and writes ``x``."""
        if len(curve.x) < 2 or not any(self.results.has(measure.key, curve.points) for measure in wanted):
            return []
        columns = [Column(text[0], tuple(text[1](x) for x in curve.x))]
        columns += [Column.of(measure, curve.points) for measure in wanted]
        return [make_table(name, title, self.caption(curve.points, said), paper, columns)]

    def joined(
        self,
        name: str,
        title: str,
        paper: str | None,
        columns: Sequence[tuple[str, Curve, Measure]],
        said: str,
    ) -> list[Table]:
        """A table by M with a column for each curve and measure, under the title that comes with it."""
        xs = sorted({x for _, curve, _ in columns for x in curve.x})
        found = [Column("M", tuple(candidates_text(x) for x in xs))]
        points: list[ResultPoint | None] = []
        for title_, curve, measure in columns:
            at = dict(zip(curve.x, curve.points, strict=True))
            points += [at.get(x) for x in xs]
            found.append(Column.of(measure, [at.get(x) for x in xs], title_))
        if not any(column.known for column in found[1:]):
            return []
        return [make_table(name, title, self.caption(points, said), paper, found)]

    def listed(
        self,
        name: str,
        title: str,
        heads: Mapping[str, Sequence[str]],
        points: Sequence[ResultPoint],
        wanted: Sequence[Measure],
        said: str = "",
    ) -> list[Table]:
        """A table with a row a point, which the ``heads`` (title to texts) name."""
        columns = [Column(head, tuple(texts)) for head, texts in heads.items()]
        columns += [Column.of(measure, points) for measure in wanted]
        return [make_table(name, title, self.caption(points, said), None, columns, len(heads))]


def candidates_text(x: float) -> str:
    """M, whose 1 is the plain model."""
    return "1 (plain)" if x == 1 else f"{x:g}"


def relative(point: ResultPoint, plain: ResultPoint) -> str:
    """The time of an image by that of the plain model's."""
    found = point.time_by(plain)
    return NOTHING if found is None else f"{found:.2f}"
