"""A socket whose bytes come as a test says, MQTT packets to put on it, and what two clients say.

One is ours, the other is paho as it is: the oracle.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Client, incoming

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.brokers.inbox import Incoming


V3, V5 = paho.MQTTv311, paho.MQTTv5
SENT_BEFORE: Final = 3  # messages of ours that wait for a confirmation: ids 1 to 3


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


def told_of(m: Incoming) -> tuple[Any, ...]:
    """What a message says, but for when and over what it came."""
    return ("message", m.topic, m.payload, m.qos, m.retain, m.dup, m.mid)


def listening(client: Any, events: list[Any]) -> None:  # noqa: ANN401 - paho's, or ours
    """Note all that a client tells, but for messages."""
    client.on_connect = lambda _c, _d, flags, reason, _p: events.append(
        ("connect", flags.session_present, str(reason))
    )
    client.on_subscribe = lambda _c, _d, mid, reasons, _p: events.append(
        ("subscribe", mid, [str(one) for one in reasons])
    )
    client.on_unsubscribe = lambda _c, _d, mid, _r, _p: events.append(("unsubscribe", mid))
    client.on_publish = lambda _c, _d, mid, _r, _p: events.append(("publish", mid))
    client.on_disconnect = lambda *_: events.append("ended")


def run(client: Any, wire: Wire, events: list[Any]) -> None:  # noqa: ANN401 - paho's, or ours
    """Let a client read all that comes."""
    client._sock = None
    for number in range(SENT_BEFORE):
        client.publish("x", b"%d" % number, 1)
    client._sock = wire
    for message in client._out_messages.values():
        message.state = paho.mqtt_ms_wait_for_puback
    client._out_packet.clear()
    left = len(wire.pieces) + 3  # turns with nothing to read but ends of pieces
    while client._sock is not None and left:
        left -= not any(wire.pieces)
        try:
            client.loop_read()
        except Exception:  # paho's own, for what it does not expect: it would end the thread
            if isinstance(client, Client):
                raise
            events.append("ended")
            return


def stock(pieces: Sequence[bytes], *, version: Any, closes: bool, manual: bool) -> Any:  # noqa: ANN401
    """What paho says and sends."""
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id="c", protocol=version, manual_ack=manual
    )
    events: list[Any] = []
    listening(client, events)
    client.on_message = lambda _c, _d, m: events.append(told_of(incoming(m)))
    wire = Wire(deque(pieces), closes)
    run(client, wire, events)
    return events, bytes(wire.sent)


def ours(pieces: Sequence[bytes], *, version: Any, closes: bool, manual: bool) -> Any:  # noqa: ANN401
    """What our client says and sends."""
    client = Client(Endpoint(client_id="c"), protocol=version, manual_ack=manual)
    assert client.reads_plainly == ""
    events: list[Any] = []
    listening(client, events)
    client.on_message = lambda _c, _d, m: events.append(told_of(incoming(m)))
    client.on_batch = lambda batch: events.extend(map(told_of, batch))
    wire = Wire(deque(pieces), closes)
    run(client, wire, events)
    return events, bytes(wire.sent)
