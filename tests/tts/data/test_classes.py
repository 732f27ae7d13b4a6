"""The labels of class folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tts.data.classes import Classes

DIGITS, IMAGENET = ("0", "9"), ("n01440764", "n15075141")
NUMBERS = [str(i) for i in range(10)]


def test_numbers_are_the_labels() -> None:
    classes = Classes.of(["10", "9", "007", "0"])
    assert (classes.names, classes.labels, classes.by_number) == (
        ("0", "007", "9", "10"),
        (0, 7, 9, 10),
        True,
    )
    assert str(classes) == "labels are the numbers that the class folders are named by, 0 to 10"


def test_names_are_sorted_as_text() -> None:
    classes = Classes.of(["b", "a10", "a2", "Z", "é"])
    assert (classes.names, classes.labels) == (("Z", "a10", "a2", "b", "é"), (0, 1, 2, 3, 4))
    assert (
        str(classes) == "labels 0 to 4 are the places of the class folders' names sorted as text, 'Z' to 'é'"
    )


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (["0", "1", "dog"], "some class folders are named by a number, like 0, others are not, like 'dog'"),
        (["0", "-1"], "others are not, like '-1'"),
        (["0", "٣"], "others are not, like '٣'"),
        (["0", "1.5"], "others are not, like '1.5'"),
        (["001", "1"], "class folders 001 and 1 are both label 1; merge them"),
        (["0", "9" * 400], f"class folder {'9' * 20} is no label up to 2147483647; rename it"),
        (["2147483648"], "class folder 2147483648 is no label up to"),
    ],
)
def test_contradictions_are_refused(folders: list[str], words: str, refused: Any) -> None:
    with refused(words):
        Classes.of(folders)


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (
            [*NUMBERS[1:], "10"],
            "class folder 10 is no class of the backbone, whose labels are 0 to 9, and these",
        ),
        (
            ["0", "25"],
            "class folder 25 is no class of the backbone, whose labels are 0 to 9; rename",
        ),
        (["a", "b"], "has 2 class folders, the backbone has 10 classes"),
    ],
)
def test_folders_of_another_model_are_refused(folders: list[str], words: str, refused: Any) -> None:
    with refused(words):
        Classes.of(folders).check(Path("here"), 10)


def doubts(folders: list[str], known: tuple[str, str] | None = None, classes: int = 0) -> list[str]:
    return list(Classes.of(folders).doubts(known, classes))


@pytest.mark.parametrize(
    ("folders", "known"),
    [
        ([], DIGITS),
        (NUMBERS, DIGITS),
        ([f"class-{i}" for i in range(10)], DIGITS),
        ([f"{i:04d}" for i in range(12)], None),
        ([f"class-{i:02d}" for i in range(1, 13)], None),
        (["cat", "dog"], None),
        (["n01440764", "n02000000", "n15075141"], IMAGENET),
    ],
)
def test_what_agrees_is_not_doubted(folders: list[str], known: Any) -> None:
    assert doubts(folders, known, 0) == []


def test_an_order_that_numbers_contradict_is_told() -> None:
    (line,) = doubts([f"class{i}" for i in range(1, 12)])
    assert "'class11' is class 2 and 'class2' is class 3; if their numbers are the labels" in line


@pytest.mark.parametrize(
    ("folders", "known", "words"),
    [
        (
            ["eight", "five", "zero"],
            DIGITS,
            "class folder 'eight' is taken for class 0, which the model's",
        ),
        (["goldfish", "tench"], IMAGENET, "class folder 'goldfish' is taken for class 0"),
        (
            ["n01440764", "n16000000"],
            IMAGENET,
            "'n16000000' is taken for class 1, which the model's",
        ),
        ([f"class-{i}" for i in range(1, 10)], DIGITS, "class folder 'class-1' is taken for class 0"),
    ],
)
def test_names_that_are_not_the_model_s_are_told(folders: list[str], known: Any, words: str) -> None:
    (line,) = doubts(folders, known)
    assert words in line


def test_lacking_folders_are_told() -> None:
    assert doubts(["0", "3"], None, 10) == ["there is no class folder for 8 of 10 classes (1, 2, 4, …)"]
