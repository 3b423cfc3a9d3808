"""A journal as its bytes say it, read anew from the description of its format.

Nothing here is the product's: a reader that shared its mistakes would find none of them.
"""

from __future__ import annotations

import struct
import sys
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from edge.records import MessageReceived, Stimulus

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Mapping

MAGICS: Final = (b"ANDONJ1\n", b"ANDONJ4\n")
MAGIC_BYTES: Final = 8
PACKED: Final = b"\xc1"  # of a group that is one record
HEAD: Final = struct.Struct("<II")
Entry = tuple[int, Stimulus]
_DECODER: Final = msgspec.msgpack.Decoder(tuple[int, Stimulus])


def bodies(data: bytes, at: int) -> tuple[list[bytes], int]:
    """Bodies of records from a place on, and where the first is that is not whole."""
    found: list[bytes] = []
    while at + HEAD.size <= len(data):
        length, crc = HEAD.unpack_from(data, at)
        begin = at + HEAD.size
        body = data[begin : begin + length]
        if not length or len(body) != length or zlib.crc32(body) != crc:
            break
        if body.startswith(PACKED):
            inner = by_columns(body) if body[1] == 1 else packed(body)
            found += inner
        else:
            found.append(body)
        at = begin + length
    return found, at


def packed(body: bytes) -> list[bytes]:
    """Bodies of a packed group."""
    group = zstd.decompress(body[1:])
    inner, end = bodies(group, 0)
    assert end == len(group), "a packed group is whole"
    return inner


def by_columns(body: bytes) -> list[bytes]:
    """Bodies of messages that were joined."""
    now_ns, *told, payloads, mids = msgspec.msgpack.decode(zstd.decompress(body[2:]))
    each = [[found[n] for n in which or [0] * len(payloads)] for found, which in told]
    mids = mids or [0] * len(payloads)
    return [
        msgspec.msgpack.encode(
            (
                now_ns,
                MessageReceived(
                    topic=topic, payload=payload, received_ns=received_ns,
                    qos=qos, retain=retain, dup=dup, mid=mid,
                ),
            )
        )
        for topic, received_ns, (qos, retain, dup), payload, mid in zip(
            *each, payloads, mids, strict=True
        )
    ]  # fmt: skip


def behind(data: bytes, at: int) -> list[bytes]:
    """Bodies of whole records behind a damaged one, whose own length may be wrong."""
    while at + HEAD.size < len(data):
        length, crc = HEAD.unpack_from(data, at)
        body = data[at + HEAD.size : at + HEAD.size + length]
        if length and len(body) == length and zlib.crc32(body) == crc:
            found, at = bodies(data, at)
            return found + behind(data, at)
        at += 1
    return []


@dataclass(slots=True)
class _Read:
    """One segment as far as it was read. rest: what is whole behind a damaged record."""

    data: bytes = b""
    end: int = 0
    entries: list[Entry] = field(default_factory=list)
    payloads: set[bytes] = field(default_factory=set)
    rest: list[Entry] = field(default_factory=list)
    rest_payloads: set[bytes] = field(default_factory=set)

    def read(self, data: bytes) -> None:
        """Go on where it was left, or from the beginning where it was changed."""
        if not data.startswith(self.data[: self.end]):
            self.end = 0
            self.entries, self.payloads = [], set()
        if not self.end:
            self.end = MAGIC_BYTES if data[:MAGIC_BYTES] in MAGICS else 0
        if self.end:
            found, self.end = bodies(data, self.end)
            entries = [_DECODER.decode(body) for body in found]
            self.entries += entries
            self.payloads |= _payloads(entries)
        self.rest = [_DECODER.decode(body) for body in behind(data, self.end)]
        self.rest_payloads = _payloads(self.rest)
        self.data = data


def _payloads(entries: list[Entry]) -> set[bytes]:
    return {one.payload for _, one in entries if isinstance(one, MessageReceived)}


class Journals:
    """Reads segments by name, each byte once as long as only more is written."""

    def __init__(self) -> None:
        self._read: dict[str, _Read] = {}

    def entries(self, segments: Mapping[str, bytes]) -> tuple[list[Entry], str]:
        """All records in their order, and the first segment that is not whole, "" none."""
        found: list[Entry] = []
        torn = ""
        for name, data in sorted(segments.items()):
            one = self._of(name, data)
            found += one.entries + one.rest
            if one.end < len(data) and not torn:
                torn = f"{name}, byte {one.end} of {len(data)}"
        return found, torn

    def holds(self, payload: bytes, segments: Mapping[str, bytes]) -> bool:
        """Whether a message with this payload stands in one of them."""
        newest_first = sorted(segments.items(), reverse=True)
        for name, data in newest_first:
            one = self._of(name, data)
            if payload in one.payloads or payload in one.rest_payloads:
                return True
        return False

    def _of(self, name: str, data: bytes) -> _Read:
        one = self._read.setdefault(name, _Read())
        if data != one.data:
            one.read(data)
        return one
