"""MQTT: the only importer of paho.

Callbacks only queue; nothing here decodes, decides or waits for the engine.

The gateway's `Link` acknowledges a message only when told that it is journaled (manual
acknowledgement, persistent session, MQTT 3.1.1). `Publisher` is for replays: QoS 1 with a window,
so that nothing is lost and nothing piles up.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from edge.caps import PAYLOAD_BYTES_MAX
from edge.errors import AndonError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

RECONNECT_S_MAX: Final = 30
CONNECT_S_MAX: Final = 10.0


class BrokerError(AndonError):
    """The broker cannot be reached or refuses us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a broker is and who we are there."""

    host: str = "127.0.0.1"
    port: int = 1883
    client_id: str = ""
    username: str = ""
    password: str | None = None
    keepalive_s: int = 30
    tls_ca_file: str = ""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


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


def _incoming(m: paho.MQTTMessage, connection: int = 0) -> Incoming:
    try:
        topic = m.topic
    except UnicodeDecodeError:
        topic = "(not UTF-8)"
    payload, now_ns = bytes(m.payload), time.time_ns()
    return Incoming(topic, payload, m.qos, m.retain, m.dup, m.mid, now_ns, connection)


@dataclass(slots=True)
class LinkCounts:
    """What happened on the link; all of it is published."""

    received: int = 0
    dropped_queue_full: int = 0
    oversize: int = 0  # payloads cut to just over the cap: small, and still refused as oversize
    refused: int = 0  # connections and subscriptions that the broker refused
    asked_again: int = 0  # reconnections of our own, to get back what did not fit into the queue
    connects: int = 0
    disconnects: int = 0
    callback_errors: int = 0


def _client(endpoint: Endpoint, *, persistent: bool, manual_ack: bool = False) -> paho.Client:
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=endpoint.client_id,
        clean_session=not persistent,
        protocol=paho.MQTTv311,
        manual_ack=manual_ack,
        reconnect_on_failure=True,
    )
    if endpoint.username:
        client.username_pw_set(endpoint.username, endpoint.password)
    if endpoint.tls_ca_file:
        client.tls_set(ca_certs=endpoint.tls_ca_file)
    client.reconnect_delay_set(1, RECONNECT_S_MAX)
    return client


def _start(client: paho.Client, endpoint: Endpoint) -> None:
    """Connect in the background, again and again until it works."""
    client.connect_async(endpoint.host, endpoint.port, endpoint.keepalive_s)
    client.loop_start()


def _stop(client: paho.Client) -> None:
    """Disconnect, end the network thread and close what it leaves open."""
    client.disconnect()
    client.loop_stop()
    client._reset_sockets()  # noqa: SLF001 - else a pair of sockets stays until the collector finds it


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """What the broker says for us when we are gone."""

    topic: str
    payload: bytes


class Link:
    """The gateway's connection.

    A bounded queue of what came, acknowledgements and publications out.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        filters: Sequence[str],
        queue_messages_max: int,
        will: Will,
        on_connected: Callable[[], None],
        wake: threading.Event,
    ) -> None:
        """`on_connected` runs on the network thread after each connection.

        `wake` is set when something came.
        """
        self.counts = LinkCounts()
        self._endpoint = endpoint
        self._filters = [(name, 1) for name in filters]
        self._queue: deque[Incoming] = deque()
        self._queue_max = queue_messages_max
        self._confirmed: deque[int] = deque()
        self._owed = False  # QoS 1 messages were dropped: the broker still has them
        self._wake = wake
        self._on_connected = on_connected
        self._client = _client(endpoint, persistent=True, manual_ack=True)
        self._client.max_inflight_messages_set(1000)
        self._client.max_queued_messages_set(0)
        self._client.will_set(will.topic, will.payload, qos=1, retain=True)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._message
        self._client.on_publish = self._published

    def start(self) -> None:
        """Connect in the background, again and again until it works."""
        _start(self._client, self._endpoint)

    @property
    def connected(self) -> bool:
        """Whether the broker is there now."""
        return self._client.is_connected()

    @property
    def queue_depth(self) -> int:
        """Messages that wait to be journaled."""
        return len(self._queue)

    def drain(self, limit: int) -> list[Incoming]:
        """Take up to `limit` messages from the queue, oldest first.

        When it was full and is empty again, connect anew: the broker then repeats what was dropped.
        Without this it would soon send nothing at all: unacknowledged messages fill its window.
        """
        taken: list[Incoming] = []
        while self._queue and len(taken) < limit:
            taken.append(self._queue.popleft())
        if self._owed and not taken and not self._queue and self.connected:
            self._owed = False
            self.counts.asked_again += 1
            _stop(self._client)
            self.start()
        return taken

    def ack(self, messages: Sequence[Incoming]) -> None:
        """Tell the broker that these are safe.

        What came over an earlier connection is not acknowledged: the broker sends it again, and its
        id may stand for another message by now.
        """
        for message in messages:
            if message.qos and message.connection == self.counts.connects:
                self._client.ack(message.mid, message.qos)

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Send; returns the id that `confirmed` will name for QoS 1.

        None when there is no connection.
        """
        if not self.connected:
            return None  # paho would queue QoS 1 without bound
        info = self._client.publish(topic, payload, qos, retain)
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def confirmed(self) -> list[int]:
        """Ids of publications that the broker has confirmed since the last call."""
        taken = []
        while self._confirmed:
            taken.append(self._confirmed.popleft())
        return taken

    def stop(self) -> None:
        """Disconnect cleanly; the last will stays unsaid, so say goodbye before."""
        _stop(self._client)

    # On paho's thread: an exception would end it and leave is_connected() true for ever.

    def _connected(self, client: paho.Client, *details: Any) -> None:  # noqa: ANN401
        _data, _flags, reason, _properties = details
        if reason.is_failure:
            self.counts.refused += 1
            return
        self.counts.connects += 1
        self._owed = False
        try:
            client.subscribe(self._filters)
            self._on_connected()
        except Exception:  # noqa: BLE001 - see above; counted and published
            self.counts.callback_errors += 1
        self._wake.set()

    def _disconnected(self, *_args: Any) -> None:  # noqa: ANN401
        self.counts.disconnects += 1
        self._wake.set()

    def _subscribed(self, _c: Any, _d: Any, _mid: int, reasons: Sequence[Any], _p: Any) -> None:  # noqa: ANN401
        self.counts.refused += sum(reason.is_failure for reason in reasons)

    def _message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:  # noqa: ANN401
        self.counts.received += 1
        if len(self._queue) >= self._queue_max:
            # Not acknowledged: the broker keeps QoS 1 and sends it again on the next connection.
            self.counts.dropped_queue_full += 1
            self._owed = self._owed or message.qos > 0
            return
        came = _incoming(message, self.counts.connects)
        if len(came.payload) > PAYLOAD_BYTES_MAX:
            self.counts.oversize += 1
            came = replace(came, payload=came.payload[: PAYLOAD_BYTES_MAX + 1])
        self._queue.append(came)
        if not self._wake.is_set():
            self._wake.set()

    def _published(self, _client: Any, _data: Any, mid: int, _reason: Any, _p: Any) -> None:  # noqa: ANN401
        self._confirmed.append(mid)


class Publisher:
    """Publishes with QoS 1 and at most `in_flight_max` unconfirmed messages. A context manager."""

    def __init__(self, endpoint: Endpoint, *, in_flight_max: int = 500) -> None:
        self._endpoint = endpoint
        self._in_flight_max = in_flight_max
        self._changed = threading.Condition()
        self._in_flight = 0
        self._failure = ""
        self._client = _client(endpoint, persistent=False)
        self._client.max_inflight_messages_set(in_flight_max)
        self._client.on_publish = self._published
        self._client.on_connect = self._connected
        self.reconnects = -1

    def __enter__(self) -> Self:
        """Connect. Raises BrokerError."""
        _start(self._client, self._endpoint)
        deadline_s = time.monotonic() + CONNECT_S_MAX
        with self._changed:
            while not self._client.is_connected():
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or self._failure:
                    break
                self._changed.wait(min(left_s, 0.1))
        if not self._client.is_connected():
            _stop(self._client)
            why = self._failure or "no answer; is a broker running there?"
            raise BrokerError(f"broker {self._endpoint}: {why}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _stop(self._client)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Hand over one message, waiting while too many are unconfirmed, across reconnections."""
        assert qos == 1, "the window counts confirmations, and only QoS 1 has them"
        with self._changed:
            while self._in_flight >= self._in_flight_max:
                self._changed.wait(1.0)
            self._in_flight += 1
        self._client.publish(topic, payload, qos, retain)

    def drain(self, *, seconds_max: float = 60.0) -> None:
        """Return when the broker has confirmed everything. Raises BrokerError when it does not."""
        deadline_s = time.monotonic() + seconds_max
        with self._changed:
            while self._in_flight:
                if time.monotonic() > deadline_s:
                    raise BrokerError(
                        f"broker {self._endpoint}: {self._in_flight} messages unconfirmed"
                    )
                self._changed.wait(0.5)

    def _published(self, *_args: Any) -> None:  # noqa: ANN401
        with self._changed:
            self._in_flight -= 1
            self._changed.notify_all()

    def _connected(self, _c: Any, _d: Any, _flags: Any, reason: Any, _p: Any) -> None:  # noqa: ANN401
        with self._changed:
            if reason.is_failure:
                self._failure = f"refused: {reason}"
            self.reconnects += 1
            self._changed.notify_all()


