"""MQTT packets in a stretch of bytes: whole ones are found, and messages of QoS 0 and 1 are read.

Of the protocol only what the flood of values needs (MQTT 3.1.1 section 3.3, 5.0 section 3.3); what
is anything else, or is not as it should be, is left to the client library.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from edge.brokers.inbox import Incoming
from edge.caps import TOPICS_KNOWN_MAX

TOPICS_BYTES_MAX: Final = 8 << 20  # of all names that are remembered as text
TOPIC_BYTES_MAX: Final = 256  # of one that is
LENGTH_BYTES_MAX: Final = 4  # of the length in a packet's head
NO_TEXT: Final = "(not UTF-8)"  # a topic that is none; it matches nothing that anybody sends
# (qos, retain, dup) by the first byte of a packet; None: no message of QoS 0 or 1
FLAGS: Final = tuple(
    ((head >> 1) & 3, bool(head & 1), bool(head & 8))
    if head >> 4 == 3 and head & 6 in (0, 2)
    else None
    for head in range(256)
)


class Packet(NamedTuple):
    """A whole packet: its first byte, and where what follows its length begins and ends."""

    command: int
    begin: int
    end: int


class Topics:
    """Topics as text by their bytes: a plant repeats few of them. Bounded."""

    def __init__(self) -> None:
        self.known: dict[bytes, str] = {}
        self._bytes = 0

    def text(self, name: bytes) -> str:
        """A topic that is not known yet."""
        try:
            text = name.decode()
        except UnicodeDecodeError:
            return NO_TEXT
        if len(name) <= TOPIC_BYTES_MAX:
            self._bytes += len(name)
            if len(self.known) >= TOPICS_KNOWN_MAX or self._bytes > TOPICS_BYTES_MAX:
                self.known.clear()
                self._bytes = len(name)
            self.known[name] = text
        return text


def packet_at(data: bytes, at: int) -> tuple[Packet | None, int]:
    """The whole packet that begins at `at`, and how many bytes from there on it has.

    None: it is not whole; and 0 bytes: not even its length is. Raises ValueError for a length that
    no packet may have.
    """
    length = shift = 0
    for i in range(LENGTH_BYTES_MAX + 1):
        if at + 1 + i >= len(data):
            return None, 0
        if i == LENGTH_BYTES_MAX:
            raise ValueError("a length of more than four bytes")
        byte = data[at + 1 + i]
        length |= (byte & 127) << shift
        if byte < 128:
            begin = at + 2 + i
            end = begin + length
            return (Packet(data[at], begin, end) if end <= len(data) else None), end - at
        shift += 7
    raise AssertionError("one of the bytes was the last")


def read_messages(  # noqa: C901 - a call for a part of it would cost as much as all of it
    data: bytes,
    at: int,
    out: list[Incoming],
    *,
    topics: Topics,
    version_5: bool,
    received_ns: int,
    came_over: tuple[int, str],
) -> int:
    """Read whole messages of QoS 0 and 1 that follow each other from `at` on, appending to `out`.

    came_over: connection and link, of all of them. Returns where that ends: at the end of `data`,
    at a packet that is not whole, or at one that is something else, or none.
    """
    known, flags_of, size = topics.known, FLAGS, len(data)
    connection, link = came_over
    append = out.append
    while at + 4 <= size:  # head, length, length of the topic
        flags = flags_of[data[at]]
        if flags is None:
            break
        length = data[at + 1]
        begin = at + 2
        if length > 127:
            length += (data[begin] << 7) - 128
            begin += 1
            if length > 16_383:
                try:
                    packet, _ = packet_at(data, at)
                except ValueError:
                    break
                if packet is None:
                    break
                begin, length = packet.begin, packet.end - packet.begin
        end = begin + length
        if end > size or length < 2:
            break
        body = begin + 2 + (data[begin] << 8 | data[begin + 1])
        name = data[begin + 2 : body]
        qos, retain, dup = flags
        mid = 0
        if qos:
            body += 2
            if body > end:
                break
            mid = data[body - 2] << 8 | data[body - 1]
        if version_5:
            if body >= end or data[body]:  # properties
                break
            body += 1
        if body > end or not name:
            break
        topic = known.get(name) or topics.text(name)
        append(
            Incoming(topic, data[body:end], qos, retain, dup, mid, received_ns, connection, link)
        )
        at = end
    return at
