"""Sources: which topic filters can be one, and which forms of payload there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.errors import ConfigError
from edge.wire.formats import DATABUS, FORMATS, NAMED, OPEN, PATHS, SPARKPLUG, parts_of
from edge.wire.sparkplug import NAMESPACE
from edge.wire.topics import LEVEL, metadata_filter, subscription

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.settings import Source

DATABUS_TOPIC: Final = "ie/d/j/simatic/v1/APPLICATION/dp/r/# with any APPLICATION or +"


def check_sources(sources: Sequence[Source], path: Path) -> None:
    """Raise ConfigError for none at all, and for one that is none."""
    if not sources:
        raise ConfigError(f"{path}: no [[source]], nothing would be listened to")
    for source in sources:
        _check_filter(source, path)
        if source.format not in FORMATS:
            raise _wrong(
                source, path, f"format is {source.format!r}, expected one of {', '.join(FORMATS)}"
            )
        if source.format == SPARKPLUG:
            _check_sparkplug(source, path)
        elif source.rebirth:
            raise _wrong(
                source,
                path,
                f'rebirth is of Sparkplug B alone; leave it out, or set format = "{SPARKPLUG}"',
            )
        _check_names(source, path)


def _wrong(source: Source, path: Path, what: str) -> ConfigError:
    return ConfigError(f"{path}: source {source.topic!r}: {what}")


def _check_filter(source: Source, path: Path) -> None:
    levels = source.topic.split("/")
    held = [level for level in levels if "{" in level or "}" in level]
    named = [LEVEL.fullmatch(level) for level in held]
    names = [one[1] for one in named if one is not None]
    wild = [level for level in levels if ("+" in level or "#" in level) and len(level) > 1]
    rests = [level for level in levels[:-1] if level == "#" or level.endswith("...}")]
    if (
        not source.topic
        or "\0" in source.topic
        or wild
        or rests
        or None in named
        or len(set(names)) < len(names)
    ):
        raise ConfigError(
            f"{path}: source topic {source.topic!r} is no topic filter; expected one such as"
            " plant/{asset}, each name of a level once"
        )


def _check_names(source: Source, path: Path) -> None:
    """Templates name parts that there are, and paths stand where they are read."""
    if (source.paths is not None) != (source.format == PATHS):
        raise _wrong(source, path, f'[source.paths] and format = "{PATHS}" belong together')
    if source.paths is not None and (fault := source.paths.fault()):
        raise _wrong(source, path, fault)
    if source.format == DATABUS and not metadata_filter(subscription(source)):
        raise _wrong(source, path, f"expected {DATABUS_TOPIC}")
    levels = [one[1] for one in LEVEL.finditer(source.topic)]
    if source.format not in NAMED:
        if source.asset_from or source.tag_from or set(levels) - {"asset"}:
            raise _wrong(
                source,
                path,
                f"format {source.format} names its values itself: asset_from, tag_from and levels"
                " other than {asset} are of other formats",
            )
        return
    told = NAMED[source.format]
    known = [*levels, *told.parts]
    templates = {"asset_from": source.asset_from, "tag_from": source.tag_from or told.tag}
    for key, template in templates.items():
        unknown = [part for part in parts_of(template) if part not in known]
        if unknown and source.format not in OPEN:
            raise _wrong(
                source,
                path,
                f"{key} {template!r} names {{{unknown[0]}}}, and there is"
                f" {', '.join(f'{{{part}}}' for part in known) or 'nothing'}"
                + ("; name the level of the tag in the topic" if not told.parts else ""),
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
