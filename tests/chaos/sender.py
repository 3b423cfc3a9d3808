"""A plant that knows what it sent: QoS 1 in order, each message repeated until it is confirmed.

What is unconfirmed when a connection breaks is sent again before anything else, so that the order
of times never breaks. A library would let a new message overtake those.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections import deque
from typing import Final, Protocol, Self

IN_FLIGHT_MAX: Final = 100
CONNECT_S: Final = 2.0
SILENT_S_MAX: Final = 4.0  # with something unconfirmed; then it connects anew
PAUSE_S: Final = 0.05
CONNECT: Final = b"\x10%c\x00\x04MQTT\x04\x02\x00\x00\x00%c%s"
ACCEPTED: Final = b"\x20\x02\x00\x00"
PUBACK: Final = 0x40


class Message(Protocol):
    """What is sent."""

    @property
    def topic(self) -> str:
        """Where to."""

    @property
    def payload(self) -> bytes:
        """What."""

    @property
    def retain(self) -> bool:
        """Whether the broker keeps it."""


class Messages(Protocol):
    """Messages by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Message: ...


class Sender:
    """Sends `messages` up to `released`, at a pace. A context manager; `confirmed` counts."""

    def __init__(self, port: int, messages: Messages, *, name: str) -> None:
        self._port, self._messages, self._name = port, messages, name.encode()
        self._next = 0  # number of the message to send next
        self._unconfirmed: deque[int] = deque()
        self._lock = threading.Lock()
        self._stopping = self._held = False
        self._apart_s = 0.0
        self.released = 0
        self.confirmed = 0  # everything before it
        self.sent_total = 0  # repetitions included
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="plant", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join(10)

    def release(self, until: int, *, over_s: float) -> None:
        """Let messages before number `until` go, evenly over so many seconds."""
        count = max(until - self.released, 1)
        self._apart_s, self.released = over_s / count, min(until, len(self._messages))

    def hold(self) -> None:
        """Send nothing until `go_on`."""
        self._held = True

    def go_on(self, at: int | None = None) -> None:
        """Send again; with `at`, everything from that number on once more."""
        with self._lock:
            if at is not None and at < self._next:
                self._next = self.confirmed = at
                self._unconfirmed.clear()
        self._held = False

    @property
    def done(self) -> bool:
        """Whether the broker has confirmed every message."""
        return self.confirmed >= len(self._messages)

    # --- its thread ---

    def _run(self) -> None:
        try:
            while not self._stopping:
                try:
                    self._connection()
                except OSError:
                    time.sleep(PAUSE_S)
        except BaseException as error:  # the campaign looks, and ends
            self.error = error
            raise

    def _connection(self) -> None:
        while self._held and not self._stopping:
            time.sleep(PAUSE_S)
        with socket.create_connection(("127.0.0.1", self._port), timeout=CONNECT_S) as broker:
            broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            broker.sendall(CONNECT % (12 + len(self._name), len(self._name), self._name))
            if broker.recv(4, socket.MSG_WAITALL) != ACCEPTED:
                raise ConnectionError
            with self._lock:
                self._next = self.confirmed  # what was unconfirmed comes first, in its order
                self._unconfirmed.clear()
            self._exchange(broker)

    def _exchange(self, broker: socket.socket) -> None:
        rest, heard_s, due_s = b"", time.monotonic(), 0.0
        while not self._stopping and not self._held:
            now_s = time.monotonic()
            ready, _, _ = select.select([broker], [], [], min(max(due_s - now_s, 0), 0.02))
            if ready:
                came = broker.recv(65_536)
                if not came:
                    raise ConnectionError
                rest, heard_s = self._confirm(rest + came), now_s
            with self._lock:
                number = self._sendable(now_s >= due_s)
            if number is not None:
                broker.sendall(self._packet(number))
                self.sent_total += 1
                due_s = max(due_s + self._apart_s, now_s - 0.1)
            elif not self._unconfirmed:
                heard_s = now_s
                time.sleep(0.002)
            elif now_s - heard_s > SILENT_S_MAX:
                raise ConnectionError
            else:
                time.sleep(0.001)

    def _sendable(self, due: bool) -> int | None:  # noqa: FBT001 - the one caller
        """The number of a message that may go now, noted as under way."""
        full = len(self._unconfirmed) >= IN_FLIGHT_MAX
        if not due or full or self._next >= self.released:
            return None
        number, self._next = self._next, self._next + 1
        self._unconfirmed.append(number)
        return number

    def _packet(self, number: int) -> bytes:
        message = self._messages[number]
        topic = message.topic.encode()
        body = struct.pack(">H", len(topic)) + topic
        body += struct.pack(">H", number % 65_535 + 1) + message.payload
        return bytes([0x32 | message.retain]) + _length(len(body)) + body

    def _confirm(self, came: bytes) -> bytes:
        """Note confirmations, four bytes each; returns what is not whole yet."""
        with self._lock:
            while len(came) >= 4:
                kind, mid = came[0], int.from_bytes(came[2:4], "big")
                came = came[4:]
                if kind != PUBACK or not self._unconfirmed:
                    continue
                assert mid == self._unconfirmed[0] % 65_535 + 1, "confirmed out of order"
                self.confirmed = self._unconfirmed.popleft() + 1
        return came


def _length(n: int) -> bytes:
    """MQTT's variable-length number."""
    parts = []
    while n > 127:
        parts.append(n & 127 | 128)
        n >>= 7
    return bytes([*parts, n])
