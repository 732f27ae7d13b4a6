"""Write a new plugin's package: all of it or nothing. Imports no torch."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from shlex import quote
from string import Template

from tts import __version__
from tts.errors import RunError, UsageError, reason
from tts.manager import Plugins
from tts.plugin_template.kinds import Kind
from tts.plugin_template.names import Names, choose_names

LICENSES = {"MIT": "LICENSE-MIT", "none": "LICENSE-none"}
"""Texts that there are, by what ``--license`` says; ``none`` is a reminder to choose one."""

PLACES = {"gitignore": ".gitignore", "test.yml": ".github/workflows/test.yml"}
"""Where template files go whose names would be in the way in a folder of templates."""


@dataclass(frozen=True)
class Written:
    """A package that was written; ``files`` are relative to ``folder``, ``next_steps`` are commands."""

    folder: str
    distribution: str
    module: str
    kind: str
    hook: str
    part: str
    files: tuple[str, ...]
    next_steps: tuple[str, ...]


def write_package(
    name: str, kind: Kind, out: Path, plugins: Plugins, author: str | None = None, license_name: str = "MIT"
) -> Written:
    """Write the package ``name`` of a kind into the folder ``out``.

    Raises ``UsageError``, before anything is written, for names that are no names or that are taken, and
    ``RunError`` where files cannot be written; nothing of them is left then.
    """
    names = choose_names(name, kind, plugins)
    if license_name not in LICENSES:
        raise UsageError(f"unknown license {license_name!r}; use {' or '.join(LICENSES)}")
    folder = out / name
    if not out.is_dir():
        raise UsageError(f"no folder {str(out)!r}; create it, or leave --out out")
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{str(folder)!r} already exists; choose another name or another --out")
    texts = render(kind, values(names, kind, author, license_name), LICENSES[license_name])
    write_folder(folder, texts)
    commands = tuple(Template(command).substitute(part=names.part) for command in kind.commands)
    steps = (
        f"cd {quote(str(folder))}",
        'python -m pip install --editable ".[test]"',
        "python -m pytest",
        *commands,
    )
    return Written(
        str(folder), name, names.module, kind.name, kind.hook, names.part, tuple(sorted(texts)), steps
    )


def values(names: Names, kind: Kind, author: str | None, license_name: str) -> dict[str, str]:
    """What the placeholders of the templates stand for."""
    person, email = read_author(author)
    fields = {"name": person, "email": email}
    table = ", ".join(f"{key} = {quoted(value)}" for key, value in fields.items() if value)
    return {
        "name": names.distribution,
        "module": names.module,
        "part": names.part,
        "kind": kind.name,
        "words": kind.name.replace("-", " "),
        "hook": kind.hook,
        "summary": kind.summary,
        "commands": "\n".join(Template(command).substitute(part=names.part) for command in kind.commands),
        "authors": f"authors = [{{ {table} }}]\n" if table else "",
        "holder": person or f"the authors of {names.distribution}",
        "year": str(date.today().year),
        "license": f"license = {quoted(license_name)}\n" if license_name != "none" else "",
        "modules": json.dumps([f"{names.module}{suffix}.py" for suffix in module_suffixes(kind)]),
        "version": __version__,
    }


def read_author(text: str | None) -> tuple[str, str]:
    """Name and address of ``Name <address>``, either of which may be empty."""
    if text is None:
        return "", ""
    match = re.fullmatch(r"\s*([^<>]*?)\s*(?:<\s*([^<>\s]+@[^<>\s]+)\s*>)?\s*", text)
    if match is None or not text.strip() or not text.isprintable():
        raise UsageError(f"author {text!r} must be a name, or a name and an address: 'Ada Lee <ada@lee.org>'")
    return match[1], match[2] or ""


def quoted(text: str) -> str:
    """A string as TOML writes it."""
    return json.dumps(text, ensure_ascii=False)


def module_suffixes(kind: Kind) -> list[str]:
    """What follows the module's name in those of the kind's modules; the one with the hooks is first."""
    names = [path.name for path in template(kind.name).iterdir() if path.name.startswith("module")]
    return sorted(name.removeprefix("module").removesuffix(".py.txt") for name in names)


def render(kind: Kind, values: Mapping[str, str], license_file: str) -> dict[str, str]:
    """The package's files: path to text."""
    texts = {}
    for name, text in templates(kind, license_file):
        path = PLACES.get(name, name)
        if name.startswith("module"):
            path = values["module"] + name.removeprefix("module")
        elif name == "test.py":
            path = f"tests/test_{values['module']}.py"
        elif name == license_file:
            path = "LICENSE"
        texts[path] = Template(text).substitute(values)
    return texts


def templates(kind: Kind, license_file: str) -> Iterator[tuple[str, str]]:
    """Names and texts of the template files of a kind."""
    for folder in (template("common"), template(kind.name)):
        for path in folder.iterdir():
            name = path.name.removesuffix(".txt")
            if name != path.name and (not name.startswith("LICENSE") or name == license_file):
                yield name, path.read_text(encoding="utf-8")


def template(name: str) -> Path:
    """A folder of template files, which are text with ``$placeholders``."""
    return Path(__file__).parent / "files" / name


def write_folder(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files below a temporary folder and rename it; nothing is left of it on failure."""
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        for name, text in texts.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        temporary.rename(folder)
    except OSError as error:
        raise RunError(
            f"cannot write {folder} ({reason(error)}); check the space and the rights there"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
