"""Time zones of a configuration: names that this machine knows."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from edge.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def check_zone(name: str, path: Path, key: str) -> None:
    """Raise ConfigError for a name that is none; "" is no name."""
    try:
        if name:
            ZoneInfo(name)
    except (KeyError, ValueError, OSError, RecursionError) as error:  # a name of many parts
        raise ConfigError(
            f"{path}: {key} timezone is {name!r}, expected a name such as Europe/Berlin"
        ) from error
