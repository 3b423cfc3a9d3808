"""Sparkplug B payloads of the usual kind, read in one walk: what a device sends by exception.

A device that reports what has changed sends other metrics each time, so that no layout comes again.
Each of them still is an alias, a time, perhaps its datatype, and a number, in this order, and all
have the same time. Anything else is for `edge.wire.sparkplug`, to the same outcome: None here is no
error.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from edge.wire.sparkplug import INT_WORD, WORD
from edge.wire.sparkplug_layouts import number_of

_float_at = struct.Struct("<f").unpack_from
_double_at = struct.Struct("<d").unpack_from
_T_BYTES = 6  # of a time from 2005 until 2109
_T_CONTINUED = 0x80_80_80_80_80  # of its first five bytes, and not of the last


class Walked(NamedTuple):
    """Metrics of one time (k,). whole: (place, datatype) of values that may be negative.

    seq: None where it has none.
    """

    aliases: list[int]
    t_ms: int
    values: list[float]
    whole: list[tuple[int, int]]
    seq: int | None


def walk(payload: bytes) -> Walked | None:
    """Read a payload of the usual kind; None: it is none, or cannot be read."""
    try:
        return _walked(payload)
    except (IndexError, struct.error):  # it ends before it should
        return None


# One call for each of its parts would cost more than the part.
def _walked(payload: bytes) -> Walked | None:  # noqa: C901, PLR0911, PLR0912
    if payload[0] != 0x08:  # its own time, which is not needed
        return None
    at = _behind(payload, 1)
    aliases: list[int] = []
    values: list[float] = []
    whole: list[tuple[int, int]] = []
    stamp, size = b"", len(payload)
    while at < size and payload[at] == 0x12:
        end = at + 2 + payload[at + 1]
        if payload[at + 1] > 0x7F or payload[at + 2] != 0x10:
            return None
        alias = payload[at + 3]
        at += 4
        if alias > 0x7F:
            if payload[at] > 0x7F:
                return None
            alias = alias & 0x7F | payload[at] << 7
            at += 1
        told = payload[at : at + 1 + _T_BYTES]
        if told != stamp:
            if stamp or not _is_time(told):
                return None
            stamp = told
        at += 1 + _T_BYTES
        key, datatype = payload[at], 0
        if key == 0x20 and payload[at + 1] <= 0x7F:
            datatype, key = payload[at + 1], payload[at + 2]
            at += 2
        if key == 0x65:
            values += _float_at(payload, at + 1)
            at += 5
        elif key == 0x69:
            values += _double_at(payload, at + 1)
            at += 9
        elif key in (0x50, 0x58):
            begin, at = at + 1, _behind(payload, at + 1)
            number = number_of(payload[begin:at])
            whole.append((len(values), datatype))
            values.append(number & (INT_WORD if key == 0x50 else WORD))
        elif key == 0x70 and payload[at + 1] <= 1:
            values.append(payload[at + 1])
            at += 2
        else:
            return None
        if at != end:
            return None
        aliases.append(alias)
    if at < size and (payload[at] != 0x18 or _behind(payload, at + 1) != size):
        return None
    seq = number_of(payload[at + 1 :]) if at < size else None
    return Walked(aliases, number_of(stamp[1:]), values, whole, seq) if aliases else None


def _is_time(told: bytes) -> bool:
    """Whether these bytes are a time of six, with the number of its field before them."""
    number = int.from_bytes(told[1:], "little")
    return (
        len(told) == 1 + _T_BYTES
        and told[0] == 0x18
        and number & (_T_CONTINUED | 0x80 << 40) == _T_CONTINUED
    )


def _behind(payload: bytes, at: int) -> int:
    """Where a number ends that begins here."""
    for end in range(at, at + 10):
        if payload[end] < 0x80:
            return end + 1
    raise IndexError
