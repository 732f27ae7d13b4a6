"""What the families have in common: names, recognition, matching parts."""

from __future__ import annotations

import itertools

import pytest
import torch

from tts.backbones.families import FAMILIES, check_family, check_parts, get_family, recognise
from tts.backbones.presets import SPECS
from tts.errors import CheckpointError
from tts.specs import BackboneOptions, load_attribute

CPU = torch.device("cpu")
TINY = (1, 2, 3, 4)
PRESETS = {spec.name: spec for spec in SPECS}
STATES = {"var": ("var_tiny", "vae_tiny"), "flexvar": ("flexvar_tiny", "flexvae_tiny")}
OTHER = {"var": "flexvar", "flexvar": "var"}


@pytest.fixture(scope="module")
def states(synthetic_state):
    """Transformer and tokenizer of each tiny model."""
    return {family: tuple(map(synthetic_state, names)) for family, names in STATES.items()}


def configs(states, name):
    """Both configurations of a tiny model."""
    family = get_family(name)
    net = family.infer_transformer(states[name][0], None, TINY)
    return net, family.infer_tokenizer(states[name][1], net)


# The table


def test_families_are_known_by_their_names():
    assert FAMILIES == ("var", "flexvar")
    assert [get_family(name).name for name in FAMILIES] == list(FAMILIES)
    assert [get_family(name).title for name in FAMILIES] == ["VAR", "FlexVAR"]


def test_an_unknown_family_is_refused(refused):
    with refused("unknown family 'varr'", "use var or flexvar"):
        get_family("varr")


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_presets_agree_with_their_family(spec):
    family = get_family(spec.family)
    assert spec.guidance == family.guidance
    assert callable(load_attribute(spec.factory))
    if spec.repo:
        assert (spec.sampling, spec.schedules) == (family.sampling, family.schedules)
        assert spec.schedule == (family.fallback or spec.schedule)
    for sides in (spec.schedule, *spec.schedules.values()):
        assert sides[0] == 1
        assert all(a < b for a, b in itertools.pairwise(sides))
        assert spec.max_side is None or sides[-1] <= spec.max_side


# Recognition


@pytest.mark.parametrize("name", FAMILIES)
def test_a_transformer_is_recognised_by_its_own_family_alone(states, name):
    transformer, tokenizer = states[name]
    assert get_family(name).recognises(transformer)
    assert not get_family(OTHER[name]).recognises(transformer)
    assert not any(get_family(family).recognises(tokenizer) for family in FAMILIES)
    assert recognise(transformer).name == name


@pytest.mark.parametrize(
    "state", [{}, {"pos_1LC": torch.ones(3)}, {"a": torch.ones(1)}], ids=["none", "flat", "a"]
)
def test_what_no_family_recognises_is_left_to_the_first(state):
    assert recognise(state).name == FAMILIES[0]
    for name in FAMILIES:
        check_family(state, get_family(name))  # its own errors say more


@pytest.mark.parametrize("name", FAMILIES)
def test_a_transformer_of_another_family_is_refused(states, refused, name):
    transformer, other = states[name][0], OTHER[name]
    check_family(transformer, get_family(name))
    titles = get_family(name).title, get_family(other).title
    words = (
        "the transformer is a {}, not a {};".format(*titles),
        f"pass a {name} backbone",
        f"--family {name} ",
    )
    with refused(*words, kind=CheckpointError):
        check_family(transformer, get_family(other))


# Parts


@pytest.mark.parametrize("name", FAMILIES)
def test_facts_are_made_of_parts_that_agree(states, name):
    family = get_family(name)
    net, code = configs(states, name)
    check_parts(net, code)
    info = family.make_info(f"{name}-test", net, code, family.sampling, BackboneOptions())
    assert (info.name, info.family, info.schedule) == (f"{name}-test", name, TINY)
    assert (info.guidance, info.sampling) == (family.guidance[0], family.sampling)
    assert info.image_size == family.image_size(net, code) == 64
    assert (info.classes, info.codebook_size, info.channels) == (10, 64, net.channels)
    assert family.max_side(net) == (32 if name == "flexvar" else None)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("what", "field"), [("codebook size", "codebook_size"), ("channels", "channels")])
def test_parts_of_two_models_are_refused(states, refused, name, what, field):
    family = get_family(name)
    net, code = configs(states, name)
    ours = getattr(net, field)
    other = type(code)(**{**vars(code), field: 7})
    words = f"{what} is {ours} in the transformer and 7 in the tokenizer", "files of one model"
    with refused(*words, kind=CheckpointError):
        check_parts(net, other)
    with refused(*words, kind=CheckpointError):
        family.make_info("mixed", net, other, family.sampling, BackboneOptions())


def test_the_parts_of_the_families_do_not_mix(states, refused):
    net, _ = configs(states, "flexvar")
    _, code = configs(states, "var")
    with refused("channels is 32 in the transformer and 8", kind=CheckpointError):
        check_parts(net, code)
