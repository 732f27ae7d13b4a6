"""What the documents show is what the code has."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest

from tts import hookspecs

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "plugins" / "README.md").read_text()
HOOKS = [name for name in vars(hookspecs) if name.startswith("tts_")]


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_stands_in_the_guide_with_its_exact_signature(hook):
    signature = str(inspect.signature(getattr(hookspecs, hook))).replace("'", "")
    assert f"### {hook}{signature}\n" in GUIDE


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "plugins/README.md",
        "plugins/tts-backbone-tiny/README.md",
        "plugins/tts-score-classifier/README.md",
        "plugins/tts-score-clip/README.md",
        "plugins/tts-select-accept/README.md",
        "plugins/tts-select-density/README.md",
        "docs/long-runs.md",
        "docs/evaluation.md",
        "docs/method.md",
        "docs/glossary.md",
        "docs/troubleshooting.md",
        "docs/choosing.md",
        "tts/embedded/MODEL_CARD.md",
    ],
)
def test_links_point_to_files_that_exist(document):
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("document", ["README.md", "docs/long-runs.md", "docs/evaluation.md"])
def test_the_commands_of_a_document_have_options_that_exist(document):
    from typer.main import get_group

    from tts_cli.main import app

    group = get_group(app)
    text = (ROOT / document).read_text().replace("\\\n", " ")
    lines = [line for block in blocks(text, "(?:sh|bash)?") for line in block.splitlines()]
    lines = [re.sub(r"^(exec tts|torchrun .*-m tts_cli) ", "tts ", line) for line in lines]
    commands = [line.split("#")[0].split() for line in lines if line.startswith("tts ")]
    assert len(commands) >= 9
    for words in commands:
        if words[1].startswith("-"):
            continue
        command = group.commands[words[1]]
        command = getattr(command, "commands", {}).get("".join(words[2:3]), command)
        known = {option for parameter in command.params for option in parameter.opts}
        used = {word for word in words[2:] if word.startswith("--")}
        assert used <= known | {"--help"}, words


def test_the_metadata_say_where_everything_is():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"Repository", "Documentation", "Changelog", "Issues"} <= project["urls"].keys()
    assert f'repository-code: "{project["urls"]["Repository"]}"' in (ROOT / "CITATION.cff").read_text()


@pytest.mark.parametrize("name", ["FD", "ST", "M, m_k", "T", "e_k", "r_k"])
def test_short_names_stand_in_the_glossary(name):
    assert f"\n| {name} | " in (ROOT / "docs" / "glossary.md").read_text()
