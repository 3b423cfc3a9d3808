"""A socket whose bytes come as a test says, and MQTT packets to put on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import deque


@dataclass
class Wire:
    """A socket of which each piece arrives by itself; behind the last it is silent, or closed."""

    pieces: deque[bytes]
    closes: bool = False
    sent: bytearray = field(default_factory=bytearray)
    recvs: int = 0
    closed: bool = False

    def recv(self, size: int) -> bytes:
        """Some of a piece; between two of them there is nothing."""
        self.recvs += 1
        if not self.pieces:
            if self.closes:
                return b""
            raise BlockingIOError
        if not self.pieces[0]:
            self.pieces.popleft()
            raise BlockingIOError
        found, self.pieces[0] = self.pieces[0][:size], self.pieces[0][size:]
        return found

    def send(self, data: bytes) -> int:
        """All of it leaves."""
        self.sent += data
        return len(data)

    def close(self) -> None:
        """The connection ends."""
        self.closed = True

    def setblocking(self, _flag: bool) -> None:  # noqa: FBT001 - a socket's
        """It never blocks."""

    def fileno(self) -> int:
        """None that anybody may wait on."""
        return -1


def length(n: int) -> bytes:
    """MQTT's variable-length number."""
    parts = []
    while n > 127:
        parts.append(n & 127 | 128)
        n >>= 7
    return bytes([*parts, n])


def packet(head: int, body: bytes) -> bytes:
    """A whole packet."""
    return bytes([head]) + length(len(body)) + body


def text(value: bytes) -> bytes:
    """A name with its length."""
    return len(value).to_bytes(2, "big") + value
