"""Sparkplug B payloads, written: births with names and aliases, and data by alias."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Final

from edge.wire.sparkplug import (
    BOOLEAN,
    BYTES,
    DOUBLE,
    FIXED32,
    FIXED64,
    FLOAT,
    INT,
    INT_WORD,
    LONG,
    NAMESPACE,
    REBIRTH,
    STRING,
    VARINT,
    WORD,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# datatypes, as a birth names them
INT32_TYPE: Final = 3
INT64_TYPE: Final = 4
DOUBLE_TYPE: Final = 10
BOOLEAN_TYPE: Final = 11
STRING_TYPE: Final = 12
_NULL: Final = 7


def varint(number: int) -> bytes:
    """A number in seven bits a byte, the lowest first; of a negative one the 64 bits."""
    number &= WORD
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def number_field(field: int, number: int) -> bytes:
    """A field with a whole number."""
    return varint(field << 3 | VARINT) + varint(number)


def bytes_field(field: int, content: bytes) -> bytes:
    """A field with bytes, text or a message."""
    return varint(field << 3 | BYTES) + varint(len(content)) + content


def value_field(field: int, value: float | str) -> bytes:
    """A metric's value, in the field of its type."""
    if isinstance(value, str):
        assert field == STRING
        return bytes_field(field, value.encode())
    if field == FLOAT:
        return varint(field << 3 | FIXED32) + struct.pack("<f", value)
    if field == DOUBLE:
        return varint(field << 3 | FIXED64) + struct.pack("<d", value)
    if field == BOOLEAN:
        return number_field(field, int(value != 0))
    assert field in (INT, LONG)
    return number_field(field, int(value) & INT_WORD if field == INT else int(value))


def encode_metric(
    *,
    name: str = "",
    alias: int | None = None,
    t_ms: int | None = None,
    datatype: int = 0,
    field: int = DOUBLE,
    value: float | str | None = None,
    more: bytes = b"",
) -> bytes:
    """One metric; value: None is null. more: further fields, before the value."""
    encoded = bytes_field(1, name.encode()) if name else b""
    encoded += number_field(2, alias) if alias is not None else b""
    encoded += number_field(3, t_ms) if t_ms is not None else b""
    encoded += number_field(4, datatype) if datatype else b""
    encoded += more
    return encoded + (number_field(_NULL, 1) if value is None else value_field(field, value))


def encode_payload(
    metrics: Iterable[bytes], *, t_ms: int | None = None, seq: int | None = None
) -> bytes:
    """One message of metrics that are encoded."""
    encoded = number_field(1, t_ms) if t_ms is not None else b""
    encoded += b"".join(bytes_field(2, metric) for metric in metrics)
    return encoded + (number_field(3, seq) if seq is not None else b"")


def encode_birth(tags: Sequence[str], *, t_ms: int, seq: int) -> bytes:
    """The birth of a device: its tags are metrics of doubles, null as yet, numbered as aliases."""
    return encode_payload(
        [
            encode_metric(name=tag, alias=alias, t_ms=t_ms, datatype=DOUBLE_TYPE)
            for alias, tag in enumerate(tags)
        ],
        t_ms=t_ms,
        seq=seq,
    )


def encode_data(values: Sequence[float], *, t_ms: int, seq: int) -> bytes:
    """Values of one time in the order of the birth; NaN is null."""
    return encode_payload(
        [
            encode_metric(alias=alias, t_ms=t_ms, value=None if math.isnan(value) else value)
            for alias, value in enumerate(values)
        ],
        t_ms=t_ms,
        seq=seq,
    )


def rebirth_topic(node: str) -> str:
    """Where a node GROUP/NODE is told to do something."""
    group, _, name = node.partition("/")
    return f"{NAMESPACE}/{group}/NCMD/{name}"


def encode_rebirth(*, t_ms: int) -> bytes:
    """The command that asks a node to be born again, with all of its devices."""
    asked = encode_metric(name=REBIRTH, t_ms=t_ms, datatype=BOOLEAN_TYPE, field=BOOLEAN, value=1.0)
    return encode_payload([asked], t_ms=t_ms)
