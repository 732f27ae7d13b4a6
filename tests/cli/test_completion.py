"""What the shell offers for the values of options."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Install = Callable[[str, str], None]
Tts = Callable[..., Any]

OFFERED = {
    "tts sample --backbone va": {"var", "var-d16", "var-d30", "var-digits", "var-digits-l"},
    "tts collect --backbone flexvar": {"flexvar", "flexvar-d24", "flexvar-digits"},
    "tts sample --scorer ": {"auto", "none", "learned", "likelihood", "preview"},
    "tts sample --selector ": {"greedy", "topk", "softmax", "random"},
    "tts sample --strategy ": {"lsrs", "best-of-n", "beam", "particles"},
    "tts sample --image-scorer ": {"auto", "digits"},
    "tts sample --guidance ": {"var", "flexvar", "llamagen"},
    "tts bench --sampler ": {"exact", "fast"},
    "tts sample --dtype ": {"float32", "bfloat16", "float16"},
    "tts eval --features ": {"auto", "inception", "digits"},
    "tts train-scorer --loss ": {"pairwise", "pointwise"},
    "tts fetch var-d3": {"var-d30", "var-d36"},
}


def offered(tts: Tts, line: str) -> set[str]:
    """What bash would be told."""
    words = line.split(" ")
    done = tts(COMP_WORDS=line, COMP_CWORD=str(len(words) - 1), _TTS_COMPLETE="complete_bash", TTS_PLUGINS="")
    assert done.stderr == ""
    return {text.split(",")[-1] for text in done.stdout.split()}


@pytest.mark.parametrize("line", OFFERED)
def test_values_come_from_the_registry(tts: Tts, line: str) -> None:
    assert OFFERED[line] <= offered(tts, line)


def test_names_that_begin_otherwise_are_not_offered(tts: Tts) -> None:
    assert not {name for name in offered(tts, "tts sample --backbone flex") if not name.startswith("flexvar")}


def test_files_are_offered_where_they_may_stand(tts: Tts, tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").touch()
    (tmp_path / "models").mkdir()
    found = offered(tts, f"tts sample --scorer {tmp_path}/m")
    assert found == {f"{tmp_path}/mine.safetensors", f"{tmp_path}/models/"}


def test_a_plugin_is_offered_too(install: Install, tts: Tts) -> None:
    source = """
    @tts.hookimpl
    def tts_register_selectors():
        return [tts.SelectorSpec("acme-first", "acme:First", "the first one")]
    """
    install("acme", source)
    words = "tts sample --selector acme"
    done = tts(COMP_WORDS=words, COMP_CWORD="3", _TTS_COMPLETE="complete_bash")
    assert done.stdout.split() == ["acme-first"]


def test_completion_imports_no_torch(tts_environment: dict[str, str]) -> None:
    import subprocess

    code = (
        "import atexit, sys; sys.argv[0] = 'tts'; from tts_cli.main import main;"
        "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr)); main()"
    )
    words = {"COMP_WORDS": "tts sample --backbone v", "COMP_CWORD": "3", "_TTS_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**tts_environment, **words},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, "var-digits" in done.stdout) == ("False\n", True)
