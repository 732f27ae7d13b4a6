"""``tts sample`` with folders: runs again, extended, overwritten, shared, damaged; what it says meanwhile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from tts.io import read_json

Run = Callable[..., Any]
Text = Callable[..., str]
Files = Callable[[Path], dict[str, bytes]]

QUICK = ("--labels", "3,7", "--seeds", "0-1", "--candidates", "4", "--scorer", "likelihood")
EVERYTHING = ("--format", "png,npz", "--save-tokens", "--trace")


def record(folder: Path) -> dict[str, Any]:
    return read_json(folder / "run.json")


@pytest.fixture(scope="module")
def finished(succeed: Text, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every kind of output."""
    out = tmp_path_factory.mktemp("finished") / "run"
    succeed("sample", *QUICK, *EVERYTHING, "--out", out)
    return out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_the_same_run_again_changes_nothing(succeed: Text, files: Files, out: Path) -> None:
    before = files(out)
    line = succeed("sample", *QUICK, *EVERYTHING, "--batch-size", 2, "--out", out)
    assert line.startswith(f"4 images already in {out} (candidates 1,4,4,4, ")
    assert files(out) == before
    answer = json.loads(succeed("sample", *QUICK, *EVERYTHING, "--json", "--out", out))
    assert (answer["images"], answer["made"], answer["finished"]) == (4, 0, True)
    assert answer["images_per_second"] == record(out)["timing"]["images_per_second"]
    assert files(out) == before


def test_another_run_is_refused_and_names_what_differs(refuse: Text, files: Files, out: Path) -> None:
    before = files(out)
    line = refuse("sample", *QUICK, *EVERYTHING, "--cfg", 2, "--selector", "softmax", "--out", out)
    assert line.endswith("(cfg, selector); choose another --out or pass --overwrite")
    assert files(out) == before


def test_more_images_are_refused_unless_they_are_to_be_added(
    succeed: Text, refuse: Text, files: Files, out: Path
) -> None:
    before = files(out)
    more = ("sample", "--labels", "3,7", "--seeds", "0-4", *QUICK[4:], *EVERYTHING, "--out", out)
    line = refuse(*more)
    assert line.endswith("(seeds); choose another --out or pass --overwrite, or --extend to add items")
    assert files(out) == before
    assert succeed(*more, "--extend").startswith(f"10 images in {out} (candidates 1,4,4,4, ")
    after = files(out)
    kept = [name for name in before if name.startswith(("images/", "shards/"))]
    assert len(kept) == 5
    assert all(after[name] == before[name] for name in kept)
    assert len(list(out.glob("images/*/*.png"))) == 10
    assert record(out)["images"] == record(out)["timing"]["images"] == 10
    with np.load(out / "samples.npz") as arrays:
        assert arrays["arr_1"].tolist() == [3, 3, 7, 7, 3, 3, 3, 7, 7, 7]
        assert arrays["seeds"].tolist() == [0, 1, 0, 1, 2, 3, 4, 2, 3, 4]
    assert len(load_file(out / "tokens.safetensors")["tokens"]) == 10
    assert succeed(*more).startswith("10 images already in ")
    assert files(out) == after


def test_overwriting_leaves_nothing_of_the_old_run(succeed: Text, files: Files, out: Path) -> None:
    (out / "notes.txt").write_text("mine")
    succeed("sample", "--labels", "1", "--seeds", "9", *QUICK[4:], "--overwrite", "--out", out)
    made = {"images/0001/000009.png", "grid.png", "run.json", "plan.json"}
    assert files(out).keys() == made | {"shards/shard-00000.safetensors", "notes.txt"}
    assert not (out / ".unfinished").exists()


def test_shares_of_a_job_array(succeed: Text, files: Files, tmp_path: Path) -> None:
    common = ("sample", *QUICK, *EVERYTHING, "--shard-items", 2)
    shared = (*common, "--out", tmp_path / "shared")
    line = succeed(*shared, "--shard", "1/2")
    rest = "1 of 2 shards, the rest is left to other processes,"
    assert line == f"{rest} in {tmp_path / 'shared'} (candidates 1,4,4,4, scorer likelihood)\n"
    assert not (tmp_path / "shared" / "run.json").exists()
    answer = json.loads(succeed(*shared, "--shard", "1/2", "--json"))
    assert (answer["made"], answer["finished"], answer["images_per_second"]) == (0, False, None)
    assert (answer["shards_done"], answer["shards"]) == (1, 2)
    assert succeed(*shared, "--shard", "2/2").startswith(f"4 images in {tmp_path / 'shared'} (")
    succeed(*common, "--out", tmp_path / "alone")
    ours, theirs = files(tmp_path / "shared"), files(tmp_path / "alone")
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if name != "run.json" and ours[name] != theirs[name]] == []


