"""Strategies and selectors of a sweep at equal cost: ``python benchmarks/equal_cost.py FOLDER``.

For each way to choose and each budget, in seconds of the plain model and in its transformer passes, the table
has the setting of that way which takes most time within the budget (not the best one, which would be picked
by the very figures that are compared), with its Frechet distance over the seed sets. Writes
``equal_cost.json`` and ``equal_cost.md`` to the folder.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

from tts.evaluation.sweep.reading import ResultPoint, read_results
from tts.io import write_json

BUDGETS = (1.5, 2.0, 4.0, 8.0, 16.0)
COSTS = {"seconds": "time of the plain model", "passes": "transformer passes of the plain model"}
SLACK = 1.05
"""A point within 5 % of a budget is within it."""


def way(point: ResultPoint) -> str:
    """The way to choose: a strategy without its size, a selector, or a scorer that is not the usual one."""
    setting = point.setting
    if setting.strategy == "best-of-n":
        return "best-of-n"
    if setting.strategy != "lsrs":
        return setting.strategy.partition(":")[0] + (" (best)" if "final=best" in setting.strategy else "")
    scorer = setting.scorer if setting.scorer not in (None, "learned") else None
    return f"lsrs {setting.selector}" + (f", {scorer}" if scorer else "")


def cost(point: ResultPoint, plain: ResultPoint, kind: str) -> float | None:
    """Cost of a point in units of the plain model."""
    if kind == "seconds":
        return point.time_by(plain)
    own, base = (one.mean("transformer_passes") for one in (point, plain))
    return own / base if own and base else None


def within(points: list[ResultPoint], plain: ResultPoint, kind: str, budget: float) -> ResultPoint | None:
    """The point that takes most time of those within a budget."""
    fitting = [p for p in points if (cost(p, plain, kind) or budget + 1e9) <= budget * SLACK]
    return max(fitting, key=lambda point: cost(point, plain, "seconds") or 0, default=None)


def measure(folder: Path) -> dict[str, Any]:
    """The tables: for each cost, budget and way the point with its figures."""
    points = read_results(folder).points
    plain = next(point for point in points if point.plain)
    ways: dict[str, list[ResultPoint]] = defaultdict(list)
    for point in points:
        if not point.plain:
            ways[way(point)].append(point)
    tables: dict[str, Any] = {}
    for kind in COSTS:
        rows: dict[str, Any] = {}
        for name, some in ways.items():
            found = [within(some, plain, kind, budget) for budget in BUDGETS]
            rows[name] = [entry(point, plain) if point else None for point in found]
        tables[kind] = rows
    return {"budgets": BUDGETS, "plain": entry(plain, plain), "tables": tables}


def entry(point: ResultPoint, plain: ResultPoint) -> dict[str, Any]:
    """What is kept of a point."""
    return {
        "point": point.label,
        "fid": list(point.values("fid")),
        "mean": point.mean("fid"),
        "spread": point.spread("fid"),
        "accuracy": point.mean("accuracy"),
        "recall": point.mean("recall"),
        "time": cost(point, plain, "seconds"),
        "passes": cost(point, plain, "passes"),
    }


def text(found: dict[str, Any]) -> str:
    """Both tables in Markdown."""
    plain = found["plain"]
    parts = [f"Plain model: FD {plain['mean']:.2f} ± {plain['spread']:.2f}.\n"]
    for kind, title in COSTS.items():
        heads = [f"{budget:g}x" for budget in found["budgets"]]
        lines = [f"At equal {kind} (budgets in {title}):\n", f"| | {' | '.join(heads)} |"]
        lines.append(f"| --- | {' | '.join('---' for _ in heads)} |")
        lines += [
            f"| {name} | {' | '.join(cell(one) for one in row)} |"
            for name, row in found["tables"][kind].items()
        ]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def cell(one: dict[str, Any] | None) -> str:
    """A point as text: its size, and its Frechet distance with the spread over seed sets."""
    if one is None:
        return "-"
    return f"{one['mean']:.2f} ± {one['spread']:.2f} ({one['point']})"


def main() -> None:
    """Write the tables beside the sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    found = measure(folder)
    write_json(folder / "equal_cost.json", found)
    (folder / "equal_cost.md").write_text(text(found))
    print(text(found))


if __name__ == "__main__":
    main()
