"""Numbers and plans read from text: what is taken, and that refusals name the value."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.config import (
    Choices,
    SearchSettings,
    check_sampling,
    check_schedule,
    choose_options,
    parse_range,
    parse_scales,
    parse_schedule,
    plan_candidates,
)
from tts.noise_streams import Stream
from tts.specs import LLAMAGEN_GUIDANCE, VAR_GUIDANCE, BackboneOptions, BackboneSpec, SamplingDefaults

QUIET = settings(database=None, deadline=None, derandomize=True, max_examples=80)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0", (0,)),
        ("0-9,12", (*range(10), 12)),
        ("5,1,3", (5, 1, 3)),
        ("7-7", (7,)),
        (" 3 , 5-6 ", (3, 5, 6)),
        ("007", (7,)),
    ],
)
def test_a_range(text, values):
    assert parse_range(text, "seed") == values


@QUIET
@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=20, unique=True))
def test_numbers_come_back(values):
    assert parse_range(",".join(map(str, values)), "seed") == tuple(values)


@QUIET
@given(st.lists(st.integers(0, 30), min_size=2, max_size=12, unique=True).map(sorted))
def test_ranges_come_back(cuts):
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    text = ",".join(f"{low}-{high}" for low, high in pairs)
    expected = tuple(value for low, high in pairs for value in range(low, high + 1))
    assert parse_range(text, "label", 31) == expected


@pytest.mark.parametrize(
    "text", ["", ",", "a", "1-", "-1", "1--2", "1-2-3", "1.5", "1;2", "0-3,x", "1,", "²", "one\nline"]
)
def test_what_is_no_range_is_refused(text, refused):
    with refused(f"seed {text!r} is not a list of whole numbers"):
        parse_range(text, "seed")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("9-3", ("label '9-3' runs backwards", "write 3-9")),
        ("0,8-10", ("label 10 is out of range", "0 to 9")),
        ("10", ("label 10 is out of range",)),
        ("1,1", ("label '1,1' names a number twice",)),
        ("0-3,2", ("label '0-3,2' names a number twice",)),
    ],
)
def test_what_no_range_allows_is_refused(text, words, refused):
    with refused(*words):
        parse_range(text, "label", 10)


def test_a_range_beyond_reason_is_refused_before_it_is_built(refused):
    with refused("seed '0-99999999999' names 100000000000 numbers", "1000000 in all are the most"):
        parse_range("5,0-99999999999", "seed")


@pytest.mark.parametrize(
    ("text", "start", "end", "plan"),
    [
        ("8", 2, None, (1, 8, 8, 8)),
        ("8", 1, None, (8, 8, 8, 8)),
        ("8", 2, 3, (1, 8, 8, 1)),
        ("8", 4, 4, (1, 1, 1, 8)),
        ("1", 2, None, (1, 1, 1, 1)),
        ("8", None, None, (1, 8, 8, 8)),
        ("8", None, 3, (1, 8, 8, 1)),
        ("1,2,4,8", None, None, (1, 2, 4, 8)),
        (" 3, 1,1 ,2", None, None, (3, 1, 1, 2)),
    ],
)
def test_candidates_of_each_scale(text, start, end, plan):
    assert plan_candidates(text, start, end, 4) == plan


@pytest.mark.parametrize("text", ["0", "-1", "", "a", "1.5", "8,", "1,2,0,4", "1-4", "1,2\n3,4"])
def test_candidates_are_whole_numbers(text, refused):
    with refused(f"candidates {text!r} must be whole numbers of at least 1"):
        plan_candidates(text, 2, None, 4)


@pytest.mark.parametrize(
    ("text", "start", "end", "words"),
    [
        ("8,8", 2, None, ("candidates has 2 numbers, the backbone 4 scales",)),
        ("8,8,8,8,8", 2, None, ("candidates has 5 numbers",)),
        ("8", 0, None, ("start-scale 0 is out of range", "scales 1 to 4")),
        ("8", 5, None, ("start-scale 5 is out of range",)),
        ("8", 2, 5, ("end-scale 5 is out of range",)),
        ("8", 2, 0, ("end-scale 0 is out of range",)),
        ("8", 3, 2, ("end-scale 2 is before start-scale 3",)),
        ("8", None, 1, ("end-scale 1 is before start-scale 2",)),
        ("1,2,4,8", 2, None, ("candidates '1,2,4,8' says it for every scale", "leave --start-scale")),
        ("1,2,4,8", None, 4, ("candidates '1,2,4,8' says it for every scale",)),
    ],
)
def test_plans_that_do_not_fit_are_refused(text, start, end, words, refused):
    with refused(*words):
        plan_candidates(text, start, end, 4)


@pytest.mark.parametrize(
    ("text", "scales"),
    [("2-", (1, 2, 3)), ("1-", (0, 1, 2, 3)), ("4-", (3,)), ("2-3", (1, 2)), ("1,3", (0, 2)), ("4", (3,))],
)
def test_scales_count_from_one(text, scales):
    assert parse_scales(text, 4) == scales


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0", ("scale 0 is out of range", "1 to 4")),
        ("0-2", ("scale 0 is out of range", "1 to 4")),
        ("5", ("scale 5 is out of range", "1 to 4")),
        ("1,9", ("scale 9 is out of range", "1 to 4")),
        ("2-6", ("scale 5 is out of range", "1 to 4")),
        ("5-", ("scale 5 is out of range", "1 to 4")),
        ("3-2", ("scale '3-2' runs backwards",)),
        ("2,2", ("scale '2,2' names a number twice",)),
        ("x", ("scale 'x' is not a list",)),
        ("", ("scale '' is not a list",)),
        ("-", ("scale '-' is not a list",)),
        ("-2", ("scale '-2' is not a list",)),
    ],
)
def test_scales_that_are_refused(text, words, refused):
    with refused(*words):
        parse_scales(text, 4)


def test_schedules():
    assert parse_schedule("1,2,3,4") == (1, 2, 3, 4)
    assert parse_schedule(" 1, 16") == (1, 16)


@pytest.mark.parametrize("text", ["", "1", "1,2,", "1,x", "1,-2", "1;2", "ten"])
def test_text_that_is_no_schedule_is_refused(text, refused):
    with refused(f"schedule {text!r} must be increasing sides from 1, like 1,2,3,4"):
        parse_schedule(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2,3", ("schedule 2,3 must start at side 1",)),
        ("0,1,2", ("schedule 0,1,2 must start at side 1",)),
        ("1,3,3", ("schedule 1,3,3 does not increase from 3 to 3",)),
        ("1,4,2", ("schedule 1,4,2 does not increase from 4 to 2",)),
        ("1,2,33", ("schedule 1,2,33 ends at side 33", "position table has 32", "end it at 32 or below")),
    ],
)
def test_schedules_that_are_refused(text, words, refused):
    with refused(*words):
        parse_schedule(text, limit=32)


def test_one_scale_is_no_schedule(refused):
    with refused("schedule 1 has one scale"):
        check_schedule((1,))


NAMED = {"3": (1, 2, 4), "512": (1, 16, 32)}


def test_schedules_have_names():
    assert parse_schedule("3", NAMED) == (1, 2, 4)
    assert parse_schedule(" 512 ", NAMED, 32) == (1, 16, 32)
    assert parse_schedule("1,2,3", NAMED) == (1, 2, 3)


@pytest.mark.parametrize("text", ["a3", "5-12", "99"])
def test_an_unknown_name_lists_the_known_ones(text, refused):
    with refused(f"schedule {text!r}", "or a name: 3, 512"):
        parse_schedule(text, NAMED)


def backbone_spec(**changes):
    facts = {
        "name": "free",
        "family": "f",
        "factory": "f:f",
        "summary": "",
        "schedule": (1, 2, 3),
        "classes": 10,
        "codebook_size": 8,
        "channels": 4,
        "image_size": 3,
        "sampling": SamplingDefaults(0.0, 0, 0.0),
    }
    return BackboneSpec(**{**facts, **changes})


def test_options_default_to_the_spec():
    assert choose_options(backbone_spec(), Choices()) == BackboneOptions()
    assert choose_options(backbone_spec(), Choices("1,2,3")).schedule == (1, 2, 3)


def test_options_of_a_free_backbone():
    spec = backbone_spec(max_side=9, schedules={"two": (1, 9)}, guidance=(VAR_GUIDANCE, LLAMAGEN_GUIDANCE))
    options = choose_options(spec, Choices("1,4,9", "llamagen", True))
    assert options == BackboneOptions((1, 4, 9), LLAMAGEN_GUIDANCE, True)
    assert choose_options(spec, Choices("two")).schedule == (1, 9)


@pytest.mark.parametrize(
    ("changes", "choices", "words"),
    [
        ({}, Choices("1,2,4"), ("free has the fixed schedule 1,2,3, got 1,2,4", "leave --schedule out")),
        ({"max_side": 4}, Choices("1,2,5"), ("ends at side 5", "position table has 4")),
        ({}, Choices(guidance="llamagen"), ("unknown guidance 'llamagen'", "free has var")),
    ],
)
def test_options_that_a_backbone_does_not_offer(changes, choices, words, refused):
    with refused(*words):
        choose_options(backbone_spec(**changes), choices)


def test_settings_default_to_samples_with_images():
    plain = SearchSettings((1, 2), 1.5, 900, 0.96)
    assert (plain.stream, plain.decode, plain.trace, plain.chunk) == (Stream.SAMPLE, True, False, None)


@pytest.mark.parametrize(("guidance", "off"), [(VAR_GUIDANCE, 0), (LLAMAGEN_GUIDANCE, 1)])
def test_a_refused_strength_of_guidance_says_what_switches_it_off(guidance, off, refused):
    with refused(f"cfg -1.0 must be a number of at least 0; {off} switches {guidance.name} guidance off"):
        check_sampling(-1.0, 0, 0.0, guidance)
