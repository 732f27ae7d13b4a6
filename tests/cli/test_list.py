"""``tts list``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

Install = Callable[[str, str], None]
Tts = Callable[..., "subprocess.CompletedProcess[str]"]

ACME = """
from tts import BackboneSpec, Guidance, SamplingDefaults, ScorerSpec

@tts.hookimpl
def tts_register_backbones():
    yield BackboneSpec(
        name="acme-s", family="acme", factory="acme:build", summary="small", schedule=(1, 2, 7), classes=10,
        codebook_size=8, channels=4, image_size=64, sampling=SamplingDefaults(cfg=4.0, top_k=0, top_p=0.5),
        guidance=(Guidance("acme-rule", 0.0, "?"),), max_side=9, aliases=("tiny", "wee"),
        default_scorer="one",
    )

@tts.hookimpl
def tts_register_scorers():
    return [ScorerSpec("one", "acme:one", "the first", argument="PATH")]
"""


@pytest.fixture
def acme(install: Install, tts: Tts) -> Tts:
    install("acme", ACME)
    return tts


def test_json_holds_specs_and_owners(acme: Tts) -> None:
    result = json.loads(acme("list", "--json").stdout)
    assert list(result) == [
        "backbones",
        "scorers",
        "selectors",
        "strategies",
        "losses",
        "features",
        "image_scorers",
    ]
    owners = {spec["name"]: spec["owner"] for kind in result.values() for spec in kind}
    assert owners["inception"] == owners["digits"] == "scalewise-tts"
    assert owners["var-d30"] == owners["learned"] == owners["greedy"] == owners["pairwise"] == "scalewise-tts"
    assert owners["acme-s"] == owners["one"] == "acme"
    (spec,) = (spec for spec in result["backbones"] if spec["name"] == "acme-s")
    assert spec["sampling"] == {"cfg": 4.0, "top_k": 0, "top_p": 0.5}
    assert (spec["schedule"], spec["aliases"]) == ([1, 2, 7], ["tiny", "wee"])


def test_backbones_show_their_defaults(acme: Tts) -> None:
    lines = acme("list").stdout.splitlines()
    (row,) = (line.split() for line in lines if line.startswith("acme-s"))
    shown = dict(zip(lines[0].split(), row, strict=True))
    assert shown == {
        "BACKBONE": "acme-s",
        "IMAGE": "64",
        "CLASSES": "10",
        "CFG": "4",
        "TOP-K": "off",
        "TOP-P": "0.5",
        "GUIDANCE": "acme-rule",
        "SCHEDULE": "1,2,7",
        "FREE-TO": "9",
        "SCORER": "one",
        "ALIASES": "tiny,wee",
        "OWNER": "acme",
    }


def test_the_other_kinds_show_how_to_type_them(acme: Tts) -> None:
    tables = acme("list").stdout.split("\n\n")
    assert [table.split()[0] for table in tables] == [
        "BACKBONE",
        "SCORER",
        "SELECTOR",
        "STRATEGY",
        "LOSS",
        "FEATURES",
        "IMAGE",
    ]
    rows = {line.split()[0]: line for line in tables[1].splitlines()}
    assert rows["one:PATH"].split(maxsplit=2)[1:] == ["acme", "the first"]
    assert {"learned:FILE", "likelihood"} < rows.keys()


def test_a_name_of_two_plugins_is_left_out(install: Install, acme: Tts) -> None:
    install("beta", ACME)
    result = acme("list")
    assert "acme-s" not in result.stdout
    assert result.stderr.startswith("warning: plugin beta 1.0, tts_register_backbones: ")
