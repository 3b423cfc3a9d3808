"""Layouts of Sparkplug B payloads: what comes in the same one again is read without a walk.

A device sends the same metrics, or as many of the same kind, message after message: the same bytes
but for aliases, times, values and the sequence. A layout knows which bytes those are. Whether all
others are the same is one comparison of the whole payload as a number; the numbers are read by one
`struct` each for aliases, times and values. What has no layout yet is read by
`edge.wire.sparkplug`, to the same outcome, and learned from.

    12 len  10 alias  18 time time .. time  65 value value value value
    FF FF   FF 80     FF 80   80      80    FF 00    00    00    00     mask of what has to be alike

Of a number in seven bits a byte its length has to be alike: that is every byte's highest bit.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from edge.wire.sparkplug import (
    BOOLEAN,
    BYTES,
    DOUBLE,
    FIELDS_MAX,
    FIXED32,
    FIXED64,
    FLOAT,
    INT,
    INT_WORD,
    LONG,
    T_MS_MAX,
    VARINT,
    WORD,
    GarbledError,
    fields,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

PAYLOAD_MAX: Final = 1 << 16  # bytes that are read here; a larger one has work enough
KEPT_BYTES_MAX: Final = 1 << 21  # of payloads whose layouts are known: three times as much memory
OF_LENGTH_MAX: Final = 8  # layouts of one length, which are tried one after the other
# Learning costs as much as reading so many messages by what was learned: who never sends twice
# alike must not have each message learned, of which the next is another.
LEARN_COST: Final = 64
WORTH_MAX: Final = 32 * LEARN_COST
ALIKE, LENGTH, FREE, BIT = 0xFF, 0x80, 0x00, 0xFE  # masks of a byte
_VALUES: Final = {
    FLOAT << 3 | FIXED32: "f",
    DOUBLE << 3 | FIXED64: "d",
    BOOLEAN << 3 | VARINT: "?",
    INT << 3 | VARINT: "",
    LONG << 3 | VARINT: "",
}
_CONSTANT: Final = (1 << 3 | BYTES, 4 << 3 | VARINT, 6 << 3 | VARINT)  # name, datatype, transient
_FALSE: Final = (5 << 3 | VARINT, 7 << 3 | VARINT)  # is_historical, is_null


class Found(NamedTuple):
    """What a payload says: of each metric who it is, its time and its value.

    idents: bytes as in the payload of an alias above 127; see `alias_of`. A name is `layout.names`.
    t_ms: () no time is told, one of all, or one of each. values: ints are unsigned, and may be
    bytes as in the payload: `layout.whole` says which, see `whole_of`. seq: None where it has none.
    """

    layout: Layout
    idents: tuple[int | bytes, ...]
    t_ms: tuple[int, ...]
    values: tuple[Any, ...]
    seq: int | None


class Layout:
    """Which bytes of a payload mean what.

    names: "" of each metric that has an alias only. whole: (place, field, datatype) of ints.
    """

    __slots__ = ("expected", "idents", "mask", "names", "seq", "size", "times", "values", "whole")

    def __init__(self, payload: bytes, parts: _Parts) -> None:
        self.size = len(payload)
        self.mask = int.from_bytes(parts.mask, "little")
        self.expected = int.from_bytes(payload, "little") & self.mask
        self.names, self.whole = tuple(parts.names), tuple(parts.whole)
        self.seq = parts.seq
        self.idents = _struct(parts.idents, len(payload))
        self.times = _struct(parts.times, len(payload))
        self.values = _struct(parts.values, len(payload))


class Layouts:
    """Those that were seen, of all topics."""

    def __init__(self) -> None:
        self.known: dict[int, list[Layout]] = {}  # by length of the payload
        self._bytes, self._worth = 0, WORTH_MAX

    def read(self, payload: bytes) -> Found | None:
        """A payload of a known layout; None: it has none, or a time out of range."""
        known = self.known.get(len(payload))
        if known is None:
            return None
        number = int.from_bytes(payload, "little")
        for layout in known:
            if number & layout.mask == layout.expected:
                break
        else:
            return None
        self._worth += self._worth < WORTH_MAX
        stamps = layout.times.unpack(payload)
        t_ms: tuple[int, ...] = ()
        if stamps and stamps.count(stamps[0]) == len(stamps):
            t_ms = (number_of(stamps[0]),)
        elif stamps:
            t_ms = tuple(map(number_of, stamps))
        if t_ms and max(t_ms) > T_MS_MAX:
            return None
        seq = None if layout.seq is None else number_of(payload[layout.seq])
        idents, values = layout.idents.unpack(payload), layout.values.unpack(payload)
        return Found(layout, idents, t_ms, values, seq)

    def learn(self, payload: bytes) -> None:
        """Remember the layout of a payload that has none yet, if it is a usual one."""
        self._worth += 1
        if self._worth < LEARN_COST or len(payload) > PAYLOAD_MAX or self.read(payload) is not None:
            return
        self._worth -= LEARN_COST
        parts = _Parts(payload)
        if not parts.usual:
            return
        if self._bytes + len(payload) > KEPT_BYTES_MAX:
            self.known, self._bytes = {}, 0
        before = self.known.get(len(payload), [])
        self.known[len(payload)] = [Layout(payload, parts), *before][:OF_LENGTH_MAX]
        self._bytes += len(payload) * (len(self.known[len(payload)]) - len(before))


def alias_of(ident: int | bytes) -> int:
    """The alias that a payload holds."""
    return ident if isinstance(ident, int) else number_of(ident)


def whole_of(value: float | bytes, field: int) -> int:
    """A whole number that a payload holds, unsigned."""
    number = number_of(value) if isinstance(value, bytes) else int(value)
    return number & INT_WORD if field == INT else number


class _Parts:
    """Where in a payload things stand: (from, to, format) of idents, times and values."""

    def __init__(self, payload: bytes) -> None:
        self._payload, self._left = payload, [FIELDS_MAX]
        self.mask = bytearray([ALIKE]) * len(payload)
        self.seq: slice | None = None
        self.names: list[str] = []
        self.whole: list[tuple[int, int, int]] = []
        self.idents: list[tuple[int, int, str]] = []
        self.times: list[tuple[int, int, str]] = []
        self.values: list[tuple[int, int, str]] = []
        try:
            self.usual = self._whole()
        except (GarbledError, UnicodeDecodeError):
            self.usual = False

    def _whole(self) -> bool:
        """Find everything; False: it has something that only the long way knows."""
        seen: list[int] = []
        told: list[tuple[int, int, str]] = []
        for key, _, begin, end in fields(self._payload, 0, len(self._payload), self._left):
            if key == 2 << 3 | BYTES:
                if not self._metric(begin, end):
                    return False
                continue
            if key not in (1 << 3 | VARINT, 3 << 3 | VARINT):
                return False
            seen.append(key)
            self.mask[begin:end] = bytes([LENGTH]) * (end - begin)
            if key == 1 << 3 | VARINT:
                told.append((begin, end, f"{end - begin}s"))
            else:
                self.seq = slice(begin, end)
        if len(set(seen)) < len(seen) or len(self.times) not in (0, len(self.names)):
            return False
        self.times = self.times or told
        return bool(self.names)

    def _metric(self, begin: int, end: int) -> bool:
        seen: list[int] = []
        name, datatype, value, alias = "", 0, (0, 0, 0), (0, 0)
        for key, number, at, to in fields(self._payload, begin, end, self._left):
            seen.append(key)
            if key == 2 << 3 | VARINT:
                alias = at, to
                self.mask[at:to] = bytes([LENGTH]) * (to - at)
            elif key == 3 << 3 | VARINT:
                self.times.append((at, to, f"{to - at}s"))
                self.mask[at:to] = bytes([LENGTH]) * (to - at)
            elif key in _VALUES:
                value = key, at, to
            elif key in _CONSTANT:
                name = self._payload[at:to].decode() if key == _CONSTANT[0] else name
                datatype = number & INT_WORD if key == _CONSTANT[1] else datatype
            elif key not in _FALSE or number:
                return False
        values = sum(key in _VALUES for key in seen)
        # one value, no field twice, and somebody whose it is: all else goes the long way
        if len(set(seen)) < len(seen) or values != 1 or not (name or alias[1]):
            return False
        if not name:
            at, to = alias
            self.idents.append((at, to, "B" if to - at == 1 else f"{to - at}s"))
        self.names.append(name)
        return self._value(*value, datatype)

    def _value(self, key: int, at: int, to: int, datatype: int) -> bool:
        form = _VALUES[key]
        if form == "?":
            if to - at > 1:
                return False
            self.mask[at] = BIT
        elif form:
            self.mask[at:to] = bytes([FREE]) * (to - at)
        else:
            form = "B" if to - at == 1 else f"{to - at}s"
            self.mask[at:to] = bytes([LENGTH]) * (to - at)
            self.whole.append((len(self.values), key >> 3, datatype))
        self.values.append((at, to, form))
        return True


def _struct(parts: Sequence[tuple[int, int, str]], size: int) -> Struct:
    """What reads these parts of a payload and steps over all else."""
    form, last = "<", 0
    for at, to, one in parts:
        form += f"{at - last}x{one}"
        last = to
    return Struct(f"{form}{size - last}x")


@lru_cache(1 << 12)
def number_of(encoded: bytes) -> int:
    """What bytes of seven bits each say, the lowest first."""
    value = 0
    for byte in reversed(encoded):
        value = value << 7 | byte & 0x7F
    return value & WORD
