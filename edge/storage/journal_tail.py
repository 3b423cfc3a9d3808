"""The newest messages of a journal, without reading the rest of it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import UNREADABLE
from edge.records import MessageReceived, Stimulus
from edge.storage.journal import segments
from edge.storage.journal_records import HEAD, MAGIC, bodies, body_at, next_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TAIL_BYTES_MAX: Final = 8 << 20
_DECODER: Final = msgspec.msgpack.Decoder(tuple[int, Stimulus])
# How a message's record ends: its id is the last field. Shorter numbers are of smaller ids.
_NAMED: Final = msgspec.msgpack.encode("mid")
_WIDE: Final = _NAMED + b"\xcd"
_BYTE: Final = _NAMED + b"\xcc"
_SMALL: Final = 0x80


class JournalTail:
    """The end of a journal as it is now, at most TAIL_BYTES_MAX; it is looked at when asked for.

    It never raises: what cannot be read is left out.
    """

    def __init__(self, journal: Path) -> None:
        self._pieces: list[tuple[bytes, bool]] = []  # newest first, and whether it is a whole file
        left = TAIL_BYTES_MAX
        for _, path in reversed(segments(journal)):
            piece = _end_of(path, left)
            self._pieces.append(piece)
            left -= len(piece[0])
            if left <= 0:
                break

    def records(self) -> Iterator[bytes]:
        """Bodies of records, newest first; of a damaged segment those before the damage."""
        for data, whole in self._pieces:
            for body in reversed(_bodies(data, len(MAGIC) if whole else next_whole(data, 0))):
                with suppress(*UNREADABLE):
                    yield from reversed(bodies(body))


def mid_of(body: bytes) -> int:
    """The id of the message that a record holds, without decoding it; 0: of none, or without."""
    if body[-7:-2] == _WIDE:
        return int.from_bytes(body[-2:], "big")
    if body[-6:-1] == _BYTE:
        return body[-1]
    return body[-1] if body[-5:-1] == _NAMED and body[-1] < _SMALL else 0


def message_of(body: bytes) -> MessageReceived | None:
    """The message of QoS 1 that a record holds; None: it holds something else."""
    try:
        stimulus = _DECODER.decode(body)[1]
    except UNREADABLE:  # whoever takes it will say so
        return None
    return stimulus if isinstance(stimulus, MessageReceived) and stimulus.qos else None


def _end_of(path: Path, bytes_max: int) -> tuple[bytes, bool]:
    """The end of a segment, and whether it is all of it."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - bytes_max))
            return file.read(), size <= bytes_max
    except OSError:
        return b"", False


def _bodies(data: bytes, offset: int | None) -> list[bytes]:
    """Bodies of the whole records from `offset` on, oldest first; None: there are none."""
    found: list[bytes] = []
    while offset is not None and (body := body_at(data, offset)) is not None:
        offset += HEAD.size + len(body)
        found.append(body)
    return found
