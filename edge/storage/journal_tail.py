"""The newest messages of a journal, without reading the rest of it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import UNREADABLE
from edge.records import MessageReceived, Stimulus
from edge.storage.journal import segments
from edge.storage.journal_records import HEAD, MAGIC, bodies, body_at, next_whole

if TYPE_CHECKING:
    from pathlib import Path

TAIL_BYTES_MAX: Final = 8 << 20
_DECODER: Final = msgspec.msgpack.Decoder(tuple[int, Stimulus])


def tail_messages(journal: Path, *, messages_max: int) -> list[MessageReceived]:
    """At most so many of the newest messages of QoS 1, oldest first, in at most TAIL_BYTES_MAX.

    It never raises: what cannot be read is left out, as is all before it.
    """
    found: deque[MessageReceived] = deque()
    left = TAIL_BYTES_MAX
    for _, path in reversed(segments(journal)):
        data, begin = _end_of(path, left)
        messages = _messages(data, begin)[-(messages_max - len(found)) :]
        found.extendleft(reversed(messages))
        left -= len(data)
        if len(found) >= messages_max or left <= 0:
            break
    return list(found)


def _end_of(path: Path, bytes_max: int) -> tuple[bytes, int]:
    """The end of a segment, and where in it the first whole record begins."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size <= bytes_max:
                file.seek(0)
                return file.read(), len(MAGIC)
            file.seek(size - bytes_max)
            data = file.read()
    except OSError:
        return b"", 0
    begin = next_whole(data, 0)
    return data, len(data) if begin is None else begin


def _messages(data: bytes, offset: int) -> list[MessageReceived]:
    found = []
    while (body := body_at(data, offset)) is not None:
        offset += HEAD.size + len(body)
        try:
            stimuli = [_DECODER.decode(one)[1] for one in bodies(body)]
        except UNREADABLE:  # whoever takes it will say so
            break
        found += [one for one in stimuli if isinstance(one, MessageReceived) and one.qos]
    return found
