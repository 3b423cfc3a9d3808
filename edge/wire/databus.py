"""Siemens Industrial Edge databus: values by id, and the metadata that say which id is what.

    ie/d/j/simatic/v1/{app}/dp/r/{connection}/{collection}
        {"seq": 1, "vals": [{"id": "101", "qc": 3, "ts": "2025-10-09T08:53:20.123Z", "val": 3.14}]}
        {"seq": 1, "records": [{"ts": "...", "vals": [{"id": "101", "val": 3.1, "qc": 3}]}]}
    ie/m/j/simatic/v1/{app}/dp      retained
        {"connections": [{"name": "PLC1", "dataPoints": [{"dataPointDefinitions":
            [{"name": "Speed", "id": "101", "dataType": "Real"}]}]}]}

Numbers may stand in quotes, 64-bit ones always do. An id is unique within its connection and no
further: two PLCs of one connector may both have a 101, and the topic says whose it is. A value
whose id no metadata have told yet has no name: it is counted, and not taken.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.caps import TAG_CHARS_MAX
from edge.wire.quality_codes import siemens_good
from edge.wire.told import Told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge.wire.told import Message

CONNECTION_LEVEL: Final = 8  # of a topic of values, behind dp/r
TEXTS: Final = frozenset({"string", "wstring", "char", "wchar", "date_and_time", "dtl"})


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """What metadata say of an id."""

    connection: str
    name: str
    text: bool = False  # its type is one of texts: a number in quotes is none
    unit: str = ""


def is_metadata(topic: str) -> bool:
    """Whether a topic tells what ids mean."""
    return topic.startswith("ie/m/")


def read_metadata(message: Message) -> dict[str, Point]:
    """What ids mean, by `key_of`. Raises WireError."""
    told = [*_points(message, message.json_object())]
    whose = defaultdict[str, set[str]](set)
    for _, ident, point in told:
        whose[ident].add(point.connection)
    found: dict[str, Point] = {}
    for topic, ident, point in told:
        named = topic and _connection_of(topic) == point.connection
        place = topic if topic and not named else point.connection
        if not topic and len(whose[ident]) == 1:  # wherever it comes, it is this one
            place = ""
        found[key_of(place, ident)] = point
    return found


def key_of(place: str, ident: str) -> str:
    """By what an id is known.

    place: the connection of its topic; the topic itself, where that names another; "" where
    metadata tell no topic, and one connection alone has the id.
    """
    return f"{place}\0{ident}" if place else ident


def _connection_of(topic: str) -> str:
    """The connection that a topic of values names; "" none."""
    levels = topic.split("/", CONNECTION_LEVEL + 1)
    return levels[CONNECTION_LEVEL] if len(levels) > CONNECTION_LEVEL else ""


def _points(message: Message, body: dict[str, Any]) -> Iterator[tuple[str, str, Point]]:
    """The topic of each data point's values ("" it is not told), its id, and what it is."""
    for connection in message.as_list(body.get("connections"), "connections"):
        told = message.as_object(connection, "a connection")
        name = message.name(told.get("name"), "the name of a connection")
        for group in message.as_list(told.get("dataPoints", []), "dataPoints"):
            group_body = message.as_object(group, "an entry of dataPoints")
            points = message.as_list(
                group_body.get("dataPointDefinitions", []), "dataPointDefinitions"
            )
            topic = group_body.get("topic")
            for one in points:
                point = message.as_object(one, "a data point")
                kind = str(point.get("dataType", "")).casefold()
                unit = point.get("unit", "")
                yield (
                    topic if isinstance(topic, str) else "",
                    message.name(point.get("id"), "the id of a data point"),
                    Point(
                        connection=name,
                        name=message.name(point.get("name"), "the name of a data point"),
                        text=kind in TEXTS,
                        unit=unit if isinstance(unit, str) and len(unit) <= TAG_CHARS_MAX else "",
                    ),
                )


def read_databus(message: Message, points: Mapping[str, Point]) -> list[Told]:
    """Values, with the names that metadata gave them. Raises WireError."""
    body = message.json_object()
    found: list[Told] = []
    if "records" in body:
        for record in message.as_list(body["records"], "records"):
            told = message.as_object(record, "a record")
            _values(message, told.get("vals"), message.time(told.get("ts")), points, found)
    else:
        _values(message, body.get("vals"), None, points, found)
    return found


def _values(
    message: Message,
    vals: object,
    sent_ns: int | None,
    points: Mapping[str, Point],
    found: list[Told],
) -> None:
    places = message.topic, _connection_of(message.topic), ""
    for one in message.as_list(vals, "vals"):
        told = message.as_object(one, "an entry of vals")
        ident = message.name(told.get("id"), "id")
        point = next((points[key] for at in places if (key := key_of(at, ident)) in points), None)
        where = {"id": ident}
        if point is not None:
            where |= {"connection": point.connection, "name": point.name}
        quoted = point is None or not point.text
        value, text = message.value(told.get("val"), ident, quoted=quoted)
        stamp = told.get("ts")
        t_ns = sent_ns if stamp is None else message.time(stamp)
        unit = "" if point is None else point.unit
        found.append(Told(where, t_ns, value, text, siemens_good(told.get("qc")), unit))
    message.as_list(found, "vals")
