"""A tune in words and tables: the verdict, what was compared, and the rungs of the search."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tts.evaluation.sweep.measures import (
    ACCURACY,
    INCEPTION,
    PRECISION,
    RECALL,
    Better,
    Measure,
    Names,
    Number,
    decimals_for,
    signed,
)
from tts.evaluation.sweep.tables import NOTHING, Column, Table, best_rows, make_table
from tts.evaluation.tune.budget import format_duration
from tts.evaluation.tune.confirm import CONFIDENCE, SETS, Finding, Verdict
from tts.evaluation.tune.halving import Limit, ranked
from tts.evaluation.tune.objective import Objective
from tts.evaluation.tune.records import Ledger, Rung, Trial
from tts.evaluation.tune.rows import Row
from tts.evaluation.tune.space import Arm

MORE = "a longer --budget with --overwrite may tell"
LISTED = 10
"""Arms with selection that a table of a rung shows."""


@dataclass(frozen=True)
class Summary:
    """What is said of a tune; ``title`` names the Frechet distance of the features in use."""

    title: str
    objective: Objective
    finding: Finding
    ledger: Ledger

    @property
    def measure(self) -> Measure:
        """The objective with its name."""
        names = Names(self.title)
        known = (names.fid, names.sfid, INCEPTION, PRECISION, RECALL, ACCURACY)
        found = next((measure for measure in known if measure.key == self.objective.name), None)
        better: Better = "lower" if self.objective.lower else "higher"
        return found or Measure(self.objective.name, f"{self.title} at infinity", better, decimals=3)

    @property
    def verdict(self) -> str:
        """The finding in a sentence."""
        finding, interval = self.finding, self.finding.difference
        if len(finding.sets) < SETS:
            return f"undecided: the time was enough for {len(finding.sets)} of {SETS} paired seed sets"
        if interval is None:
            return (
                f"undecided: {finding.winner.label}: the same difference in all sets, so no interval; {MORE}"
            )
        factor, name = self.measure.factor, f"{self.measure.name} {self.measure.unit}".strip()
        ends = [end * factor for end in (interval.mean, interval.low, interval.high)]
        decimals = max(3, decimals_for(self.measure, ends[1:])) if factor == 1 else 2
        mean, low, high = (signed(end, decimals) for end in ends)
        said = f"{name} {mean} [{low}, {high}] against the best plain model ({finding.baseline.label})"
        part = finding.margin / abs(statistics.fmean(finding.baseline_values) or 1.0)
        return {
            Verdict.GAIN: f"gain: {finding.winner.label}: {said}",
            Verdict.NOTHING: f"nothing beats the baseline by {part:.0%}: {finding.winner.label}: {said}",
            Verdict.UNDECIDED: f"undecided: {finding.winner.label}: {said}; {MORE}",
        }[finding.verdict]

    def comparison(self) -> Table:
        """The finalists with their figures, and what an image costs."""
        trial = self.ledger.trial
        assert trial is not None
        baseline = _seconds(trial, self.finding.baseline)
        arms = sorted(trial.arms, key=lambda arm: (not arm.plain, arm != self.finding.baseline))
        seconds = [_seconds(trial, arm) for arm in arms]
        times = [NOTHING if not s or not baseline else f"{s / baseline:.2f}" for s in seconds]
        columns = [
            Column("SETTING", tuple(arm.label for arm in arms)),
            self._figures(self.measure, [trial.column(arm) for arm in arms]),
            *self._others(trial, arms),
            Column("S/1000", tuple(NOTHING if s is None else f"{s:.2f}" for s in seconds)),
            Column("TIME", tuple(times)),
        ]
        caption = (
            f"Means over {len(trial.complete)} seed sets of {trial.images} images, compared with the half of"
            " the reference that the search did not see, ± sample standard deviation. S/1000: seconds for"
            " 1 000 images; TIME: the same in those of the best plain model."
        )
        return make_table("confirmation", "Confirmation", caption, None, columns)

    def markdown(self, command: str, folder: str) -> str:
        """All of it for a file."""
        rungs = [self._rung(number, rung).markdown for number, rung in enumerate(self.ledger.rungs, 1)]
        use = (
            f"`tts sample --settings {folder}/settings.json` samples with: {self.finding.recommended.label}."
        )
        return "\n".join(
            [
                "# Settings found by tts tune",
                "",
                f"{self.verdict[0].upper()}{self.verdict[1:]}.",
                "",
                use
                + (" That is the plain model: nothing better is certain." * self.finding.recommended.plain),
                "",
                f"The interval is the {CONFIDENCE:.0%} interval of the mean paired difference over seed sets,"
                " of skewed ones too. It covers the draw of the images, not that of the reference."
                " Of several plain models the one that does best in the confirmation counts.",
                "",
                f"Made in {format_duration(self.ledger.spent)} by `{command}`.",
                "",
                self.comparison().markdown,
                *rungs,
            ]
        )

    def _rung(self, number: int, rung: Rung) -> Table:
        """What a rung measured, both brackets best first."""
        rows = {row.arm: row for row in rung.rows}
        orders = [
            [arm for arm in ranked(rung, self.objective, Limit(), plain) if arm in rows]
            for plain in (True, False)
        ]
        shown = [rows[arm] for arm in (*orders[0], *orders[1][:LISTED])]
        left = len(orders[1]) - LISTED
        columns = [
            Column("SETTING", tuple(row.arm.label for row in shown)),
            self._figures(self.measure, [[row] for row in shown]),
            Column("S/1000", tuple(f"{1000 * row.cost.seconds / row.cost.images:.2f}" for row in shown)),
        ]
        caption = f"{rung.images} images each, seed set {rung.seed_set}."
        more = f" {left} more settings with selection did worse." if left > 0 else ""
        return make_table(f"rung-{number}", f"Search, rung {number}", caption + more, None, columns)

    def _others(self, trial: Trial, arms: Sequence[Arm]) -> list[Column]:
        """Accuracy beside another objective."""
        known = all(row.figures.accuracy is not None for arm in arms for row in trial.column(arm))
        if self.objective.name == ACCURACY.key or not known:
            return []
        return [self._figures(ACCURACY, [trial.column(arm) for arm in arms])]

    @staticmethod
    def _figures(measure: Measure, cells: Sequence[Sequence[Row]]) -> Column:
        """Means of a figure over rows, with their spread where there are several."""
        values = [[getattr(row.figures, measure.key) * measure.factor for row in rows] for rows in cells]
        means = [statistics.fmean(some) if some else None for some in values]
        decimals = decimals_for(measure, [mean for mean in means if mean is not None])
        texts = tuple(
            NOTHING if mean is None else Number(mean, _spread(some)).text(decimals)
            for mean, some in zip(means, values, strict=True)
        )
        rounded = [None if mean is None else round(mean, decimals) for mean in means]
        return Column(measure.header, texts, best_rows(measure, rounded))


def _spread(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def _seconds(trial: Trial, arm: Arm) -> float | None:
    """Seconds for 1 000 images of an arm, without features and figures."""
    rows = trial.column(arm)
    images = sum(row.cost.images for row in rows)
    return 1000 * sum(row.cost.seconds for row in rows) / images if images else None
