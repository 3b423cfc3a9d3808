"""Grouping: from topics to assets, and to the fewest sources that say the same.

Where a payload names the asset, it is believed. A device of Sparkplug B is an asset. Of any other
topic the last level that differs between topics and is no word such as `data` names the asset.
Sources are proven before they are handed on: each topic that was heard has to lead to its asset.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from edge.discovery.findings import FoundSource
from edge.settings import Source
from edge.wire.sparkplug import NAMESPACE
from edge.wire.topics import is_asset_id, match_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.discovery.observed import Key, Stream

# Levels that say what is sent, or how, and not whose it is.
GENERIC: Final = frozenset(
    [
        *("ai", "analog", "context", "current", "data", "di", "digital", "events", "info", "io"),
        *("json", "live", "measurement", "measurements", "metrics", "out", "output", "payload"),
        *("process", "processvalues", "pv", "raw", "sensor", "sensors", "signals", "state"),
        *("status", "tags", "telemetry", "values", "value", "v1", "v2", "vibration"),
    ]
)


class Place(NamedTuple):
    """Which level of a topic names the asset; `at` -1: the payload does."""

    levels: tuple[str, ...]
    at: int

    @property
    def path(self) -> tuple[str, ...]:
        """The levels down to the asset: two assets are the same where these are."""
        return self.levels[: self.at + 1]


class Grouped(NamedTuple):
    """Whose the values of each stream are, and the sources that say so.

    unusable: topics that cannot be one, with the reason.
    """

    assets: dict[Key, str]
    sources: tuple[FoundSource, ...]
    unusable: dict[str, str]


def grouped(streams: Iterable[Stream]) -> Grouped:
    """Put streams together into assets."""
    streams = list(streams)
    places = _places(streams)
    named = _ids(places)
    assets: dict[Key, str] = {}
    unusable: dict[str, str] = {}
    for stream in streams:
        key = stream.key
        told = key.whose if places[key].at < 0 else named[places[key].path]
        if is_asset_id(told) and not told.startswith("_"):
            assets[key] = told
        else:
            unusable[key.topic] = f"{told!r} cannot be the id of an asset"
    return Grouped(assets, _sources(assets, places), unusable)


def _places(streams: Sequence[Stream]) -> dict[Key, Place]:
    """Where each topic names its asset."""
    found: dict[Key, Place] = {}
    alike: dict[tuple[int, str], list[Stream]] = defaultdict(list)
    for stream in streams:
        levels = tuple(stream.key.topic.split("/"))
        if stream.key.form == "sparkplug":
            found[stream.key] = Place(levels, len(levels) - 1)
        elif stream.key.whose:
            found[stream.key] = Place(levels, -1)
        else:
            alike[len(levels), levels[0]].append(stream)
    for group in alike.values():
        topics = [tuple(stream.key.topic.split("/")) for stream in group]
        varying = [len({topic[i] for topic in topics}) > 1 for i in range(len(topics[0]))]
        for stream, levels in zip(group, topics, strict=True):
            found[stream.key] = Place(levels, _asset_level(levels, varying))
    return found


def _asset_level(levels: Sequence[str], varying: Sequence[bool]) -> int:
    """The level that names the asset: the last that varies and is no generic word."""
    usable = [i for i, level in enumerate(levels) if level and level.lower() not in GENERIC]
    moving = [i for i in usable if varying[i]]
    return next(reversed(moving or usable), len(levels) - 1)


def _ids(places: dict[Key, Place]) -> dict[tuple[str, ...], str]:
    """An id for each asset that a topic names: its level, with levels before it where two share."""
    paths = {place.path for place in places.values() if place.at >= 0}
    taken = {key.whose for key, place in places.items() if place.at < 0}
    found: dict[tuple[str, ...], str] = {}
    depth = dict.fromkeys(paths, 1)
    for _ in range(max(map(len, paths), default=0)):
        found = {path: _joined(path, depth[path]) for path in paths}
        often = Counter(found.values())
        twice = [path for path, one in found.items() if often[one] > 1 or one in taken]
        if not twice:
            break
        for path in twice:
            depth[path] += 1
    return found


def _joined(path: tuple[str, ...], depth: int) -> str:
    levels = [level for level in path if level != "+"]
    if levels[0] == NAMESPACE:
        levels = levels[1:]
    return "-".join(level.strip() for level in levels[-depth:])


def _sources(assets: dict[Key, str], places: dict[Key, Place]) -> tuple[FoundSource, ...]:
    """The fewest sources, checked against every topic that was heard.

    Exact topics stand before filters: of two sources that match the first counts.
    """
    exact: dict[FoundSource, None] = {}
    wide: dict[FoundSource, None] = {}
    for key, asset in assets.items():
        levels, at = places[key]
        if at < 0:
            exact[FoundSource(topic=key.topic, asset="", form=key.form)] = None
        elif levels[at] == asset and not (key.form == "sparkplug" and len(levels) == 4):
            topic = "/".join([*levels[:at], "{asset}", *levels[at + 1 :]])
            wide[FoundSource(topic=topic, asset="", form=key.form)] = None
        else:
            exact[FoundSource(topic=key.topic, asset=asset, form=key.form)] = None
    while astray := _astray([*exact, *wide], assets, places):
        exact |= dict.fromkeys(astray)
        wide = {one: None for one in wide if one not in exact}
    return (*exact, *wide)


def _astray(
    sources: Sequence[FoundSource], assets: dict[Key, str], places: dict[Key, Place]
) -> list[FoundSource]:
    """Exact sources for topics that would lead elsewhere; none twice, so that this ends."""
    settings = [Source(topic=one.topic, asset=one.asset, format=one.form) for one in sources]
    found = []
    for key, asset in assets.items():
        topic = key.topic.replace("/+/", "/DDATA/") if key.form == "sparkplug" else key.topic
        match = match_source(topic, settings)
        named = asset if places[key].at >= 0 else ""
        if match is None or (match[0].format, match[1]) != (key.form, named):
            found.append(FoundSource(topic=key.topic, asset=named, form=key.form))
    return [one for one in dict.fromkeys(found) if one not in sources]
