"""Sources: which topic filters can be one, and which forms of payload there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.errors import ConfigError
from edge.wire.sparkplug import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.settings import Source

FORMATS: Final = ("json", "sparkplug")


def check_sources(sources: Sequence[Source], path: Path) -> None:
    """Raise ConfigError for none at all, and for one that is none."""
    if not sources:
        raise ConfigError(f"{path}: no [[source]], nothing would be listened to")
    for source in sources:
        _check_filter(source, path)
        if source.format not in FORMATS:
            raise ConfigError(
                f"{path}: source {source.topic!r}: format is {source.format!r}, "
                f"expected {' or '.join(FORMATS)}"
            )
        if source.format == "sparkplug":
            _check_sparkplug(source, path)
        elif source.rebirth:
            raise ConfigError(
                f"{path}: source {source.topic!r}: rebirth is of Sparkplug B alone; leave it out, "
                'or set format = "sparkplug"'
            )


def _check_filter(source: Source, path: Path) -> None:
    levels = source.topic.split("/")
    holders = [level for level in levels if "{" in level or "}" in level]
    wild = [level for level in levels if ("+" in level or "#" in level) and len(level) > 1]
    if (
        not source.topic
        or "\0" in source.topic
        or wild
        or "#" in levels[:-1]
        or holders not in ([], ["{asset}"])
    ):
        raise ConfigError(
            f"{path}: source topic {source.topic!r} is no topic filter with at most one level "
            "{asset}, such as plant/{asset}"
        )


def _check_sparkplug(source: Source, path: Path) -> None:
    """Births, data and deaths differ in their third level: without it aliases have no names."""
    levels = source.topic.split("/")
    named = source.asset or "{asset}" in levels[3:]
    if levels[0] != NAMESPACE or levels[2:3] != ["+"] or len(levels) not in (4, 5) or not named:
        raise ConfigError(
            f"{path}: source topic {source.topic!r} is none of Sparkplug B that names an asset; "
            f"expected {NAMESPACE}/GROUP/+/NODE/{{asset}}, or {NAMESPACE}/GROUP/+/{{asset}} "
            "where nodes are the assets"
        )