@dataclass(slots=True)
class Collector:
    """Subscribes and hands everything over, in order, through `queue`. A context manager."""

    endpoint: Endpoint
    filters: Sequence[str]
    queue: deque[Incoming] = field(default_factory=deque)
    queue_max: int = 1_000_000
    dropped: int = 0
    arrived: threading.Event = field(default_factory=threading.Event)
    _client: paho.Client | None = None
    _granted: threading.Event = field(default_factory=threading.Event)
    _failure: str = ""

    def __enter__(self) -> Self:
        """Connect and subscribe; returns when the broker has granted it. Raises BrokerError."""
        client = _client(self.endpoint, persistent=False)
        self._client = client
        client.on_message = self._message
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        _start(client, self.endpoint)
        if not self._granted.wait(CONNECT_S_MAX) or self._failure:
            _stop(client)
            why = self._failure or "no answer; is a broker running there?"
            raise BrokerError(f"broker {self.endpoint}: {why}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._client is not None
        _stop(self._client)

    def _connected(self, client: paho.Client, _d: Any, _flags: Any, reason: Any, _p: Any) -> None:  # noqa: ANN401
        if reason.is_failure:
            self._failure = f"refused: {reason}"
            self._granted.set()
            return
        client.subscribe([(name, 1) for name in self.filters])

    def _subscribed(self, _c: Any, _d: Any, _mid: int, reasons: Sequence[Any], _p: Any) -> None:  # noqa: ANN401
        refused = [
            name for name, reason in zip(self.filters, reasons, strict=False) if reason.is_failure
        ]
        if refused:
            self._failure = f"subscription to {', '.join(refused)} refused"
        self._granted.set()

    def _message(self, _c: Any, _d: Any, message: paho.MQTTMessage) -> None:  # noqa: ANN401
        if len(self.queue) >= self.queue_max:
            self.dropped += 1
            return
        self.queue.append(_incoming(message))
        self.arrived.set()
