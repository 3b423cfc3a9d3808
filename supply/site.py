"""Pages of the documentation site that are made from the program itself, as it is built.

mkdocs calls `on_files`. The page of commands says what `--help` says, of every command there is, so
that it cannot fall behind.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import typer.main
from mkdocs.structure.files import File

import andon
from andon.commands import COMMANDS, Group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

COMMANDS_PAGE: Final = "reference/commands.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    files.append(File.generated(config, COMMANDS_PAGE, content=commands_page()))
    return files


def commands_page() -> str:
    """Every command with its options, in the order in which `andon --help` lists them."""
    parts = ["# Commands\n", "Each has `--help`, which says the same.\n"]
    root = typer.main.get_command(andon.app)
    for name, command in _children(root):
        told = COMMANDS[name]
        if isinstance(told, Group):
            parts.append(f"## andon {name}\n\n{_prose(told.help)}\n")
            parts += [
                _section(f"andon {name} {leaf}", found, level=3)
                for leaf, found in _children(command)
            ]
        else:
            parts.append(_section(f"andon {name}", command, level=2))
    return "\n".join(parts)


def _children(command: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - typer hides click's type
    for name, child in command.commands.items():
        if not child.hidden:
            yield name, child


def _section(path: str, command: Any, *, level: int) -> str:  # noqa: ANN401
    """One command: what it does, how it is called, what its parameters mean."""
    shown = [p for p in command.params if p.name != "help" and not getattr(p, "hidden", False)]
    arguments = [p for p in shown if p.param_type_name == "argument"]
    options = [p for p in shown if p.param_type_name != "argument"]
    words = [_argument(p) for p in arguments]
    usage = " ".join([path, *words, *(["[OPTIONS]"] if options else [])])
    parts = [f"{'#' * level} {path}\n", _prose(command.help or ""), f"\n```text\n{usage}\n```\n"]
    rows = [(f"`{_argument(p)}`", p) for p in arguments]
    rows += [(", ".join(f"`{one}`" for one in [*p.opts, *p.secondary_opts]), p) for p in options]
    if rows:
        parts.append("| | | default |\n|---|---|---|")
        parts += [f"| {name} | {_cell(p.help or '')} | {_default(p)} |" for name, p in rows]
        parts.append("")
    return "\n".join(parts)


def _argument(parameter: Any) -> str:  # noqa: ANN401
    name = str(parameter.name).upper()
    name = f"{name}..." if parameter.nargs == -1 else name
    return name if parameter.required else f"[{name}]"


def _default(parameter: Any) -> str:  # noqa: ANN401
    """What it is when nobody says so; "" where that is nothing."""
    value = parameter.default
    plain = value is None or callable(value) or value in ("", False, [], ())
    return "required" if parameter.required else "" if plain else f"`{_cell(str(value))}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _prose(text: str) -> str:
    """A docstring as Markdown: what `--help` leaves unwrapped, behind a backspace, is a block."""
    told = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if paragraph.startswith("\b"):
            first, *rest = paragraph.removeprefix("\b").strip("\n").splitlines()
            block = "\n".join(line.strip() for line in rest)
            told.append(f"{first}\n\n```sh\n{block}\n```")
        else:
            told.append(" ".join(line.strip() for line in paragraph.splitlines()))
    return "\n\n".join(told)
