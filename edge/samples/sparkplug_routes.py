"""Speakers: devices of Sparkplug B whose messages go straight to their places.

What the metrics of a layout and their aliases mean is looked up once for each way in which a device
names them together; everything else goes the long way through `Sparkplug.take`, to the same
outcome.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from edge.caps import TAG_CHARS_MAX
from edge.samples.sparkplug import with_whole
from edge.wire.quick import Quick
from edge.wire.sparkplug import DATA, SEQUENCES, parse_topic, signed
from edge.wire.sparkplug_layouts import alias_of
from edge.wire.sparkplug_walk import walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.samples.routes import Route
    from edge.samples.sparkplug import Birth, Sparkplug
    from edge.wire.sparkplug_layouts import Layout

MILLISECOND_NS: Final = 1_000_000
RESOLVED_NAMES_MAX: Final = 1 << 12  # of one device, of all ways to name its metrics together


Ident = int | bytes | str


class Meant(NamedTuple):
    """What one metric is. place: where its value goes, -1: nowhere."""

    tag: str
    datatype: int
    place: int


class Resolved(NamedTuple):
    """What metrics are. places: where their values go; None: not all have a place."""

    tags: tuple[str, ...]
    datatypes: tuple[int, ...]
    places: tuple[int, ...] | None


class Speaker:
    """One device, or node, and what was found out about its messages."""

    __slots__ = (
        "_birth", "_idents", "_key", "_known", "_layout", "_meant", "_names", "_node", "_resolved",
        "_sparkplug",
    )  # fmt: skip

    def __init__(self, sparkplug: Sparkplug, key: str, node: str) -> None:
        self._sparkplug, self._key, self._node = sparkplug, key, node
        self._birth: Birth | None = None
        self._known: dict[Ident, Meant] = {}
        self._resolved: dict[tuple[Layout, tuple[int | bytes, ...]], Resolved | None] = {}
        self._names = 0
        self._layout: Layout | None = None  # of the newest message, with what it means
        self._idents: tuple[int | bytes, ...] = ()
        self._meant: Resolved | None = None

    def read(self, route: Route, payload: bytes) -> Quick | None:
        """One message, and its places into the route; None: it has to take the long way."""
        if route.asset in self._sparkplug.dead:
            return None
        birth = self._sparkplug.births.get(self._key)
        if birth is not self._birth:
            self._birth, self._known, self._resolved, self._names = birth, {}, {}, 0
            self._layout = None
        found = self._sparkplug.layouts.read(payload)
        if found is None:
            return self._walked(route, payload)
        layout, idents, t_ms, values, seq = found
        if layout is not self._layout or idents != self._idents:
            self._layout, self._idents = layout, idents
            self._meant = self._look_up(route, layout, idents)
        meant = self._meant
        if meant is None or len(t_ms) > 1:
            return None
        if layout.whole:
            values = with_whole(layout, values, meant.datatypes)
        return self._quick(route, meant, values, t_ms[0] if t_ms else None, seq)

    def _quick(
        self, route: Route, meant: Resolved, values: tuple[float, ...], t_ms: int | None,
        seq: int | None,
    ) -> Quick | None:  # fmt: skip
        """The message for its route; None, and its number is not taken: it goes the long way."""
        if math.isnan(sum(values)) or not self._counted(seq):  # an absent value counts otherwise
            return None
        route.places = meant.places
        return Quick(meant.tags, values, None if t_ms is None else t_ms * MILLISECOND_NS)

    def _counted(self, seq: int | None) -> bool:
        """Take the number of a message where it is the due one; False: it may not be."""
        count = self._sparkplug.nodes.of(self._node)
        if count is None or seq is None:
            return True
        if count.due != seq:
            return False
        count.due = (seq + 1) % SEQUENCES
        return True

    def _look_up(
        self, route: Route, layout: Layout, idents: tuple[int | bytes, ...]
    ) -> Resolved | None:
        """What the metrics of a layout are, each way to name them only once."""
        asked = layout, idents
        if asked in self._resolved:
            return self._resolved[asked]
        rest = iter(idents)
        meant = self._resolve(route, [name or next(rest) for name in layout.names])
        self._names += len(layout.names)
        if self._names > RESOLVED_NAMES_MAX:
            self._resolved, self._names = {}, len(layout.names)
        self._resolved[asked] = meant
        return meant

    def _walked(self, route: Route, payload: bytes) -> Quick | None:
        """The same of a message whose layout is not known."""
        found = walk(payload)
        if found is None:
            return None
        self._sparkplug.layouts.learn(payload)
        meant = self._resolve(route, found.aliases)
        if meant is None:
            return None
        values = found.values
        for place, datatype in found.whole:
            values[place] = float(signed(values[place], datatype or meant.datatypes[place]))
        return self._quick(route, meant, tuple(values), found.t_ms, found.seq)

    def _resolve(self, route: Route, idents: Sequence[Ident]) -> Resolved | None:
        """What these metrics are; None: one has no name yet, or two are the same."""
        known = self._known
        try:
            found = [known[ident] for ident in idents]
        except KeyError:
            if not all(self._learn(route, ident) for ident in idents):
                return None
            found = [self._known[ident] for ident in idents]
        tags, datatypes, places = zip(*found, strict=True)
        k = len(tags)
        if len(set(tags)) < k:
            return None  # which of two comes first is not known here
        if -1 not in places:
            return Resolved(tags, datatypes, places) if len(set(places)) == k else None
        given = [place for place in places if place >= 0]
        return Resolved(tags, datatypes, None) if len(set(given)) == len(given) else None

    def _learn(self, route: Route, ident: Ident) -> bool:
        """Look a metric up once; False: it has no name, or none that can be."""
        if ident in self._known:
            return True
        aliases, names = self._sparkplug.meanings(self._key)
        if isinstance(ident, str):
            told: tuple[str, int] | None = ident, names.get(ident, 0)
        else:
            told = aliases.get(alias_of(ident))
        if told is None or not 0 < len(told[0]) <= TAG_CHARS_MAX:
            return False
        if len(self._known) >= RESOLVED_NAMES_MAX:
            return False  # more than any device has: the long way knows them
        self._known[ident] = Meant(*told, route.told.get(told[0], -1))
        return True


def speaker_of(topic: str, sparkplug: Sparkplug) -> Speaker | None:
    """Who speaks on a topic of data; None: it is another one."""
    told = parse_topic(topic)
    if told is None or told.kind not in DATA:
        return None
    return Speaker(sparkplug, told.key, told.node)
