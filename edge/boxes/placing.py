"""Where the files of a configuration are, and where they go so that it runs from any directory.

What lies below the directory of the configuration stays where it is; what lies elsewhere, and what
the environment set, is written into the configuration of the backup.
"""

from __future__ import annotations

import copy
import json
import posixpath
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.configuration.config import GatewayConfig

ELSEWHERE: Final = "elsewhere"  # folder of what did not lie below the configuration
STATE: Final = "journal.dir"
PATHS: Final = (  # keys that hold a path, besides those whose name ends in _file or _dir
    "model.bundle",
    "kb.snapshot",
    "kb.source",
    "kb.embedder",
    "journal.dir",
    "audit.dir",
    "include.assets",
    "include.tags",
    "include.alarms",
)
MADE_LATER: Final = ("page.users_file", "reports.file")  # nothing is missing where they are not
SECRET: Final = re.compile(r"password|secret|private|token|psk|(?<!public_)key_file$|_key$")
_ENDS: Final = ("_file", "_dir", "_path")
_TABLE: Final = re.compile(r"^\s*\[(?P<name>[^\[\]]+)\]\s*(?:#.*)?$")
_ANY_TABLE: Final = re.compile(r"^\s*\[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A path of the configuration. key: `kb.snapshot`; name: in the backup, with slashes."""

    key: str
    path: Path
    name: str
    secret: bool


def placed(config: GatewayConfig) -> list[Placed]:
    """Every path that a configuration names, in the order of its keys."""
    found = []
    for key, value in _paths(msgspec.to_builtins(config)):
        inside = posixpath.normpath(value)
        if posixpath.isabs(value) or inside == ".." or inside.startswith("../"):
            inside = f"{ELSEWHERE}/{key.replace('.', '-')}"
            if not config.path(value).is_dir():
                inside = f"{inside}/{posixpath.basename(value)}"
        secret = bool(SECRET.search(key.rpartition(".")[2]))
        found.append(Placed(key=key, path=config.path(value), name=inside, secret=secret))
    return found


def _paths(table: dict[str, Any], head: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        key = f"{head}{name}"
        if isinstance(value, dict):
            yield from _paths(value, f"{key}.")
        elif isinstance(value, str) and value and is_path(key):
            yield key, value


def is_path(key: str) -> bool:
    """Whether a key such as `mqtt.tls_ca_file` holds a path."""
    last = key.rpartition(".")[2]
    return key in PATHS or ("." in key and (last in ("file", "dir") or last.endswith(_ENDS)))


def rewritten(text: str, values: dict[str, object], *, path: Path) -> str:
    """The text of a configuration in which some keys have other values; comments stay.

    values: by key, such as `kb.snapshot`. Raises ConfigError where one cannot be set so.
    """
    wanted = tomllib.loads(text)
    for key, value in values.items():
        before, after = copy.deepcopy(wanted), copy.deepcopy(wanted)
        *tables, last = key.split(".")
        table = after
        for name in tables:
            table = table.setdefault(name, {})
        table[last] = value
        changed = text if before == after else _set(text, tables, last, value)
        try:
            fits = tomllib.loads(changed) == after
        except tomllib.TOMLDecodeError:
            fits = False
        if not fits:
            raise ConfigError(
                f"{path}: {key} cannot be rewritten for another directory; write it as a line of"
                f" its own, `{last} = ...` below [{'.'.join(tables)}]"
            )
        text, wanted = changed, after
    return text


def _set(text: str, tables: list[str], key: str, value: object) -> str:
    """Replace the key's line, add one to its table, or add the table."""
    line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
    lines = text.splitlines()
    here: list[str] | None = []
    header = -1
    for i, old in enumerate(lines):
        if _ANY_TABLE.match(old):
            named = _TABLE.match(old)
            here = [part.strip(" \"'") for part in named["name"].split(".")] if named else None
            header = i if here == tables else header
        elif here == tables and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*=""", old):
            lines[i] = line
            return "\n".join(lines) + "\n"
    if not tables:
        lines.insert(0, line)
    elif header >= 0:
        lines.insert(header + 1, line)
    else:
        lines += ["", f"[{'.'.join(tables)}]", line]
    return "\n".join(lines) + "\n"
