"""A client as paho has it, on connections that keep the order of packets, as TCP does.

What breaks with a connection is lost from some packet on, in each direction by itself. What was in
flight is sent again with the next one. Messages that came and were not read yet are read together,
on some connections after a while, and before any other packet that came behind them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from paho.mqtt.enums import MQTTErrorCode

from edge.brokers.inbox import Incoming

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sim_gateway.broker import Broker
    from tests.sim_gateway.fate import Fate

RETRY_S_MAX: Final = 8.0
READ_AFTER_S: Final = (0.0, 0.001, 0.02)  # by the connection's number
OK: Final = SimpleNamespace(is_failure=False)
REFUSED: Final = SimpleNamespace(is_failure=True)


@dataclass(slots=True)
class Message:
    """A message at the broker. `number`: of its publication, for whoever counts."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    number: int = -1


@dataclass(eq=False)
class Connection:
    """One TCP connection: two directions, each in order."""

    client: Client
    number: int
    alive: bool = True
    _last_s: dict[bool, float] = field(default_factory=lambda: {True: 0.0, False: 0.0})

    def send(self, happens: Callable[[], None], *, up: bool, waits: bool = False) -> None:
        """Have a packet arrive, unless the connection ends before. waits: it may stay unread."""
        broker, fate = self.client.broker, self.client.fate
        net, now_s = broker.network, fate.time.now_s
        took_s = net.delay_s + net.jitter_s * fate.draw.random()
        at_s = max(self._last_s[up], now_s + took_s, net.silent_until_s)
        self._last_s[up] = at_s

        def arrives() -> None:
            if self.alive and (up or self is self.client.connection):
                if not up and not waits:
                    self.client.read()
                happens()

        fate.time.at(at_s, arrives)


