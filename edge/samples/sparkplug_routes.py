"""Speakers: devices of Sparkplug B whose messages go straight to their places.

What the metrics of a layout and their aliases mean is looked up once for each way in which a device
names them together; everything else goes the long way through `Sparkplug.take`, to the same
outcome.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from edge.caps import TAG_CHARS_MAX
from edge.wire.quick import Quick
from edge.wire.sparkplug import DATA, parse_topic, signed
from edge.wire.sparkplug_layouts import alias_of, whole_of

if TYPE_CHECKING:
    from edge.samples.routes import Route
    from edge.samples.sparkplug import Birth, Sparkplug
    from edge.wire.sparkplug_layouts import Found, Layout

MILLISECOND_NS: Final = 1_000_000
RESOLVED_NAMES_MAX: Final = 1 << 12  # of one device, of all ways to name its metrics together


class Resolved(NamedTuple):
    """What metrics mean. places: where their values go; None: not all have a place."""

    tags: tuple[str, ...]
    datatypes: tuple[int, ...]
    places: tuple[int, ...] | None


class Speaker:
    """One device, or node, and what was found out about its messages."""

    __slots__ = ("_birth", "_key", "_names", "_resolved", "_sparkplug")

    def __init__(self, sparkplug: Sparkplug, key: str) -> None:
        self._sparkplug, self._key = sparkplug, key
        self._birth: Birth | None = None
        self._resolved: dict[tuple[Layout, tuple[int | bytes, ...]], Resolved | None] = {}
        self._names = 0

    def read(self, route: Route, payload: bytes) -> Quick | None:
        """One message, and its places into the route; None: it has to take the long way."""
        sparkplug = self._sparkplug
        found = sparkplug.layouts.read(payload)
        if found is None or len(found.t_ms) > 1:
            return None
        birth = sparkplug.births.get(self._key)
        if birth is not self._birth:
            self._birth, self._resolved, self._names = birth, {}, 0
        asked = found.layout, found.idents
        if asked in self._resolved:
            meant = self._resolved[asked]
        else:
            meant = self._remember(asked, self._resolve(route, found))
        if meant is None:
            return None
        values = _with_whole(found, meant) if found.layout.whole else found.numbers
        if math.isnan(sum(values)):  # an absent value among them, which is counted otherwise
            return None
        route.places = meant.places
        t_ns = found.t_ms[0] * MILLISECOND_NS if found.t_ms else None
        return Quick(meant.tags, values, t_ns)

    def _resolve(self, route: Route, found: Found) -> Resolved | None:
        """What these metrics mean; None: one has no name yet, or two are the same."""
        meanings, kinds = (self._sparkplug.meanings(self._key), self._sparkplug.kinds(self._key))
        idents = iter(found.idents)
        tags, datatypes = [], []
        for name in found.layout.names:
            told = (name, kinds.get(name, 0)) if name else meanings.get(alias_of(next(idents)))
            if told is None or not 0 < len(told[0]) <= TAG_CHARS_MAX:
                return None
            tags.append(told[0])
            datatypes.append(told[1])
        columns = [route.layout.columns[tag] for tag in tags if tag in route.layout.columns]
        if len(set(columns)) < len(columns) or len(set(tags)) < len(tags):
            return None  # which of two comes first is not known here
        places = [route.told[tag] for tag in tags if tag in route.told]
        every = tuple(places) if len(places) == len(tags) else None
        return Resolved(tuple(tags), tuple(datatypes), every)

    def _remember(
        self, asked: tuple[Layout, tuple[int | bytes, ...]], meant: Resolved | None
    ) -> Resolved | None:
        self._names += len(asked[0].names)
        if self._names > RESOLVED_NAMES_MAX:
            self._resolved, self._names = {}, len(asked[0].names)
        self._resolved[asked] = meant
        return meant


def speaker_of(topic: str, sparkplug: Sparkplug) -> Speaker | None:
    """Who speaks on a topic of data; None: it is another one."""
    told = parse_topic(topic)
    return Speaker(sparkplug, told.key) if told is not None and told.kind in DATA else None


def _with_whole(found: Found, meant: Resolved) -> tuple[float, ...]:
    """The values (k,) with whole numbers as their datatypes have them."""
    values = list(found.numbers)
    for place, field, datatype in found.layout.whole:
        number = whole_of(found.values[place], field)
        values[place] = float(signed(number, datatype or meant.datatypes[place]))
    return tuple(values)
