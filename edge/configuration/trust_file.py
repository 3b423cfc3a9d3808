"""The trust file: keys kept apart from the rest, so that those who may change it can be fewer."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Final

from edge.configuration.words import hint
from edge.errors import UNREADABLE, ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_KEYS: Final = ("require_signed", "public_keys", "operators", "key")


def include_trust(data: dict[str, Any], path: Path) -> None:
    """Put the content of the file that [trust] names beside what the configuration says of trust.

    Raises ConfigError for a file that cannot be read, an unknown key, and one that stands in both.
    """
    trust = data.get("trust")
    if not isinstance(trust, dict) or not isinstance(trust.get("file"), str) or not trust["file"]:
        return
    file = path.parent / trust["file"]
    try:
        held = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; [trust] file names it") from error
    except UNREADABLE as error:
        raise ConfigError(f"{file}: not TOML: {error}; [trust] file names it") from error
    for name, value in held.items():
        if name not in _KEYS:
            raise ConfigError(f"{file}: unknown key {name!r}{hint(name, _KEYS)}")
        if name in trust:
            raise ConfigError(f"{file}: {name} stands in [trust] of {path} too; keep one of them")
        trust[name] = value
