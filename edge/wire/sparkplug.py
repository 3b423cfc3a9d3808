"""Sparkplug B payloads, read completely: the message `Payload` of Eclipse Tahu, in plain protobuf.

    Payload   1 timestamp, 2 metrics, 3 seq
    Metric    1 name, 2 alias, 3 timestamp, 4 datatype, 5 is_historical, 7 is_null, 9 properties,
              10 int, 11 long, 12 float, 13 double, 14 boolean, 15 string

Times are milliseconds. A name and datatype may stand in the birth alone, and data name the metric
by its alias. Negative numbers are two's complement of as many bits as the datatype has. Of the
properties `Quality` counts: 192 and what else has its two high bits of eight is good, as in OPC
DA; without it a value is good. Fields that are not named here are stepped over, as protobuf wants.

`edge.wire.sparkplug_layouts` reads what comes in the same layout again and again; it says the same.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from edge.caps import PAYLOAD_BYTES_MAX, SLOW_VALUES_MAX
from edge.errors import WireError
from edge.wire.readings import T_NS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE: Final = "spBv1.0"
NODE_BIRTH: Final = "NBIRTH"
BIRTHS: Final = (NODE_BIRTH, "DBIRTH")
DEATHS: Final = ("NDEATH", "DDEATH")
DATA: Final = ("NDATA", "DDATA")
SEQUENCES: Final = 256  # numbers of messages before they begin anew
REBIRTH: Final = "Node Control/Rebirth"  # the metric that asks a node for its births
SESSION: Final = "bdSeq"  # the metric that counts the sessions of a node
SESSIONS: Final = 256  # behind the last one the count of them begins anew
T_MS_MAX: Final = T_NS_MAX // 1_000_000
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; there are groups, 3 and 4, no more
FIELDS_MAX: Final = 10 * SLOW_VALUES_MAX  # of a payload, each read one by one, 1 us each
VARINT_BYTES_MAX: Final = 10
WORD: Final = (1 << 64) - 1
INT_WORD: Final = (1 << 32) - 1
INT, LONG, FLOAT, DOUBLE, BOOLEAN, STRING = 10, 11, 12, 13, 14, 15  # fields of a metric's value
OTHER_VALUES: Final = range(16, 20)  # bytes, data sets, templates, extensions
SIGNED_BITS: Final = {1: 8, 2: 16, 3: 32, 4: 64}  # of datatypes Int8 to Int64
GOOD_QUALITY: Final = 0xC0
QUALITY: Final = "Quality"
_ALIAS, _T_MS, _DATATYPE, _HISTORICAL, _NULL = (at << 3 | VARINT for at in (2, 3, 4, 5, 7))
_PLAIN: Final = frozenset([_ALIAS, _T_MS, _DATATYPE, _HISTORICAL, _NULL])
_VALUES: Final = frozenset(
    [
        INT << 3 | VARINT,
        LONG << 3 | VARINT,
        FLOAT << 3 | FIXED32,
        DOUBLE << 3 | FIXED64,
        BOOLEAN << 3 | VARINT,
        STRING << 3 | BYTES,
    ]
)
_FLOAT: Final = struct.Struct("<f")
_DOUBLE: Final = struct.Struct("<d")


class Metric(NamedTuple):
    """One metric. alias, t_ms: None where it has none. field: of its value, 0: it has none.

    value: None where it is null, or neither number nor text; ints are unsigned still.
    """

    name: str
    alias: int | None
    t_ms: int | None
    datatype: int
    field: int
    value: float | str | None
    historical: bool
    good: bool


class Payload(NamedTuple):
    """One message. t_ms, seq: None where it does not say so."""

    t_ms: int | None
    seq: int | None
    metrics: tuple[Metric, ...]


class Topic(NamedTuple):
    """Whom a message is about: `key` is GROUP/NODE or GROUP/NODE/DEVICE."""

    kind: str
    key: str
    node: str


class GarbledError(Exception):
    """Bytes that are no protobuf, or too much of it; `reason` as of a WireError."""

    def __init__(self, message: str, *, reason: str = "not_sparkplug") -> None:
        super().__init__(message)
        self.reason = reason


@lru_cache(1 << 12)
def parse_topic(topic: str) -> Topic | None:
    """What a topic of Sparkplug B says; None: it is none."""
    levels = topic.split("/")
    if len(levels) not in (4, 5) or levels[0] != NAMESPACE or not all(levels):
        return None
    node = f"{levels[1]}/{levels[3]}"
    return Topic(levels[2], "/".join([node, *levels[4:]]), node)


def read_payload(payload: bytes, *, topic: str) -> Payload:
    """Read one message, field by field. Raises WireError, and nothing else."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        message = f"{len(payload)} B, more than {PAYLOAD_BYTES_MAX} B"
        raise WireError(message, reason="oversize", topic=topic)
    try:
        t_ms, seq, metrics = _parts(payload)
    except (GarbledError, UnicodeDecodeError) as error:
        reason = error.reason if isinstance(error, GarbledError) else "not_sparkplug"
        message = f"no payload of Sparkplug B: {error}"
        raise WireError(message, reason=reason, topic=topic) from error
    late = (t_ms or 0) > T_MS_MAX
    if any(late if one.t_ms is None else one.t_ms > T_MS_MAX for one in metrics):
        raise WireError("a time is out of range", reason="bad_time", topic=topic)
    return Payload(t_ms, seq, tuple(metrics))


