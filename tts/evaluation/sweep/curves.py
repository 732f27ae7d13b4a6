"""Which points of a sweep make a curve: those that differ in the axis, and share everything else.

M candidates, ST the first scale with selection, k of top-k selection, as in the paper. What is not varied
stands at its usual value: that of the sweep's base, else the backbone's default, else the most frequent one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tts.config import FIRST_SELECTED
from tts.evaluation.sweep.curve_names import m_name, method, selector_name, short_names
from tts.evaluation.sweep.point import BEST_OF_N, LSRS
from tts.evaluation.sweep.reading import ResultPoint, Results
from tts.manager import get_plugins
from tts.sample_config import SampleConfig

CONTEXT = ("cfg", "top_k", "top_p", "schedule", "guidance")
"""What decides how candidates are drawn; points that differ here have different plain models."""

METHOD = ("scorer", "selector", "start_scale", "end_scale", "top_k_select", "temperature")
"""What decides how one is chosen; a field that a setting leaves open fits any value."""

LAST = "last"


@dataclass(frozen=True)
class Curve:
    """Points by rising ``x``, one a value, under a name."""

    name: str
    points: tuple[ResultPoint, ...]
    x: tuple[float, ...]

    @staticmethod
    def of(name: str, points: Iterable[ResultPoint], x: Callable[[ResultPoint], float | None]) -> Curve:
        """A curve over points whose ``x`` is known; of equal ones the first is kept."""
        found: dict[float, ResultPoint] = {}
        for point in points:
            value = x(point)
            if value is not None:
                found.setdefault(float(value), point)
        values = sorted(found)
        return Curve(name, tuple(found[value] for value in values), tuple(values))


class Curves:
    """The curves of a sweep; ``usual`` holds what is fixed where it does not vary."""

    def __init__(self, results: Results) -> None:
        self.results = results
        base = defaults(results.base)
        self.usual: dict[str, Any] = {key: self._usual(key, base) for key in (*CONTEXT, *METHOD)}

    def _usual(self, key: str, base: dict[str, Any]) -> Any:
        """The base's value if points have it, else the most frequent one, the first of equals."""
        chosen = [point for point in self.results.points if not point.plain]
        points = self.results.points if key in CONTEXT else chosen
        values = [value_of(point, key) for point in points]
        if key in METHOD:
            values = [value for value in values if value is not None]
        if base.get(key) in values or not values:
            return base.get(key)
        return Counter(values).most_common(1)[0][0]

    @property
    def span(self) -> str:
        """The scales that are usually selected, in words."""
        first, last = self.usual["start_scale"], self.usual["end_scale"]
        return f"from scale {first} on" if last in (LAST, None) else f"from scale {first} to {last}"

    @cached_property
    def plain(self) -> ResultPoint | None:
        """The model without selection."""
        return next((point for point in self.in_context() if point.plain), None)

    def in_context(self, free: str | None = None) -> list[ResultPoint]:
        """Points that are drawn as usual, but for the ``free`` field."""
        fixed = [key for key in CONTEXT if key != free]
        return [
            point
            for point in self.results.points
            if all(getattr(point.setting, key) == self.usual[key] for key in fixed)
        ]

    def selected(self, *free: str, strategy: str = LSRS, **fixed: Any) -> list[ResultPoint]:
        """Points of a strategy with one M, whose other fields are ``free``, ``fixed`` or as usual."""
        wanted = {key: self.usual[key] for key in METHOD if key not in free} | fixed
        context = next((key for key in free if key in CONTEXT), None)
        return [
            point
            for point in self.in_context(context)
            if point.setting.strategy == strategy
            and (point.candidates or 0) > 1
            and all(value_of(point, key) in (None, value) for key, value in wanted.items())
        ]

    def with_plain(self, points: Sequence[ResultPoint]) -> list[ResultPoint]:
        """The points after the plain one, which every curve begins with."""
        return [*([self.plain] if self.plain and points else []), *points]

    def by_candidates(self, **fixed: Any) -> Curve:
        """The usual selection by M, M = 1 first."""
        return Curve.of("LSRS", self.with_plain(self.selected(**fixed)), candidates)

    def selectors(self) -> list[Curve]:
        """A curve by M for each selector; those with a single M only where there are no others."""
        points = self.selected("selector", "top_k_select", "temperature")
        return self._grouped(points, selector_name(points))

    def scorers(self) -> list[Curve]:
        """A curve by M for each scorer, judged by the usual selector."""
        points = self.selected("scorer")
        names = short_names(sorted({point.setting.scorer or "" for point in points}))
        return self._grouped(points, lambda point: names[point.setting.scorer or ""])

    def best_of_n(self) -> list[Curve]:
        """A curve by N for each judge of whole images."""
        points = self.selected(strategy=BEST_OF_N)
        judges = short_names(sorted({point.setting.image_scorer or "" for point in points}))
        several = len(judges) > 1
        return self._grouped(
            points,
            lambda point: "best of N" + f", {judges[point.setting.image_scorer or '']}" * several,
        )

    def other_strategies(self) -> list[ResultPoint]:
        """Points of all strategies but LSRS and best-of-N, in the order of the sweep."""
        known = (LSRS, BEST_OF_N)
        return [point for point in self.in_context() if point.setting.strategy not in known]

    def _grouped(self, points: Sequence[ResultPoint], name: Callable[[ResultPoint], str]) -> list[Curve]:
        """Curves by M, the plain point first, of points with one name."""
        groups = group(points, name)
        longest = max((len(some) for some in groups.values()), default=0)
        return [
            Curve.of(title, self.with_plain(some), candidates)
            for title, some in groups.items()
            if len(some) > 1 or longest == 1
        ]

    def starts(self) -> list[Curve]:
        """A curve by ST for each M that has two at least, the largest M last."""
        found = group(sorted(self.selected("start_scale"), key=candidates), m_name)
        curves = [Curve.of(name, some, lambda p: p.setting.start_scale) for name, some in found.items()]
        return [curve for curve in curves if len(curve.x) > 1]

    def top_ks(self) -> list[Curve]:
        """A curve by k of top-k selection for each M that has two at least; k = 1 is greedy selection."""
        points = self.selected("top_k_select", selector="topk")
        points += [p.where(top_k_select=1) for p in self.selected(selector="greedy")]
        found = group(sorted(points, key=candidates), m_name)
        curves = [Curve.of(name, some, lambda p: p.setting.top_k_select) for name, some in found.items()]
        return [curve for curve in curves if len(set(curve.x) - {1.0}) > 1]

    def varied(self, axis: str) -> dict[str, list[ResultPoint]]:
        """Points of each way to choose that differ in another field, of which there are two at least.

        Numbers come in rising order, texts in that of the sweep.
        """
        free = (axis, "selector") if axis == "temperature" else (axis,)
        points = [p for p in self.in_context(axis) if p.plain and axis in CONTEXT] + self.selected(*free)
        several = len({point.setting.selector for point in points if not point.plain}) > 1
        found = group(points, lambda point: method(point, several))
        groups = {name: self._by_value(some, axis) for name, some in found.items()}
        return {name: some for name, some in groups.items() if len(some) > 1}

    def _by_value(self, points: Sequence[ResultPoint], axis: str) -> list[ResultPoint]:
        """One point for each value of a field that is set."""
        found: dict[Any, ResultPoint] = {}
        for point in points:
            value = getattr(point.setting, axis)
            if value is not None:
                found.setdefault(value, point)
        numeric = all(isinstance(value, int | float) for value in found)
        return [found[value] for value in (sorted(found) if numeric else found)]

    def along(self, axis: str) -> list[Curve]:
        """``varied`` as curves, of a field that is a number."""
        return [
            Curve.of(name, some, lambda point: getattr(point.setting, axis))
            for name, some in self.varied(axis).items()
        ]


