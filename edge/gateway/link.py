"""The gateway's connection: a bounded inbox of what came, acknowledgements and publications out.

A message is acknowledged only when told that it is journaled (manual acknowledgement, persistent
session, MQTT 3.1.1). Callbacks only queue, and never raise.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from edge.caps import PAYLOAD_BYTES_MAX
from edge.configuration.config import password
from edge.gateway import mqtt
from edge.gateway.inbox import Inbox
from edge.gateway.mqtt import Endpoint

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from edge.boxes.fencing import Fence
    from edge.configuration.config import GatewayConfig
    from edge.gateway.inbox import Incoming

IN_FLIGHT_MAX: Final = 1_000
# Behind a broker that hangs: what is beyond is not sent, and counted. paho's own bound is its ids.
UNSENT_MESSAGES_MAX: Final = 10_000


class Transport(Protocol):
    """What a link needs of MQTT; the module `edge.gateway.mqtt` is one.

    Clients are as paho has them: their callbacks run one after another, beside the loop.
    """

    def new_client(self, endpoint: Endpoint, *, persistent: bool, manual_ack: bool = False) -> Any:  # noqa: ANN401
        """A client that is not connected yet. Raises BrokerError."""

    def start(self, client: Any, endpoint: Endpoint) -> None:  # noqa: ANN401
        """Connect in the background, again and again until it works."""

    def stop(self, client: Any) -> None:  # noqa: ANN401
        """Disconnect; returns when no callback runs any more."""

    def was_taken(self, info: Any, *, qos: int) -> bool:  # noqa: ANN401
        """Whether a publication will reach the broker as far as the client can help it."""

    def is_alive(self, client: Any) -> bool:  # noqa: ANN401
        """Whether a started client goes on working."""

    def incoming(self, m: Any, connection: int = 0, *, cut: bool = False) -> Incoming:  # noqa: ANN401
        """A message as we keep it."""


@dataclass(slots=True)
class LinkCounts:
    """What happened on the link; all of it is published."""

    received: int = 0
    dropped_queue_full: int = 0
    oversize: int = 0  # payloads cut to just over the cap: small, and still refused as oversize
    refused: int = 0  # connections and subscriptions that the broker refused
    not_sent: int = 0  # publications that found no connection or a full queue
    asked_again: int = 0  # reconnections of our own, to get back what did not fit into the queue
    connects: int = 0
    disconnects: int = 0
    callback_errors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """What the broker says for us when we are gone."""

    topic: str
    payload: bytes


def endpoint_of(config: GatewayConfig) -> Endpoint:
    """Where a configuration connects to. Raises ConfigError for a password that is not there."""
    mqtt = config.mqtt
    return Endpoint(
        host=mqtt.host,
        port=mqtt.port,
        client_id=mqtt.client_id,
        username=mqtt.username,
        password=password(mqtt, config.path("")),
        keepalive_s=mqtt.keepalive_s,
        tls_ca_file=str(config.path(mqtt.tls_ca_file)) if mqtt.tls_ca_file else "",
    )


class Link:
    """A connection that lasts, over any number of reconnections."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        filters: Sequence[str],
        queue_messages_max: int,
        will: Will,
        on_connected: Callable[[], None],
        wake: threading.Event,
        transport: Transport = mqtt,
        guard: Fence | None = None,
    ) -> None:
        """`on_connected` runs on the network thread once a connection's subscription is answered.

        `wake` is set when something came. `guard` opens each connection before anything is said
        over it, or taken from it. Raises BrokerError for certificates that cannot be read.
        """
        self.counts = LinkCounts()
        self._endpoint, self._mqtt = endpoint, transport
        self._filters = [(name, 1) for name in filters]
        self._inbox = Inbox(messages_max=queue_messages_max)
        self._granted = False
        self._started = False
        self.resumed = False  # whether the broker still had our session when we came
        self.refusal = ""  # why the broker does not let us in or hear; "" while it does
        self.callback_error = ""  # the newest one
        self._confirmed: deque[int] = deque()
        self._owed = False  # QoS 1 messages were dropped: the broker still has them
        self._wake = wake
        self._on_connected = on_connected
        self._client = self._mqtt.new_client(endpoint, persistent=True, manual_ack=True)
        self._guard = guard
        self._client.max_inflight_messages_set(IN_FLIGHT_MAX)
        self._client.max_queued_messages_set(UNSENT_MESSAGES_MAX)
        self._client.will_set(will.topic, will.payload, qos=1, retain=True)
        self._client.on_connect = self._guarded(self._connected)
        self._client.on_disconnect = self._guarded(self._disconnected)
        self._client.on_subscribe = self._guarded(self._subscribed)
        self._client.on_message = self._guarded(self._message)
        self._client.on_publish = self._guarded(self._published)

    def start(self) -> None:
        """Connect in the background, again and again until it works."""
        self._mqtt.start(self._client, self._endpoint)
        self._started = True

    @property
    def connected(self) -> bool:
        """Whether the broker is there now and has answered our subscription.

        Before that paho may still be repeating what was in flight when the last connection broke,
        and what we say now would overtake it.
        """
        if self._guard is not None and not self._guard.open:
            return False
        return self._granted and self._client.is_connected() and self.alive

    @property
    def alive(self) -> bool:
        """Whether the network thread lives, if it was started."""
        return not self._started or self._mqtt.is_alive(self._client)

    @property
    def queue_depth(self) -> int:
        """Messages that wait to be journaled."""
        return len(self._inbox)

    def drain(self, limit: int) -> list[Incoming]:
        """Take up to `limit` messages from the queue, oldest first.

        When it was full and is empty again, connect anew: the broker then repeats what was dropped.
        Without this it would soon send nothing at all: unacknowledged messages fill its window.
        """
        if self._guard is not None and not self._guard.open:
            return []  # whoever replaced us must get it: it is not ours to acknowledge
        taken = self._inbox.take(limit)
        if self._owed and not taken and not self._inbox and self.connected:
            self._owed = False
            self.counts.asked_again += 1
            self._mqtt.stop(self._client)
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

        None when it was not taken, as without a connection.
        """
        claims = self._guard is not None and topic == self._guard.topic
        if self.connected or (claims and self._granted):
            info = self._client.publish(topic, payload, qos, retain)
            if self._mqtt.was_taken(info, qos=qos):
                mid: int = info.mid
                return mid
        self.counts.not_sent += 1
        return None

    def listen(self, filters: Sequence[str]) -> None:
        """Subscribe to more, with QoS 0, over this connection."""
        self._client.subscribe([(name, 0) for name in filters])

    def unlisten(self, filters: Sequence[str]) -> None:
        """Take that back."""
        self._client.unsubscribe(list(filters))

    def confirmed(self) -> list[int]:
        """Ids of publications that the broker has confirmed since the last call."""
        taken = []
        while self._confirmed:
            taken.append(self._confirmed.popleft())
        return taken

    def stop(self) -> None:
        """Disconnect cleanly; the last will stays unsaid, so say goodbye before."""
        self._started = False
        self._mqtt.stop(self._client)

    # On paho's thread: an exception would end it and leave is_connected() true for ever.

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Any) -> None:  # noqa: ANN401
            try:
                callback(*args)
            except Exception as error:  # noqa: BLE001 - see above; counted and published
                self.counts.callback_errors += 1
                self.callback_error = f"{type(error).__name__}: {error}"[:200]

        return call

    def _connected(self, client: Any, *details: Any) -> None:  # noqa: ANN401
        _data, flags, reason, _properties = details
        self._granted = False
        if reason.is_failure:
            self.counts.refused += 1
            self.refusal = f"connection refused: {reason}"
            self._wake.set()
            return
        self.counts.connects += 1
        self.resumed = bool(flags.session_present)
        self._owed = False
        if self._guard is None:
            client.subscribe(self._filters)
            return
        self._guard.opened()
        client.subscribe([*self._filters, (self._guard.topic, 0)])
        self.listen([self._guard.topic])  # what is retained there comes before this is answered

    def _disconnected(self, *_args: Any) -> None:  # noqa: ANN401
        self._granted = False
        if self._guard is not None:
            self._guard.closed()
        self.counts.disconnects += 1
        self._wake.set()

    def _subscribed(self, _c: Any, _d: Any, _mid: int, reasons: Sequence[Any], _p: Any) -> None:  # noqa: ANN401
        if self._guard is not None:
            self._guard.answered()
            if self._granted:  # a further subscription, of the guard
                self._wake.set()
                return
        names = [name for name, _ in self._filters]
        refused = [n for n, reason in zip(names, reasons, strict=False) if reason.is_failure]
        self.counts.refused += len(refused)
        self.refusal = f"subscription to {', '.join(refused)} refused" if refused else ""
        self._granted = True  # whatever it was: the gateway is there and has to say what is wrong
        self._on_connected()
        self._wake.set()

    def _message(self, client: Any, _data: Any, message: Any) -> None:  # noqa: ANN401
        oversize = len(message.payload) > PAYLOAD_BYTES_MAX
        came = self._mqtt.incoming(message, self.counts.connects, cut=oversize)
        if self._guard is not None and self._guard.take(
            came.topic, came.payload, retain=came.retain
        ):
            client.ack(came.mid, came.qos)
            self._wake.set()
            return
        self.counts.received += 1
        self.counts.oversize += oversize
        if not self._inbox.put(came):
            # Not acknowledged: the broker keeps QoS 1 and sends it again on the next connection.
            self.counts.dropped_queue_full += 1
            self._owed = self._owed or message.qos > 0
            return
        if not self._wake.is_set():
            self._wake.set()

    def _published(self, _client: Any, _data: Any, mid: int, _reason: Any, _p: Any) -> None:  # noqa: ANN401
        self._confirmed.append(mid)
        self._wake.set()  # the next revision of that topic may go
