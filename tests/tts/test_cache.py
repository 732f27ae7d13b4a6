"""Checksums that are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tts import cache
from tts.cache import known, rechecking
from tts.io import sha256_file


class Counted:
    """SHA-256, with the names of the files that were read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, path: Path) -> str:
        self.read.append(path.name)
        return sha256_file(path)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counted:
    """Every file counts as large, and as old enough to be trusted."""
    monkeypatch.setenv("TTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "SMALL", 0)
    monkeypatch.setattr(cache, "SETTLED", -10.0)
    return Counted()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        path.write_text(path.name)
    return paths


def test_a_file_is_read_again_only_when_it_changes(counted: Counted, files: list[Path]) -> None:
    first = known(files, "sha256", counted)
    assert first == [sha256_file(path) for path in files]
    assert known(files, "sha256", counted) == first
    assert sorted(counted.read) == ["a", "b"]
    files[1].write_text("c")
    assert known(files, "sha256", counted) == [first[0], sha256_file(files[1])]
    assert sorted(counted.read) == ["a", "b", "b"]


def test_a_time_that_was_set_back_hides_no_change(counted: Counted, files: list[Path]) -> None:
    before = files[0].stat()
    known(files, "sha256", counted)
    files[0].write_text("x")
    os.utime(files[0], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert known(files, "sha256", counted)[0] == sha256_file(files[0])


def test_checking_in_full_reads_everything_again(counted: Counted, files: list[Path]) -> None:
    known(files, "sha256", counted)
    with rechecking():
        known(files, "sha256", counted)
    assert len(counted.read) == 4
    known(files, "sha256", counted)
    assert len(counted.read) == 4


def test_different_checks_are_kept_apart(counted: Counted, files: list[Path]) -> None:
    known(files, "sha256", counted)
    assert known(files, "../../name", lambda path: path.name) == ["a", "b"]


def test_a_file_that_has_just_changed_is_not_trusted(
    counted: Counted, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SETTLED", 3600.0)
    for _ in range(2):
        known(files, "sha256", counted)
    assert len(counted.read) == 4


def test_little_data_leave_nothing_in_the_cache(
    counted: Counted, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SMALL", 100)
    known(files, "sha256", counted)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"a": [[1], 2]}', "[" * 100_000])
def test_a_damaged_cache_is_none(counted: Counted, files: list[Path], tmp_path: Path, content: str) -> None:
    first = known(files, "sha256", counted)
    (kept,) = (tmp_path / "cache" / "checked").iterdir()
    kept.write_text(content)
    assert known(files, "sha256", counted) == first


def test_a_cache_that_cannot_be_written_is_none(
    counted: Counted, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TTS_CACHE", str(tmp_path / "file" / "cache"))
    for _ in range(2):
        assert known(files, "sha256", counted) == [sha256_file(path) for path in files]
    assert len(counted.read) == 4
