"""The tables at equal cost are those of the sweeps beside them, and the page quotes them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tts.io import read_json

ROOT = Path(__file__).parent.parent
FOLDERS = {
    name: ROOT / "benchmarks" / "results" / f"strategies_{name}" for name in ("var-digits", "flexvar-digits")
}


@pytest.fixture(scope="module")
def script():
    """The script ``benchmarks/equal_cost.py``."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import equal_cost

    yield equal_cost
    sys.path.remove(str(ROOT / "benchmarks"))


def rounded(value):
    """Numbers to 10 of 16 digits: a mean of a few has other last ones from Python to Python."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value


@pytest.mark.parametrize("name", FOLDERS)
def test_the_kept_tables_follow_from_the_sweep(script, name):
    found, kept = script.measure(FOLDERS[name]), read_json(FOLDERS[name] / "equal_cost.json")
    assert rounded(json.loads(json.dumps(found))) == rounded(kept)
    assert script.text(found) == (FOLDERS[name] / "equal_cost.md").read_text()


@pytest.mark.parametrize("name", FOLDERS)
def test_a_point_keeps_its_budget(script, name):
    found = script.measure(FOLDERS[name])
    for kind, rows in found["tables"].items():
        for row in rows.values():
            for budget, one in zip(found["budgets"], row, strict=True):
                assert one is None or one["time" if kind == "seconds" else kind] <= budget * script.SLACK
    assert {"lsrs greedy", "best-of-n", "beam", "particles"} <= found["tables"]["seconds"].keys()


@pytest.mark.parametrize("name", FOLDERS)
def test_the_page_quotes_the_tables(script, name):
    page = (ROOT / "docs" / "choosing.md").read_text()
    table = next(part for part in page.split("\n\n") if part.startswith(f"| {name} "))
    kept = read_json(FOLDERS[name] / "equal_cost.json")["tables"]["seconds"]
    measured = {f"{one['mean']:.2f}" for row in kept.values() for one in row if one}
    quoted = re.findall(r"(\d\.\d\d) ±", "\n".join(table.splitlines()[1:]))
    assert len(quoted) > 15
    assert set(quoted) <= measured