class Client:
    """A client as `edge.brokers.link` uses paho's: ids, repetition, callbacks."""

    def __init__(self, broker: Broker, fate: Fate) -> None:
        self.broker, self.fate = broker, fate
        self.connection: Connection | None = None
        self.started = self.thread_ended = self._greeted = False
        self.out: dict[int, Message] = {}  # not confirmed
        self._mid, self._retry_s, self._tries = 0, 1.0, 0
        self.will: Message | None = None
        self.in_flight_max = 0
        # of why a connection failed there is little to say
        self.reasons: Any = SimpleNamespace(
            answered=lambda reason: "refused" if reason.is_failure else "",
            ended=lambda _reason: None,
            failure=None,
            closed_by_broker=False,
            spans=[],
        )
        self.on_connect_fail: Any = None
        self.on_unsubscribe: Any = None
        self._greeting = False
        self.on_connect: Any = None
        self.on_disconnect: Any = None
        self.on_subscribe: Any = None
        self.on_message: Any = None
        self.on_batch: Any = None
        self.on_pause: Any = None
        self.came_over = (0, "")
        self.reads_plainly = ""
        self._unread: list[tuple[int, Message, bool]] = []
        self.on_publish: Any = None

    def max_inflight_messages_set(self, count: int) -> None:
        """A bound of paho's; ours is smaller."""
        self.in_flight_max = count

    def max_queued_messages_set(self, count: int) -> None:
        """Likewise."""

    def will_set(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """What the broker says when the connection breaks."""
        self.will = Message(topic, payload, qos, retain)

    def reconnect_delay_set(self, least: int, most: int) -> None:
        """It has delays of its own."""

    def is_connected(self) -> bool:
        """Whether it thinks so."""
        return self._greeted

    # --- what the gateway does ---

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> Any:  # noqa: ANN401, FBT001
        """Send now or, of QoS 1, with the next connection."""
        self.broker.sends(topic)
        self.fate.end(f"publish {topic}")
        self._mid += 1
        message = Message(topic, payload, qos, retain)
        if qos:
            self.out[self._mid] = message
        if not self._greeted:
            return SimpleNamespace(rc=MQTTErrorCode.MQTT_ERR_NO_CONN, mid=self._mid)
        self._send(self._mid, message, dup=False)
        return SimpleNamespace(rc=MQTTErrorCode.MQTT_ERR_SUCCESS, mid=self._mid)

    def ack(self, mid: int, qos: int) -> None:
        """A message is safe."""
        if qos == 0:
            return
        self.fate.end("ack")
        connection = self.connection
        if connection is not None:
            if self.broker.promised is not None:
                self.broker.promised(connection, mid)
            connection.send(lambda: self.broker.acked(connection, mid), up=True)

    def ack_all(self, mids: list[int]) -> None:
        """Messages are safe; the process may end when some of it has left."""
        for mid in mids:
            self.ack(mid, 1)

    def subscribe(self, filters: list[tuple[str, int]]) -> None:
        """From a callback: the broker answers."""
        connection = self.connection
        if connection is None:
            return
        names = [name for name, _ in filters]
        if not self._greeting:  # the loop asks for what is retained
            self.fate.end("subscribe")
            connection.send(lambda: self.broker.asked(connection, names), up=True)
            return
        connection.send(lambda: self.broker.subscribes(connection, names), up=True)

    def unsubscribe(self, names: list[str]) -> None:
        """The loop has heard what is retained."""
        self.fate.end(f"unsubscribe {len(names)}")
        connection = self.connection
        if connection is not None:
            connection.send(lambda: self.broker.left(connection), up=True)

    def start(self) -> None:
        """The network thread begins, where it does not run already."""
        if self.started and not self.thread_ended:
            return
        self.started, self.thread_ended = True, False
        self._tries += 1
        self._retry_s = 1.0
        self._try(self._tries)

    def stop(self) -> None:
        """A clean goodbye: what was sent arrives, and the will is not said."""
        self.started = False
        connection, self.connection = self.connection, None
        if connection is not None and connection.alive:
            connection.send(lambda: self.broker.goodbye(connection), up=True)
        self._lost(tell=self._greeted)

    def vanish(self) -> None:
        """The process has ended: no callback runs any more, the system resets the connection."""
        self.started = False
        connection, self.connection = self.connection, None
        if connection is not None:
            self.broker.lost(connection)
        self._tries += 1
        self.on_connect = self.on_disconnect = self.on_subscribe = None
        self.on_message = self.on_batch = self.on_pause = self.on_publish = None
        self._greeted = False

    # --- what happens on its thread ---

    def _try(self, attempt: int) -> None:
        fate, net = self.fate, self.broker.network
        if not self.started or self.thread_ended or attempt != self._tries:
            return
        if not net.up or self.broker.down or net.silent_until_s > fate.time.now_s:
            self._again()
            return
        connection = self.connection = Connection(self, self.broker.next_number())
        if self.broker.refuses:
            connection.send(lambda: self._refused(connection), up=False)
            return
        connection.send(lambda: self.broker.connects(connection), up=True)

    def _again(self) -> None:
        self._tries += 1
        attempt = self._tries
        self.fate.time.at(self.fate.time.now_s + self._retry_s, lambda: self._try(attempt))
        self._retry_s = min(2 * self._retry_s, RETRY_S_MAX)

    def _refused(self, connection: Connection) -> None:
        connection.alive = False
        if self.on_connect is not None:
            self.on_connect(self, None, SimpleNamespace(session_present=False), REFUSED, None)
            self._lost(tell=True)

    def greeted(self, *, session_present: bool) -> None:
        """CONNACK."""
        self._greeted, self._retry_s = True, 1.0
        flags = SimpleNamespace(session_present=session_present)
        self._greeting = True
        self.on_connect(self, None, flags, OK, None)
        self._greeting = False
        if self.connection is not None:
            for mid, message in self.out.items():  # paho repeats what was in flight, right behind
                self._send(mid, message, dup=True)

    def broken(self, connection: Connection) -> None:
        """The connection has ended."""
        if connection is self.connection:
            self.connection = None
            self._lost(tell=True)

    def _lost(self, *, tell: bool) -> None:
        self._greeted = False
        self._unread.clear()
        if tell and self.on_disconnect is not None:
            self.on_disconnect(self, None, None, None, None)
        if self.started:
            self._again()

    def receive(self, mid: int, message: Message, *, dup: bool) -> None:
        """PUBLISH."""
        self._unread.append((mid, message, dup))
        if len(self._unread) == 1:
            assert self.connection is not None
            later_s = READ_AFTER_S[self.connection.number % len(READ_AFTER_S)]
            self.fate.time.at(self.fate.time.now_s + later_s, self.read)

    def read(self) -> None:
        """What has come until now."""
        unread, self._unread = self._unread, []
        if not unread or self.on_batch is None:
            return
        now_ns, (connection, link) = self.fate.time.wall_ns(), self.came_over
        self.on_batch(
            [
                Incoming(m.topic, m.payload, m.qos, m.retain, dup, mid, now_ns, connection, link)
                for mid, m, dup in unread
            ]
        )
        self.on_pause()

    def confirmed(self, mid: int) -> None:
        """PUBACK."""
        if self.out.pop(mid, None) is not None and self.on_publish is not None:
            self.on_publish(self, None, mid, OK, None)

    def _send(self, mid: int, message: Message, *, dup: bool) -> None:
        connection = self.connection
        assert connection is not None
        connection.send(lambda: self.broker.published(connection, mid, message, dup=dup), up=True)
