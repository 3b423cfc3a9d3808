"""Packing of a journal's groups, as tightly as the time for it is worth.

A group becomes a stream of zlib, made in one of two ways of which a reader need not know, or stays
as it is:

    TIGHT   repetitions are looked for: names that come again in every message
    CODES   only short codes for frequent bytes, in two thirds of the time: digits repeat nothing
    PLAIN   not packed: numbers of a binary block are hardly smaller in the end

While little comes, all is packed tightly, which costs hardly anything. Where much comes, a group a
second is packed in every way, and shows which one suits those that follow.
"""

from __future__ import annotations

import zlib
from enum import Enum
from typing import TYPE_CHECKING, Final

from edge.storage.journal_records import (
    PACKED_BYTES_MIN,
    RECORD_BYTES_MAX,
    of_columns,
    of_packed,
)

if TYPE_CHECKING:
    from edge.storage.disk import Clock

LEVEL: Final = 1  # four times as small at 2 % of a core; level 6 adds a fifth for four times that
EASY_BYTES_PER_S: Final = 1 << 20  # that are packed tightly at 1 % of a core, whatever they are
LOOK_S: Final = 1.0
PAYS: Final = 0.75  # of what a quicker way leaves: as much a slower one may leave, to be worth it


class Way(Enum):
    """How groups are packed."""

    TIGHT = "tight"
    CODES = "codes"
    PLAIN = "plain"


class Packing:
    """For one writer."""

    def __init__(self, clock: Clock) -> None:
        self._now_s = clock.monotonic_s
        self._looked_s = self._now_s()
        self._came_bytes = 0  # since then
        self.way = Way.TIGHT

    def packed(self, group: bytes) -> bytes:
        """A group of records as one, where it becomes smaller by that; else as it is."""
        if not PACKED_BYTES_MIN <= len(group) <= RECORD_BYTES_MAX:
            return group
        return of_packed(group, self._streamed(group))

    def columns(self, columns: bytes) -> bytes | None:
        """Columns of a group as a record; None where its records are to be packed, or kept so."""
        if not PACKED_BYTES_MIN <= len(columns) <= RECORD_BYTES_MAX:
            return None
        return of_columns(columns, self._streamed(columns))

    def _streamed(self, group: bytes) -> bytes:
        """As a stream of zlib, the way that suits; as it is, where that is the way."""
        self._came_bytes += len(group)
        if (passed_s := self._now_s() - self._looked_s) >= LOOK_S:
            much = self._came_bytes > EASY_BYTES_PER_S * passed_s
            self.way = _suiting(group) if much else Way.TIGHT
            self._looked_s += passed_s
            self._came_bytes = 0
        return _stream(group, self.way)


def _suiting(group: bytes) -> Way:
    """The way for groups like this one where much comes."""
    tight, codes = (len(_stream(group, way)) for way in (Way.TIGHT, Way.CODES))
    if tight < PAYS * min(codes, len(group)):
        return Way.TIGHT
    return Way.CODES if codes < PAYS * len(group) else Way.PLAIN


def _stream(group: bytes, way: Way) -> bytes:
    """A group as a stream of zlib; as it is, where that is the way."""
    if way is Way.PLAIN:
        return group
    if way is Way.TIGHT:
        return zlib.compress(group, LEVEL)
    maker = zlib.compressobj(LEVEL, strategy=zlib.Z_HUFFMAN_ONLY)
    return maker.compress(group) + maker.flush()
