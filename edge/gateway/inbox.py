"""The inbox: what came over MQTT and waits to be journaled, bounded in messages and in bytes.

The network thread puts, the loop takes. What does not fit is refused, and the caller counts it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

QUEUE_BYTES_MAX: Final = 64 << 20  # a minute of 1 MB/s; 100,000 messages may have 1 MiB each


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it came; `mid` is what acknowledges it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    mid: int
    received_ns: int
    connection: int = 0  # number of the connection it came over: ids start anew with each
    link: str = ""  # which of two links it came over


class Inbox:
    """A queue between two threads, one that puts and one that takes."""

    def __init__(self, *, messages_max: int, bytes_max: int = QUEUE_BYTES_MAX) -> None:
        self._messages: deque[Incoming] = deque()
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        # One thread writes each, so neither needs a lock; their difference may lag, never grow.
        self._bytes_put = 0
        self._bytes_taken = 0

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def bytes_held(self) -> int:
        """Bytes of the payloads that wait."""
        return self._bytes_put - self._bytes_taken

    def room_for(self, size_bytes: int) -> bool:
        """Whether a payload of this size fits; an empty inbox takes any."""
        if not self._messages:
            return True
        return (
            len(self._messages) < self._messages_max
            and self.bytes_held + size_bytes <= self._bytes_max
        )

    def put(self, message: Incoming) -> bool:
        """Queue a message; False when it does not fit."""
        size_bytes = len(message.payload)
        if not self.room_for(size_bytes):
            return False
        self._bytes_put += size_bytes
        self._messages.append(message)
        return True

    def take(self, limit: int) -> list[Incoming]:
        """Take up to `limit` messages, oldest first."""
        taken: list[Incoming] = []
        while self._messages and len(taken) < limit:
            message = self._messages.popleft()
            self._bytes_taken += len(message.payload)
            taken.append(message)
        return taken