@pytest.mark.parametrize("damage", ["{", "[]", "{}"])
def test_a_damaged_record_is_written_anew(
    succeed: Text, refuse: Text, files: Files, out: Path, damage: str
) -> None:
    whole = files(out)
    before = record(out)
    (out / "run.json").write_text(damage)
    damaged = files(out)
    assert "(cfg)" in refuse("sample", *QUICK, *EVERYTHING, "--cfg", 2, "--out", out)
    assert files(out) == damaged
    line = succeed("sample", *QUICK, *EVERYTHING, "--out", out)
    made = f"4 images in {out} (candidates 1,4,4,4, scorer likelihood)"  # the time is lost
    assert line == f"{made}; the first of them: {out}/grid.png\n"
    after = files(out)
    assert {**after, "run.json": b""} == {**whole, "run.json": b""}
    assert {**record(out), "timing": None} == {**before, "timing": None}


def test_a_damaged_plan_is_refused_unless_overwritten(
    succeed: Text, refuse: Text, files: Files, out: Path
) -> None:
    for damage, expected in (("{", "plan.json is not a valid plan"), ("[]", "plan.json is not a valid plan")):
        (out / "plan.json").write_text(damage)
        before = files(out)
        assert expected in refuse("sample", *QUICK, *EVERYTHING, "--out", out)
        assert files(out) == before
    succeed("sample", *QUICK, *EVERYTHING, "--overwrite", "--out", out)
    assert succeed("sample", *QUICK, *EVERYTHING, "--out", out).startswith("4 images already in ")


def test_results_without_a_plan_are_refused_unless_overwritten(
    succeed: Text, refuse: Text, files: Files, out: Path
) -> None:
    (out / "plan.json").unlink()
    before = files(out)
    line = refuse("sample", *QUICK, *EVERYTHING, "--out", out)
    assert "holds run.json but no plan.json to compare with; choose another --out or pass --overwrite" in line
    assert files(out) == before
    assert succeed("sample", *QUICK, "--overwrite", "--out", out).startswith("4 images in ")


def test_data_of_another_command_stay(succeed: Text, refuse: Text, files: Files, tmp_path: Path) -> None:
    succeed("collect", "--per-class", 1, "--out", tmp_path)
    before = files(tmp_path)
    for option in ((), ("--extend",), ("--overwrite",)):
        assert "choose another --out" in refuse("sample", *QUICK, *option, "--out", tmp_path)
        assert files(tmp_path) == before


def test_a_log_in_json(run: Run, tmp_path: Path) -> None:
    options = ("--top-k", 1, "--shard-items", 2, "--log-json")  # greedy, which is worth a note
    done = run("sample", *QUICK, *options, "--out", tmp_path)
    assert done.code == 0
    assert done.stdout.startswith(f"4 images in {tmp_path} (")
    *events, note = (json.loads(line) for line in done.stderr.splitlines())
    assert [event["items_done"] for event in events] == [0, 2, 4]
    progress = events[-1]
    assert (progress["event"], progress["what"]) == ("progress", "sampling")
    assert (progress["items_done"], progress["items"]) == (4, 4)
    assert (progress["shards_done"], progress["shards"], progress["processes"]) == (2, 2, 1)
    assert progress["items_per_second"] > 0
    assert (note["event"], note["message"].partition(":")[0]) == (
        "note",
        "decoding is greedy at scale 2, 3, 4",
    )
    assert note["time"] >= progress["time"] > 1.6e9
    again = run("sample", *QUICK, *options, "--out", tmp_path)
    assert [json.loads(line)["event"] for line in again.stderr.splitlines()] == ["note"]


def test_a_refusal_in_json(run: Run, tmp_path: Path) -> None:
    run("sample", *QUICK, "--out", tmp_path)
    done = run("sample", *QUICK, "--cfg", 7, "--log-json", "--out", tmp_path)
    assert (done.code, done.stdout) == (2, "")
    (event,) = (json.loads(line) for line in done.stderr.splitlines())
    assert (event["event"], event["exit_code"]) == ("error", 2)
    assert "(cfg)" in event["message"]
