"""Decoders: one message of any format as readings of assets, with what has to be remembered.

Births of Sparkplug B and metadata of the databus say what later messages mean, and are state. All
else is read as it comes. A value whose name lacks a part of an asset's or a tag's template belongs
to nobody: it is counted, and not taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.caps import TAG_CHARS_MAX
from edge.errors import WireError
from edge.samples.pending import count
from edge.wire import formats, topics
from edge.wire.cells import Cells
from edge.wire.databus import is_metadata, read_databus, read_metadata
from edge.wire.paths import read_paths
from edge.wire.readings import decode_readings
from edge.wire.told import Message

if TYPE_CHECKING:
    from edge.batches import Readings
    from edge.samples.sparkplug import Sparkplug
    from edge.settings import Source
    from edge.wire.databus import Point
    from edge.wire.formats import Names
    from edge.wire.told import Told

POINTS_MAX: Final = 1 << 18  # of the databus, of all applications
APPLICATIONS_MAX: Final = 1024


class Decoders:
    """Reads messages. counts, points (by application and id): changed in place."""

    def __init__(
        self,
        counts: dict[str, int],
        *,
        sparkplug: Sparkplug,
        points: dict[str, dict[str, Point]],
    ) -> None:
        self._counts, self._sparkplug, self._points = counts, sparkplug, points
        self._names: dict[int, tuple[Source, Names]] = {}  # by the source's place in memory

    def take(
        self,
        payload: bytes,
        *,
        topic: str,
        source: Source,
        asset: str,
        received_ns: int,
        live: bool = True,
    ) -> tuple[Readings, ...]:
        """What one message says; asset: by its topic or source, "" of one that does not say it.

        live: as of `Sparkplug.take`. Raises WireError, and only WireError, for anything a sender
        can do wrong.
        """
        if source.format == formats.JSON:
            return decode_readings(payload, topic=topic, asset=asset, received_ns=received_ns)
        if source.format == formats.SPARKPLUG:
            return self._sparkplug.take(
                payload, topic=topic, asset=asset, received_ns=received_ns, live=live
            )
        message = Message(payload, topic)
        if source.format == formats.DATABUS and is_metadata(topic):
            self._learn(message)
            return ()
        return self._named(message, self._read(message, source), source, asset, received_ns)

    def _read(self, message: Message, source: Source) -> list[Told]:
        if source.format == formats.DATABUS:
            known = self._points.get(topics.databus_application(message.topic), {})
            return read_databus(message, known)
        if source.paths is not None:
            return read_paths(message, source.paths)
        return formats.READERS[source.format](message)

    def _learn(self, message: Message) -> None:
        """Metadata of an application take the place of those before."""
        application = topics.databus_application(message.topic)
        points = read_metadata(message)
        self._points.pop(application, None)
        held = sum(map(len, self._points.values()))
        while self._points and (
            len(self._points) >= APPLICATIONS_MAX or held + len(points) > POINTS_MAX
        ):
            held -= len(self._points.pop(next(iter(self._points))))
            count(self._counts, "databus_forgotten", 1)
        self._points[application] = points
        count(self._counts, "databus_metadata", 1)

    def _named(
        self, message: Message, told: list[Told], source: Source, asset: str, received_ns: int
    ) -> tuple[Readings, ...]:
        """Values as readings of the assets that their names say; asset: goes before these."""
        names, levels = self._names_of(source), topics.levels_of(source, message.topic)
        if asset and not topics.is_asset_id(asset):
            text = f"{asset[:TAG_CHARS_MAX]!r} cannot be an asset's id"
            raise WireError(text, reason="no_asset", topic=message.topic)
        cells: dict[str, Cells] = {}
        nameless = waiting = 0
        of = names.of
        for where, t_ns, value, text_, good, unit, shift_ns in told:
            found = of(where, levels)
            if found is None or not (mine := asset or found[0]):
                unknown = source.format == formats.DATABUS and "name" not in where
                waiting, nameless = waiting + unknown, nameless + (not unknown)
                continue
            if (into := cells.get(mine)) is None:
                into = cells[mine] = Cells(mine)
            shown = value if text_ is None else text_
            at_ns = received_ns + shift_ns if t_ns is None else t_ns
            into.put(found[1], at_ns, shown, good=good, unit=unit)
        count(self._counts, "waiting_for_metadata", waiting)
        if nameless and not cells:
            text = (
                "no value names an asset and a tag; look at asset_from and tag_from of the source"
            )
            raise WireError(text, reason="no_asset", topic=message.topic)
        count(self._counts, "nameless", nameless)
        rows = tuple(row for one in cells.values() for row in one.rows(topic=message.topic))
        count(self._counts, "duplicate", sum(one.duplicates for one in cells.values()))
        return rows

    def _names_of(self, source: Source) -> Names:
        found = self._names.get(id(source))
        if found is None:
            told = "{asset}" in source.topic.split("/") or (source.paths and source.paths.asset)
            asset = source.asset_from or ("{asset}" if told else "")
            names = formats.Names(source.format, asset=asset, tag=source.tag_from)
            found = self._names[id(source)] = source, names
        return found[1]
