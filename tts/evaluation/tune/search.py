"""The search: how fast the model is, then rungs of fewer and fewer arms with more and more images.

The first rung fills the space; each later one also tries what is beside the best arm so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tts.errors import RunError, UsageError
from tts.evaluation.tune.budget import SEARCH_SHARE, format_duration
from tts.evaluation.tune.confirm import SETS
from tts.evaluation.tune.design import first_arms, neighbours
from tts.evaluation.tune.desk import Desk, Half
from tts.evaluation.tune.halving import (
    KEPT,
    Limit,
    first_shape,
    least_search,
    next_images,
    ranked,
    survivors,
    thinned,
    whole_classes,
)
from tts.evaluation.tune.records import Rung, Shape
from tts.evaluation.tune.space import Arm, Space
from tts.evaluation.tune.speeds import Speeds, probe_arms

ROOM = 1.1
"""What is asked for when a budget is too small, in parts of what would just do."""

BASELINES = 2
"""Best plain arms that go into the confirmation, where the one that does best counts."""

DRAWN = 500
"""Arms among which those are found that keep to a limit."""


@dataclass(frozen=True)
class Search:
    """What the search is about; its seed sets are ``first_seed_set`` and the following ones."""

    space: Space
    limit: Limit
    floor: int
    classes: int
    seed: int
    first_seed_set: int

    def run(self, desk: Desk) -> tuple[Arm, tuple[Arm, ...]]:
        """The best arm with selection, and its rivals: the best plain ones, and the one with its guidance.

        Without the last one, a plain model whose guidance was chosen badly would be easy to beat by guidance.
        """
        self._probe(desk)
        shape = desk.ledger.shape or self._lay_out(desk)
        for number in range(shape.rungs):
            if number == len(desk.ledger.rungs) and not self._open(desk, shape, number):
                break
            rung = desk.ledger.rungs[number]
            if not rung.closed:
                self._measure(desk, rung)
                if number == 0:
                    self._measure_selecting(desk, rung, shape.count)
                rung.closed = True
                desk.write()
        last = desk.ledger.rungs[-1]
        best = ranked(last, desk.objective, self.limit, plain=False)[0]
        plain = ranked(last, desk.objective, self.limit, plain=True)[:BASELINES]
        return best, tuple(dict.fromkeys((*plain, Arm(best.cfg))))

    def _probe(self, desk: Desk) -> None:
        """Measure the speed."""
        probes = desk.ledger.probes
        for arm in probe_arms(self.space)[len(probes) :]:
            probes.append(desk.measure(arm, self.first_seed_set, self.floor, Half.SEARCH))
            desk.write()

    def _lay_out(self, desk: Desk) -> Shape:
        """Choose how many arms are tried, or refuse a budget that is too small for an answer."""
        speeds = desk.ledger.speeds(self.space)
        arms = self._first(speeds, self.space.usual_cfg)
        plain = speeds.all(self.space.plain)
        shape = first_shape(desk.left(SEARCH_SHARE * desk.budget), self.floor, arms, plain, speeds)
        typical = speeds.all(arms) / len(arms) + BASELINES * speeds.guided
        confirming = SETS * self.floor * typical
        if shape is None or confirming > (1 - SEARCH_SHARE) * desk.budget:
            searching = desk.clock.elapsed + least_search(self.floor, arms, plain, speeds)
            least = ROOM * max(searching / SEARCH_SHARE, confirming / (1 - SEARCH_SHARE))
            raise UsageError(
                f"budget {format_duration(desk.budget)} is too small for an answer at this speed, with"
                f" {self.floor} images a measurement; pass --budget {format_duration(least)} or more"
            )
        desk.ledger.shape = replace(shape, images=whole_classes(shape.images, self.classes))
        desk.write()
        return desk.ledger.shape

    def _first(self, speeds: Speeds, best_cfg: float) -> list[Arm]:
        """Arms with selection that are expected to keep to the limit, in the order of the design."""
        drawn = first_arms(self.space, best_cfg, DRAWN, self.seed)
        arms = [arm for arm in drawn if self.limit.allows(speeds, arm)]
        if not arms:
            raise UsageError(
                f"no setting is expected to keep to --max-overhead {self.limit.overhead:g}; allow more"
            )
        return arms

    def _open(self, desk: Desk, shape: Shape, number: int) -> bool:
        """Decide the arms and images of the next rung; false if there is no time for one that tells more."""
        rungs = desk.ledger.rungs
        arms: Sequence[Arm] = self.space.plain
        images = shape.images
        if number:
            before, speeds = rungs[-1], desk.ledger.speeds(self.space)
            seconds = desk.left(SEARCH_SHARE * desk.budget) / (shape.rungs - number)
            arms = thinned(before.images, seconds, self._next(desk, before, speeds), speeds)
            last = number == shape.rungs - 1
            images = whole_classes(next_images(before.images, seconds, arms, speeds, last), self.classes)
            if images <= before.images:
                return False
        rungs.append(Rung(images, self.first_seed_set + 1 + number, tuple(arms)))
        desk.write()
        return True

    def _next(self, desk: Desk, rung: Rung, speeds: Speeds) -> list[Arm]:
        """What follows a rung: the best plain arms, the best others, those beside the best, and the rest."""
        plain, others = (
            survivors(ranked(rung, desk.objective, self.limit, bracket)) for bracket in (True, False)
        )
        known = {row.arm for earlier in desk.ledger.rungs for row in earlier.rows}
        fresh = [
            arm
            for arm in neighbours(self.space, others[0])
            if arm not in known and self.limit.allows(speeds, arm)
        ]
        return [*plain, *others[:KEPT], *fresh, *others[KEPT:]]

    def _measure_selecting(self, desk: Desk, rung: Rung, count: int) -> None:
        """In the first rung, once the plain arms are measured: those that are promising by them."""
        if all(arm.plain for arm in rung.arms):
            best = ranked(rung, desk.objective, self.limit, plain=True)[0]
            rung.arms = (*rung.arms, *self._first(desk.ledger.speeds(self.space), best.cfg)[:count])
            desk.write()
            self._measure(desk, rung)
        rung.arms = tuple(row.arm for row in rung.rows)  # of the others nothing is known
        if all(arm.plain for arm in rung.arms):
            raise RunError("the time ran out with nothing but the plain model measured; raise --budget")

    def _measure(self, desk: Desk, rung: Rung) -> None:
        """Measure the arms of a rung as far as the time for the search allows."""
        speeds = desk.ledger.speeds(self.space)
        for arm in rung.arms[len(rung.rows) :]:
            if not desk.fits(speeds.of(arm) * rung.images, SEARCH_SHARE * desk.budget):
                break
            rung.rows.append(desk.measure(arm, rung.seed_set, rung.images, Half.SEARCH))
            desk.write()
