"""Messages: what each says, whatever its format, and why one cannot be read.

Formats are told by topic and payload alone: nothing is configured yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from edge.errors import WireError
from edge.samples.sparkplug import Sparkplug
from edge.wire.block import is_block
from edge.wire.readings import decode_readings
from edge.wire.sparkplug import BIRTHS, DATA, DEATHS, NAMESPACE, parse_topic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.batches import Readings
    from edge.samples.sparkplug import Birth

NOBODY: Final = "_"  # stands for the asset where only the topic can say it


class Told(NamedTuple):
    """What one message says. form: of a source; shape: as people call it.

    whose: an asset that the payload itself names, "" where the topic has to; a device of Sparkplug
    B by its key. bare: it is one value without a name, which the topic has to give.
    """

    form: str
    shape: str
    whose: str
    readings: Sequence[Readings]
    timed: bool
    bare: bool = False


class Unread(NamedTuple):
    """Why a message says nothing. reason: a short stable word."""

    reason: str
    why: str


class Reader:
    """Reads messages; remembers births of Sparkplug B, without which data have no names."""

    def __init__(self) -> None:
        self.births: dict[str, Birth] = {}
        self.counts: dict[str, int] = {}
        self._sparkplug = Sparkplug(self.births, self.counts)

    def read(self, topic: str, payload: bytes, *, received_ns: int) -> Told | Unread | None:
        """What a message says; None: it is none of values, as a command or a death."""
        try:
            if topic.split("/", 1)[0] == NAMESPACE:
                return self._of_sparkplug(topic, payload, received_ns)
            return _json(topic, payload, received_ns)
        except WireError as error:
            return Unread(error.reason, str(error))

    def _of_sparkplug(self, topic: str, payload: bytes, received_ns: int) -> Told | Unread | None:
        told = parse_topic(topic)
        if told is None or told.kind not in (*BIRTHS, *DATA, *DEATHS):
            return None
        before = self.counts.get("waiting_for_birth", 0)
        found = self._sparkplug.take(payload, topic=topic, asset=told.key, received_ns=received_ns)
        if told.kind in DEATHS:
            return None
        if not any(one.tags for one in found):
            waits = self.counts.get("waiting_for_birth", 0) > before
            why = "its metrics have no names before its birth is heard" if waits else "no metrics"
            return Unread("waiting_for_birth" if waits else "no_values", f"{topic}: {why}")
        # a birth tells values as they stand, whatever their rhythm
        timed = told.kind in DATA and _timed(found, received_ns)
        return Told("sparkplug", "Sparkplug B", told.key, found, timed)


def _json(topic: str, payload: bytes, received_ns: int) -> Told | Unread:
    """Generic JSON, or a binary block; the payload may say whose it is."""
    try:
        found = decode_readings(payload, topic=topic, asset="", received_ns=received_ns)
        whose = found[0].asset if found else ""
    except WireError as error:
        if error.reason != "no_asset":
            raise
        found = decode_readings(payload, topic=topic, asset=NOBODY, received_ns=received_ns)
        whose = ""
    if not any(one.tags for one in found):
        return Unread("no_values", f"{topic}: an object without values")
    shape = "binary block" if is_block(payload) else _shape(found)
    return Told("json", shape, whose, found, _timed(found, received_ns))


def _shape(found: Sequence[Readings]) -> str:
    if any(len(one.t_ns) > 1 for one in found):
        return "JSON, columns"
    return "JSON, wide" if any(len(one.tags) > 1 for one in found) else "JSON, single values"


def _timed(found: Sequence[Readings], received_ns: int) -> bool:
    """Whether the sender told a time: what came without one has that of its arrival."""
    return any(len(one.t_ns) and int(one.t_ns[-1]) != received_ns for one in found)