def _parts(payload: bytes) -> tuple[int | None, int | None, list[Metric]]:
    """Time, sequence and metrics, whatever they are."""
    t_ms = seq = None
    metrics: list[Metric] = []
    left = [FIELDS_MAX]
    for key, value, begin, end in fields(payload, 0, len(payload), left):
        if key == 2 << 3 | BYTES:
            metrics.append(_metric(payload, begin, end, left))
            if len(metrics) > SLOW_VALUES_MAX:
                raise GarbledError(f"more than {SLOW_VALUES_MAX} metrics", reason="oversize")
        elif key == 1 << 3 | VARINT:
            t_ms = value
        elif key == 3 << 3 | VARINT:
            seq = value
    return t_ms, seq, metrics


def signed(value: float, datatype: int) -> float:
    """A value as its datatype has it: whole numbers may be two's complement of its bits."""
    bits = SIGNED_BITS.get(datatype, 0)
    if not bits or not isinstance(value, int):
        return value
    half = 1 << bits - 1
    return (value & 2 * half - 1 ^ half) - half


def _metric(payload: bytes, begin: int, end: int, left: list[int]) -> Metric:
    """The metric in these bytes; of a field that comes twice the last one counts."""
    name, good, field = "", True, 0
    value: float | str | None = None
    told: dict[int, int] = {}  # numbers of the plain fields
    for key, number, at, to in fields(payload, begin, end, left):
        if key in _PLAIN:
            told[key] = number
        elif key in _VALUES:
            field, value = key >> 3, _value(payload, key >> 3, number, at, to)
        elif key == 1 << 3 | BYTES:
            name = payload[at:to].decode()
        elif key == 9 << 3 | BYTES:
            good = _quality(payload, at, to, left)
        elif key >> 3 in OTHER_VALUES and key & 7 == BYTES:
            field, value = key >> 3, None
    return Metric(
        name,
        told.get(_ALIAS),
        told.get(_T_MS),
        told.get(_DATATYPE, 0) & INT_WORD,
        field,
        None if told.get(_NULL, 0) else value,
        told.get(_HISTORICAL, 0) != 0,
        good,
    )


def _value(payload: bytes, field: int, number: int, at: int, to: int) -> float | str:
    """What a value field holds; number: of a varint."""
    if field == FLOAT:
        (value,) = _FLOAT.unpack_from(payload, at)
    elif field == DOUBLE:
        (value,) = _DOUBLE.unpack_from(payload, at)
    elif field == STRING:
        return payload[at:to].decode()
    elif field == BOOLEAN:
        return float(number != 0)
    else:
        return number & INT_WORD if field == INT else number
    return float(value)


def _quality(payload: bytes, begin: int, end: int, left: list[int]) -> bool:
    """Whether a property set says that the quality is good, or nothing of it."""
    names: list[bytes] = []
    told: list[tuple[int, int]] = []
    for key, _, at, to in fields(payload, begin, end, left):
        if key == 1 << 3 | BYTES:
            names.append(payload[at:to])
        elif key == 2 << 3 | BYTES:
            told.append((at, to))
    if QUALITY.encode() not in names:
        return True
    place = names.index(QUALITY.encode())
    if place >= len(told):
        return False
    good = False
    for key, number, _, _ in fields(payload, *told[place], left):
        if key in (3 << 3 | VARINT, 4 << 3 | VARINT):
            good = number & ~0x3F == GOOD_QUALITY
        elif key == 2 << 3 | VARINT and number:
            return False
    return good


def fields(
    payload: bytes, begin: int, end: int, left: list[int]
) -> Iterator[tuple[int, int, int, int]]:
    """Fields of a message: number and wire type as one key, a varint's value, its bytes from, to.

    left: how many may still come of the payload, one number that goes down. Raises GarbledError for
    what is no protobuf, or reaches beyond the end, or is more.
    """
    at = begin
    while at < end:
        key, at = _varint(payload, at, end)
        wire, value, start = key & 7, 0, at
        if wire == VARINT:
            value, at = _varint(payload, at, end)
        elif wire == BYTES:
            size, start = _varint(payload, at, end)
            at = start + size
        elif wire in (FIXED32, FIXED64):
            at += 4 if wire == FIXED32 else 8
        else:
            raise GarbledError(f"wire type {wire} at byte {start - 1}")
        if key < 8 or at > end:
            raise GarbledError(f"a field ends at byte {at} of {end}, or has the number 0")
        left[0] -= 1
        if left[0] < 0:
            raise GarbledError(f"more than {FIELDS_MAX} fields", reason="oversize")
        yield key, value, start, at


def _varint(payload: bytes, at: int, end: int) -> tuple[int, int]:
    """A number of up to 64 bits, seven a byte, and where it ends."""
    if at < end and payload[at] < 0x80:
        return payload[at], at + 1
    value = shift = 0
    for i in range(at, min(end, at + VARINT_BYTES_MAX)):
        byte = payload[i]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & WORD, i + 1
        shift += 7
    raise GarbledError(f"a number from byte {at} on has no end")
