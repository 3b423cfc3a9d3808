"""A node of Sparkplug B that speaks: births, data by exception, deaths, and one count of them all.

    begins -> NBIRTH (seq 0) -> DBIRTH of each device -> DDATA, DBIRTH, DDEATH ... -> ends

What is to be told is the newest value of each metric; `due` makes the next message of what was not
told yet, so whoever is slow to send skips values, and never numbers. A birth tells everything, and
no data leave before all births have. Aliases are of the whole node, and none is used twice while
it is there. Nothing here sends: a message that could not be sent is followed by `rebirth` or a new
connection, since its number is gone.

After the specification, 3.0, of Eclipse Sparkplug: chapters 4 (topics), 5 (order), 6 (payloads).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from edge.wire.sparkplug import (
    BOOLEAN,
    DOUBLE,
    INT,
    LONG,
    NAMESPACE,
    REBIRTH,
    SEQUENCES,
    SESSION,
    SESSIONS,
    STRING,
)
from edge.wire.sparkplug_writing import (
    BOOLEAN_TYPE,
    DOUBLE_TYPE,
    INT32_TYPE,
    INT64_TYPE,
    STRING_TYPE,
    encode_metric,
    encode_payload,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# What a node says of itself and its devices, and what it is told.
SAID_OF_NODE: Final = ("NBIRTH", "NDEATH")
SAID_OF_DEVICE: Final = ("DBIRTH", "DDATA", "DDEATH")
_FIELDS: Final = {
    DOUBLE_TYPE: DOUBLE,
    BOOLEAN_TYPE: BOOLEAN,
    INT32_TYPE: INT,
    STRING_TYPE: STRING,
}

Told = float | str | None


class Kind(NamedTuple):
    """A metric that each device has. datatype: as births name it."""

    name: str
    datatype: int


class Message(NamedTuple):
    """What is to be sent now, QoS 0 and not retained."""

    topic: str
    payload: bytes

    @property
    def is_birth(self) -> bool:
        """Whether it tells everything, so that it took a while to make."""
        return self.topic.split("/")[2].endswith("BIRTH")


@dataclass(slots=True)
class _Device:
    """One device: what holds now, and what was told in this session."""

    alias: int  # of its first metric; the others follow
    values: list[Told]
    t_ms: list[int]
    told: list[Told]
    born: bool = False
    news: set[int] = field(default_factory=set)  # metrics that may differ from what was told


class Node:
    """One node; kinds: the metrics of each of its devices."""

    def __init__(self, group: str, name: str, kinds: Sequence[Kind]) -> None:
        """Nothing is due before it `begins`."""
        self._group, self._name, self._kinds = group, name, tuple(kinds)
        self._places = {kind.name: place for place, kind in enumerate(self._kinds)}
        self._devices: dict[str, _Device] = {}
        self._aliases = 1
        self._session: int | None = None
        self._seq = 0
        self._owes_birth = False
        # in order; of deaths and births only those that this session has to hear
        self._deaths: dict[str, None] = {}
        self._births: dict[str, None] = {}
        self._news: dict[str, None] = {}

    @property
    def devices(self) -> tuple[str, ...]:
        """Who is there now."""
        return tuple(self._devices)

    @property
    def waiting(self) -> int:
        """Messages that are due, at most."""
        return self._owes_birth + len(self._deaths) + len(self._births) + len(self._news)

    # --- the connection ---

    def begins(self, session: int) -> None:
        """A connection stands whose will names this session: everything is born into it."""
        assert 0 <= session < SESSIONS
        self._session = session
        self._deaths.clear()
        for device in self._devices.values():
            device.born = False
        self.rebirth()

    def ends(self) -> None:
        """There is no connection: nothing is due."""
        self._session, self._owes_birth = None, False
        self._deaths.clear()
        self._births.clear()
        self._news.clear()

    def rebirth(self) -> None:
        """Say everything anew in the same session; deaths that are due still are."""
        if self._session is None:
            return
        self._owes_birth = True
        self._news.clear()
        self._births = dict.fromkeys(self._devices)

    # --- the devices ---

    def follow(self, devices: Iterable[str]) -> None:
        """These are there, and no others: who is new is born, who has gone dies."""
        now = dict.fromkeys(devices)
        for name in [one for one in self._devices if one not in now]:
            gone = self._devices.pop(name)
            self._births.pop(name, None)
            self._news.pop(name, None)
            if gone.born:
                self._deaths[name] = None
        for name in now:
            if name not in self._devices:
                self._devices[name] = self._fresh()
                if self._session is not None:
                    self._births[name] = None

    def _fresh(self) -> _Device:
        n = len(self._kinds)
        alias, self._aliases = self._aliases, self._aliases + n
        return _Device(alias=alias, values=[None] * n, t_ms=[0] * n, told=[None] * n)

    def put(self, name: str, values: Mapping[str, Told], *, t_ms: int) -> None:
        """What holds of a device from a time on; of one that is not there nothing.

        NaN is null, as None is; who has not told a metric has not changed it.
        """
        device = self._devices.get(name)
        if device is None:
            return
        for metric, value in values.items():
            place = self._places[metric]
            known = None if value != value else value  # noqa: PLR0124 - NaN alone differs from itself
            if known != device.values[place]:
                device.values[place], device.t_ms[place] = known, t_ms
                device.news.add(place)
        if device.news and self._session is not None and name not in self._births:
            self._news[name] = None

    # --- messages ---

    def due(self, *, now_ms: int) -> Message | None:
        """The next message, to be sent at once; None: all is told, or there is no connection."""
        if self._session is None:
            return None
        if self._owes_birth:
            self._owes_birth, self._seq = False, 0
            return self._message("NBIRTH", "", self._of_node(now_ms), now_ms)
        if self._deaths:
            name = next(iter(self._deaths))
            del self._deaths[name]
            return self._message("DDEATH", name, [], now_ms)
        if self._births:
            name = next(iter(self._births))
            del self._births[name]
            return self._message("DBIRTH", name, self._born(self._devices[name], now_ms), now_ms)
        while self._news:
            name = next(iter(self._news))
            del self._news[name]
            if metrics := self._changed(self._devices[name]):
                return self._message("DDATA", name, metrics, now_ms)
        return None

    def death(self, session: int) -> Message:
        """What the broker says for us when the connection of a session is gone: without a number.

        And without a time: it would be that of the connection's beginning.
        """
        told = _session_metric(session, t_ms=None)
        return Message(self._topic("NDEATH", ""), encode_payload([told]))

    def _message(self, kind: str, device: str, metrics: list[bytes], now_ms: int) -> Message:
        seq, self._seq = self._seq, (self._seq + 1) % SEQUENCES
        return Message(self._topic(kind, device), encode_payload(metrics, t_ms=now_ms, seq=seq))

    def _topic(self, kind: str, device: str) -> str:
        levels = (NAMESPACE, self._group, kind, self._name, device)
        return "/".join(level for level in levels if level)

    def _of_node(self, now_ms: int) -> list[bytes]:
        """What is born of the node itself; neither has an alias, as the specification wants."""
        assert self._session is not None
        asked = encode_metric(
            name=REBIRTH, t_ms=now_ms, datatype=BOOLEAN_TYPE, field=BOOLEAN, value=0.0
        )
        return [_session_metric(self._session, t_ms=now_ms), asked]

    def _born(self, device: _Device, now_ms: int) -> list[bytes]:
        device.born, device.told = True, list(device.values)
        device.news.clear()
        return [
            encode_metric(
                name=kind.name,
                alias=device.alias + place,
                t_ms=t_ms or now_ms,
                datatype=kind.datatype,
                field=_FIELDS[kind.datatype],
                value=value,
            )
            for place, (kind, value, t_ms) in enumerate(
                zip(self._kinds, device.values, device.t_ms, strict=True)
            )
        ]

    def _changed(self, device: _Device) -> list[bytes]:
        """By alias alone, what differs from what was told; a value that came back differs not."""
        found = []
        for place in sorted(device.news):
            value = device.values[place]
            if value == device.told[place]:
                continue
            device.told[place] = value
            found.append(
                encode_metric(
                    alias=device.alias + place,
                    t_ms=device.t_ms[place],
                    field=_FIELDS[self._kinds[place].datatype],
                    value=value,
                )
            )
        device.news.clear()
        return found


def _session_metric(session: int, *, t_ms: int | None) -> bytes:
    return encode_metric(
        name=SESSION, t_ms=t_ms, datatype=INT64_TYPE, field=LONG, value=float(session)
    )


def node_topics(group: str, node: str, devices: Iterable[str]) -> list[str]:
    """Every topic on which a node speaks for itself and for these devices."""
    own = [f"{NAMESPACE}/{group}/{kind}/{node}" for kind in SAID_OF_NODE]
    return own + [
        f"{NAMESPACE}/{group}/{kind}/{node}/{device}"
        for device in devices
        for kind in SAID_OF_DEVICE
    ]


def node_filters(group: str, node: str) -> list[str]:
    """Topic filters of what a node is told to do."""
    return [f"{NAMESPACE}/{group}/NCMD/{node}", f"{NAMESPACE}/{group}/DCMD/{node}/+"]
