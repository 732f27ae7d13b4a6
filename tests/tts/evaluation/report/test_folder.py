"""What a folder holds, and where its page goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tts.errors import TtsError, UsageError
from tts.evaluation.report.folder import find_kind, write_report
from tts.io import write_json

MakeSweep = Callable[..., Path]


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        (["sweep.json", "results.json"], "sweep"),
        (["tune.json"], "tuning"),
        (["metrics.json"], "training"),
        (["plan.json", "run.json"], "run"),
    ],
)
def test_a_folder_is_known_by_its_last_file(tmp_path: Path, files: list[str], kind: str) -> None:
    for name in files:
        (tmp_path / name).write_text("{}")
    assert find_kind(tmp_path).name == kind


@pytest.mark.parametrize(
    ("file", "content", "what"),
    [
        ("sweep.json", {}, "unfinished sweep; run its 'tts sweep' again"),
        ("last.safetensors", {}, "unfinished training; go on with 'tts train-scorer --resume'"),
        ("plan.json", {"kind": "sample"}, "unfinished run; run its 'tts sample' again"),
        ("plan.json", {"kind": "generated"}, "nothing that a report can be made of"),
        ("else.json", {}, "nothing that a report can be made of"),
    ],
)
def test_what_is_unfinished_or_of_no_kind_is_refused_with_the_next_step(
    tmp_path: Path, file: str, content: object, what: str
) -> None:
    write_json((tmp_path / file), content)
    with pytest.raises(UsageError, match=what) as caught:
        find_kind(tmp_path)
    assert caught.value.exit_code == 2


def test_the_page_lies_in_the_folder_or_where_it_is_wanted(make_sweep: MakeSweep, tmp_path: Path) -> None:
    folder = make_sweep()
    made = write_report(folder)
    assert (made.kind, made.out, made.figures) == ("sweep", folder / "report.html", 3)
    assert made.size == made.out.stat().st_size
    other = write_report(folder, tmp_path / "new" / "page.html")
    assert other.out.read_bytes() == made.out.read_bytes()


def test_a_second_page_replaces_the_first(make_sweep: MakeSweep) -> None:
    folder = make_sweep()
    before = {path.name for path in folder.iterdir()}
    (folder / "report.html").write_text("old")
    content = write_report(folder).out.read_bytes()
    assert write_report(folder).out.read_bytes() == content
    assert {path.name for path in folder.iterdir()} == before | {"report.html"}


@pytest.mark.parametrize("name", ["results.json", "page", "page.txt", "folder.html"])
def test_only_html_files_are_written(make_sweep: MakeSweep, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(UsageError, match=f"{name} is no name for an HTML file"):
        write_report(make_sweep(), tmp_path / name)


def test_a_damaged_folder_leaves_no_page(make_sweep: MakeSweep) -> None:
    folder = make_sweep()
    (folder / "plots" / "fd.svg").write_text("<svg")
    with pytest.raises(TtsError, match=r"fd\.svg is no readable picture"):
        write_report(folder)
    assert not (folder / "report.html").exists()
