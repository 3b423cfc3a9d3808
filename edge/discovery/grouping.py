"""Grouping: from topics to assets, and to the fewest sources that say the same.

Where a payload names the asset, it is believed. A device of Sparkplug B is an asset. Of any other
topic the last level that differs between topics and is no word such as `data` names the asset; of a
value a topic, what stands behind it is the tag.
Sources are proven before they are handed on: each topic that was heard has to lead to its asset.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from edge.discovery.findings import FoundSource
from edge.discovery.messages import RAW
from edge.settings import Source
from edge.wire.formats import DATABUS, SPARKPLUG
from edge.wire.sparkplug import NAMESPACE
from edge.wire.topics import is_asset_id, match_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.discovery.messages import Naming
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
    """Whose the values of each stream are, and the sources that say so, with what each brings.

    tags: of streams of a value a topic. unusable: topics that cannot be one, with the reason.
    """

    assets: dict[Key, str]
    sources: dict[FoundSource, list[Key]]
    tags: dict[Key, str]
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
        if "{" in key.topic or "}" in key.topic:  # in a source these name levels
            unusable[key.topic] = "a topic with { or } cannot be that of a source"
            continue
        told = key.whose if places[key].at < 0 else named[places[key].path]
        if is_asset_id(told) and not told.startswith("_"):
            assets[key] = told
        else:
            unusable[key.topic] = f"{told!r} cannot be the id of an asset"
    tags = {key: _rest(places[key]) for key in assets if key.form == RAW}
    return Grouped(assets, _sources(streams, assets, places), tags, unusable)


def _places(streams: Sequence[Stream]) -> dict[Key, Place]:
    """Where each topic names its asset."""
    found: dict[Key, Place] = {}
    alike: dict[tuple[int, str], list[Stream]] = defaultdict(list)
    for stream in streams:
        levels = tuple(stream.key.topic.split("/"))
        if stream.key.form == SPARKPLUG:
            found[stream.key] = Place(levels, len(levels) - 1)
        elif stream.key.whose:
            found[stream.key] = Place(levels, -1)
        elif stream.key.form != RAW:
            alike[len(levels), levels[0]].append(stream)
    for group in alike.values():
        topics = [tuple(stream.key.topic.split("/")) for stream in group]
        varying = [len({topic[i] for topic in topics}) > 1 for i in range(len(topics[0]))]
        for stream, levels in zip(group, topics, strict=True):
            found[stream.key] = Place(levels, _asset_level(levels, varying))
    return found | _raw_places([stream.key for stream in streams if stream.key.form == RAW])


def _raw_places(keys: Sequence[Key]) -> dict[Key, Place]:
    """The same of a value a topic: what lies above the tag names the asset.

    What lies below another one's place belongs to it, as `press/motor` to `press` where that has
    tags of its own.
    """
    above = {key: tuple(key.topic.split("/"))[:-1] for key in keys}
    parents = set(above.values())
    tops = {
        parent: next((parent[:i] for i in range(1, len(parent)) if parent[:i] in parents), parent)
        for parent in parents
    }
    alike: dict[tuple[int, tuple[str, ...]], list[tuple[str, ...]]] = defaultdict(list)
    for top in set(tops.values()):
        alike[len(top), top[:1]].append(top)
    level: dict[tuple[str, ...], int] = {(): 0}
    for group in alike.values():
        varying = [len({top[i] for top in group}) > 1 for i in range(len(group[0]))]
        level |= {top: _asset_level(top, varying) for top in group if top}
    return {
        key: Place(tuple(key.topic.split("/")), level[tops[parent]])
        for key, parent in above.items()
    }


def _rest(place: Place) -> str:
    return "/".join(place.levels[place.at + 1 :])


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


def _sources(
    streams: Sequence[Stream], assets: dict[Key, str], places: dict[Key, Place]
) -> dict[FoundSource, list[Key]]:
    """The fewest sources, checked against every topic that was heard, each with what it brings.

    Exact topics stand before filters: of two sources that match the first counts.
    """
    namings = {stream.key: stream.naming for stream in streams}
    own = {key: _own(key, assets[key], places[key], namings[key]) for key in assets}
    exact: dict[FoundSource, None] = {}
    wide: dict[FoundSource, None] = {}
    for key, asset in assets.items():
        place = places[key]
        shared = None if place.at < 0 else _shared(key, asset, place, namings[key])
        if shared is None:
            exact[own[key]] = None
        else:
            wide[shared] = None
    while True:
        sources = [*exact, *wide]
        led, astray = _led(sources, assets, places)
        more = [own[key] for key in astray if own[key] not in exact]
        if not more:
            return led
        exact |= dict.fromkeys(more)


def _own(key: Key, asset: str, place: Place, naming: Naming) -> FoundSource:
    """A source of one topic alone."""
    topic = key.topic
    if key.form == RAW:
        topic = "/".join([*place.path, _tags(place)])
    elif key.form == DATABUS:
        topic = "/".join([*place.levels[:8], "#"])
    named = asset if place.at >= 0 else ""
    return FoundSource(
        topic=topic, asset=named, form=key.form, asset_from=naming.asset, tag_from=naming.tag
    )


def _shared(key: Key, asset: str, place: Place, naming: Naming) -> FoundSource | None:
    """A source with a level for the asset; None: its id is no level, or it is a node."""
    levels, at = place
    if levels[at] != asset or (key.form == SPARKPLUG and len(levels) == 4):
        return None
    rest = [_tags(place)] if key.form == RAW else levels[at + 1 :]
    topic = "/".join([*levels[:at], "{asset}", *rest])
    return FoundSource(topic=topic, asset="", form=key.form, tag_from=naming.tag)


def _tags(place: Place) -> str:
    return "{tag}" if len(place.levels) == place.at + 2 else "{tag...}"


def _led(
    sources: Sequence[FoundSource], assets: dict[Key, str], places: dict[Key, Place]
) -> tuple[dict[FoundSource, list[Key]], list[Key]]:
    """Where each topic leads, and those that would lead elsewhere than they should."""
    settings = [
        Source(
            topic=one.topic,
            asset=one.asset,
            format=one.form,
            asset_from=one.asset_from,
            tag_from=one.tag_from,
        )
        for one in sources
    ]
    number = {id(source): i for i, source in enumerate(settings)}
    led: dict[FoundSource, list[Key]] = {one: [] for one in sources}
    astray = []
    for key, asset in assets.items():
        topic = key.topic.replace("/+/", "/DDATA/") if key.form == SPARKPLUG else key.topic
        match = match_source(topic, settings)
        named = asset if places[key].at >= 0 else ""
        if match is None or (match[0].format, match[1]) != (key.form, named):
            astray.append(key)
        else:
            led[sources[number[id(match[0])]]].append(key)
    return led, astray