def defaults(base: SampleConfig) -> dict[str, Any]:
    """The base's fields, with what the backbone's spec says for those that are left open."""
    found = {key: getattr(base, key, None) for key in (*CONTEXT, *METHOD)}
    spec = next((s for s, _ in get_plugins().backbones if base.backbone in (s.name, *s.aliases)), None)
    known: dict[str, Any] = {"start_scale": FIRST_SELECTED, "end_scale": LAST}
    if spec is not None:
        known |= {key: getattr(spec.sampling, key) for key in ("cfg", "top_k", "top_p")}
        known |= {"scorer": spec.default_scorer, "guidance": spec.guidance[0].name}
        known["schedule"] = ",".join(map(str, spec.schedule))
    automatic = {key for key, value in found.items() if value in (None, "auto")}
    return {key: known.get(key) if key in automatic else value for key, value in found.items()}


def value_of(point: ResultPoint, key: str) -> Any:
    """A field of a point's setting; the last scale, whose number depends on the schedule, is ``LAST``."""
    value = getattr(point.setting, key)
    return LAST if key == "end_scale" and value == len(point.setting.schedule.split(",")) else value


def candidates(point: ResultPoint) -> int:
    """M."""
    return point.candidates or 0


def group(points: Iterable[ResultPoint], name: Callable[[ResultPoint], str]) -> dict[str, list[ResultPoint]]:
    """Points by name, in the order of first appearance."""
    found: dict[str, list[ResultPoint]] = {}
    for point in points:
        found.setdefault(name(point), []).append(point)
    return found
