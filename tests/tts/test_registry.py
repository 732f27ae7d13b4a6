"""Names, aliases, duplicates and conflicts."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tts.errors import PluginError
from tts.registry import BUILTIN_OWNER, Registry


@dataclass(frozen=True)
class Spec:
    name: str
    aliases: tuple[str, ...] = ()


def registry_of(*specs: Spec, owner: str = BUILTIN_OWNER, broken: tuple[str, ...] = ()) -> Registry[Spec]:
    registry = Registry("backbone", Spec, broken)
    for spec in specs:
        registry.add(spec, owner)
    return registry


def test_a_spec_answers_to_its_name_and_aliases() -> None:
    spec = Spec("var-d30", ("var", "big"))
    registry = registry_of(spec)
    assert [registry.get(name) for name in ("var-d30", "var", "big")] == [spec] * 3
    assert registry.owner("big") == BUILTIN_OWNER


def test_specs_keep_their_order_and_names_are_sorted_without_aliases() -> None:
    registry = registry_of(Spec("zebra", ("ant",)), Spec("bear"))
    assert [spec.name for spec, _ in registry] == ["zebra", "bear"]
    assert registry.names() == ["bear", "zebra"]


@pytest.mark.parametrize("name", ["VAR", "var_d30", "-var", "var-", "var--d30", "var d30", "", "var:x", "é"])
def test_names_are_lower_case_with_dashes(name: str) -> None:
    registry = registry_of()
    with pytest.raises(PluginError, match="lower-case"):
        registry.add(Spec(name), "acme:main")
    with pytest.raises(PluginError, match="lower-case"):
        registry.add(Spec("fine", (name,)), "acme:main")
    assert registry.names() == []


@pytest.mark.parametrize("spec", [Spec("var"), Spec("alias"), Spec("new", ("var",)), Spec("new", ("alias",))])
def test_a_duplicate_names_both_owners_and_adds_nothing(spec: Spec) -> None:
    registry = registry_of(Spec("var", ("alias",)))
    with pytest.raises(PluginError, match="already taken") as caught:
        registry.add(spec, "acme:main")
    assert "acme:main" in str(caught.value)
    assert BUILTIN_OWNER in str(caught.value)
    assert registry.names() == ["var"]


@pytest.mark.parametrize("aliases", [("var",), ("a", "a")])
def test_a_spec_cannot_repeat_a_name(aliases: tuple[str, ...]) -> None:
    with pytest.raises(PluginError, match="repeats"):
        registry_of(Spec("var", aliases))


def test_aliases_are_not_one_string() -> None:
    with pytest.raises(PluginError, match="tuple of names, got 'big'"):
        registry_of(Spec("var", "big"))  # type: ignore[arg-type]


def test_discard_forgets_names_and_aliases_of_one_owner() -> None:
    registry = registry_of(Spec("var"))
    registry.add(Spec("acme", ("short",)), "acme:main")
    registry.discard("acme:main")
    assert registry.names() == ["var"]
    registry.add(Spec("short"), "other:main")


def test_an_unknown_name_gives_the_closest_the_list_and_the_broken_plugins() -> None:
    registry = registry_of(Spec("var-d30"), Spec("flexvar"), broken=("acme 1.0",))
    with pytest.raises(PluginError) as caught:
        registry.get("var-d3")
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert message.startswith("unknown backbone 'var-d3'; did you mean 'var-d30'?")
    assert "known: flexvar, var-d30" in message
    assert "failed to load: acme 1.0" in message
    assert "\n" not in message


def test_capital_letters_are_no_other_name() -> None:
    with pytest.raises(PluginError, match="did you mean 'var-d30'"):
        registry_of(Spec("var-d30")).get("VAR-D30")


def test_an_unknown_name_without_relatives() -> None:
    with pytest.raises(PluginError) as caught:
        registry_of().get("zzz")
    assert str(caught.value) == "unknown backbone 'zzz'; known: none"


def test_a_name_of_two_third_parties_is_an_error_at_use() -> None:
    registry = registry_of(Spec("theirs"), Spec("other"), owner="acme:main")
    for owner in ("beta:main", "gamma:main"):
        with pytest.raises(PluginError, match="already taken"):
            registry.add(Spec("theirs"), owner)
    with pytest.raises(PluginError, match="acme:main and beta:main and gamma:main"):
        registry.get("theirs")
    with pytest.raises(PluginError, match="is claimed by"):
        registry.owner("theirs")
    assert registry.conflicts == {"theirs": ("acme:main", "beta:main", "gamma:main")}
    assert registry.names() == ["other"]
    assert registry.get("other").name == "other"


@pytest.mark.parametrize("holder", [BUILTIN_OWNER, "acme:main"])
def test_only_two_different_third_parties_conflict(holder: str) -> None:
    registry = registry_of(Spec("var"), owner=holder)
    with pytest.raises(PluginError, match="already taken"):
        registry.add(Spec("var"), "acme:main")
    assert registry.conflicts == {}
    assert registry.owner("var") == holder


def test_a_conflict_outlives_its_holder() -> None:
    registry = registry_of(Spec("theirs"), owner="acme:main")
    with pytest.raises(PluginError, match="already taken"):
        registry.add(Spec("theirs"), "beta:main")
    registry.discard("acme:main")
    with pytest.raises(PluginError, match="acme:main and beta:main"):
        registry.get("theirs")
