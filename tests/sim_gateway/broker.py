"""A broker, and a client as paho has it, with a network between them that delays, cuts and stalls.

Within one connection packets keep their order, as TCP has it. What breaks with a connection is lost
from some packet on, in each direction by itself. The broker sends what was not acknowledged again
with the next connection, marked as repeated, and so does the client.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from paho.mqtt.client import topic_matches_sub
from paho.mqtt.enums import MQTTErrorCode

from edge.caps import PAYLOAD_BYTES_MAX
from edge.gateway import mqtt
from edge.gateway.inbox import Incoming

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sim_gateway.fate import Fate

WINDOW: Final = 20  # unacknowledged messages to one client, as mosquitto is installed
QUEUED_MAX: Final = 1_000  # for one client; what is beyond is dropped
RETRY_S_MAX: Final = 8.0
KEEPALIVE_S: Final = 10.0  # after so long a silence both ends give a connection up
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


@dataclass(slots=True)
class Network:
    """What it is like now. A silent one loses nothing and delivers nothing."""

    delay_s: float = 0.001
    jitter_s: float = 0.0
    up: bool = True  # whether connections come about
    silent_until_s: float = 0.0


@dataclass(eq=False)
class Connection:
    """One TCP connection: two directions, each in order."""

    client: Client
    number: int
    alive: bool = True
    _last_s: dict[bool, float] = field(default_factory=lambda: {True: 0.0, False: 0.0})

    def send(self, happens: Callable[[], None], *, up: bool) -> None:
        """Have a packet arrive, unless the connection ends before."""
        broker, fate = self.client.broker, self.client.fate
        net, now_s = broker.network, fate.time.now_s
        took_s = net.delay_s + net.jitter_s * fate.draw.random()
        at_s = max(self._last_s[up], now_s + took_s, net.silent_until_s)
        self._last_s[up] = at_s

        def arrives() -> None:
            if self.alive and (up or self is self.client.connection):
                happens()

        fate.time.at(at_s, arrives)


@dataclass
class Session:
    """What a broker keeps of a client."""

    filters: list[str] = field(default_factory=list)
    queue: deque[Message] = field(default_factory=deque)
    unacked: dict[int, Message] = field(default_factory=dict)
    mid: int = 0


class Client:
    """A client as `edge.gateway.link` uses paho's: ids, repetition, callbacks."""

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
        assert qos == 1
        self.fate.end("ack")
        connection = self.connection
        if connection is not None:
            if self.broker.promised is not None:
                self.broker.promised(connection, mid)
            connection.send(lambda: self.broker.acked(connection, mid), up=True)

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
        for mid, message in self.out.items():  # paho repeats what was in flight, right behind
            self._send(mid, message, dup=True)

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
        self.on_message = self.on_publish = None
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

    def broken(self, connection: Connection) -> None:
        """The connection has ended."""
        if connection is self.connection:
            self.connection = None
            self._lost(tell=True)

    def _lost(self, *, tell: bool) -> None:
        self._greeted = False
        if tell and self.on_disconnect is not None:
            self.on_disconnect(self, None, None, None, None)
        if self.started:
            self._again()

    def receive(self, mid: int, message: Message, *, dup: bool) -> None:
        """PUBLISH."""
        if self.on_message is not None:
            told = SimpleNamespace(
                topic=message.topic, payload=message.payload, qos=message.qos,
                retain=message.retain, dup=dup, mid=mid,
            )  # fmt: skip
            self.on_message(self, None, told)

    def confirmed(self, mid: int) -> None:
        """PUBACK."""
        if self.out.pop(mid, None) is not None and self.on_publish is not None:
            self.on_publish(self, None, mid, OK, None)

    def _send(self, mid: int, message: Message, *, dup: bool) -> None:
        connection = self.connection
        assert connection is not None
        connection.send(lambda: self.broker.published(connection, mid, message, dup=dup), up=True)


class Broker:
    """A broker of one gateway. `heard`: told of every message that the gateway published."""

    def __init__(self, fate: Fate) -> None:
        self.fate = fate
        self.network = Network()
        self.down = self.refuses = self.refuses_filters = False
        self.session: Session | None = None
        self.connection: Connection | None = None
        self.retained: dict[str, bytes] = {}
        self.retained_in: dict[str, Message] = {}  # of the plant
        self.promised: Callable[[Connection, int], None] | None = None
        self.heard: Callable[[str, bytes, bool], None] | None = None
        self.forgot: Callable[[], object] = bool  # told when it loses its store
        self.dropped = self._number = 0

    def next_number(self) -> int:
        """Of a connection."""
        self._number += 1
        return self._number

    # --- the plant's side ---

    def takes(self, message: Message) -> None:
        """A message of the plant or of an operator."""
        if self.down:
            return
        if message.retain:
            self.retained_in[message.topic] = message
        self._queue(Message(message.topic, message.payload, message.qos, False, message.number))  # noqa: FBT003

    def _queue(self, message: Message) -> None:
        session = self.session
        if session is None or not _matches(session.filters, message.topic):
            return
        connected = self.connection is not None
        if message.qos == 0 and not connected:
            return
        if len(session.queue) >= QUEUED_MAX:
            self.dropped += 1
            return
        session.queue.append(message)
        self._pump()

    def _pump(self) -> None:
        session, connection = self.session, self.connection
        while session and connection and session.queue and len(session.unacked) < WINDOW:
            message = session.queue.popleft()
            session.mid = session.mid % 65_535 + 1
            if message.qos:
                session.unacked[session.mid] = message
            self._push(connection, session.mid, message, dup=False)

    def _push(self, connection: Connection, mid: int, message: Message, *, dup: bool) -> None:
        connection.send(lambda: connection.client.receive(mid, message, dup=dup), up=False)

    @property
    def waiting(self) -> int:
        """Messages that the gateway has not acknowledged."""
        return len(self.session.queue) + len(self.session.unacked) if self.session else 0

    # --- the gateway's side ---

    def connects(self, connection: Connection) -> None:
        """CONNECT; a session goes on where it was."""
        if self.connection is not None:
            before = self.connection
            self.lost(before)  # one client id, one connection
            before.client.broken(before)
        self.connection = connection
        present = self.session is not None
        self.session = session = self.session or Session()
        connection.send(lambda: connection.client.greeted(session_present=present), up=False)
        for mid, message in session.unacked.items():
            self._push(connection, mid, message, dup=True)
        self._pump()

    def subscribes(self, connection: Connection, names: list[str]) -> None:
        """SUBSCRIBE; what is retained follows."""
        if connection is not self.connection or self.session is None:
            return
        reasons = [REFUSED if self.refuses_filters else OK for _ in names]
        self.session.filters = [] if self.refuses_filters else names
        client = connection.client
        connection.send(
            lambda: client.on_subscribe and client.on_subscribe(client, None, 1, reasons, None),
            up=False,
        )
        for topic, message in self.retained_in.items():
            if _matches(self.session.filters, topic):
                self.session.queue.append(message)
        self._pump()

    def asked(self, connection: Connection, names: list[str]) -> None:
        """SUBSCRIBE to what the gateway itself has said."""
        client = connection.client
        if connection is not self.connection:
            return
        for topic, payload in list(self.retained.items()):
            if _matches(names, topic):
                self._push(connection, 0, Message(topic, payload, 0, retain=True), dup=False)
        connection.send(
            lambda: client.on_subscribe and client.on_subscribe(client, None, 2, [OK], None),
            up=False,
        )

    def left(self, connection: Connection) -> None:
        """UNSUBSCRIBE."""
        client = connection.client
        connection.send(
            lambda: client.on_unsubscribe and client.on_unsubscribe(client, None, 3, [], None),
            up=False,
        )

    def acked(self, connection: Connection, mid: int) -> None:
        """PUBACK of a message of the plant."""
        if connection is self.connection and self.session is not None:
            self.session.unacked.pop(mid, None)
            self._pump()

    def published(self, connection: Connection, mid: int, message: Message, *, dup: bool) -> None:
        """PUBLISH of the gateway."""
        if connection is not self.connection:
            return
        self._hear(message, dup=dup)
        if message.qos:
            connection.send(lambda: connection.client.confirmed(mid), up=False)

    def _hear(self, message: Message, *, dup: bool) -> None:
        if message.retain:
            self.retained[message.topic] = message.payload
        if self.heard is not None:
            self.heard(message.topic, message.payload, dup)

    def goodbye(self, connection: Connection) -> None:
        """DISCONNECT."""
        connection.alive = False
        if connection is self.connection:
            self.connection = None

    def lost(self, connection: Connection) -> None:
        """A connection ends without a goodbye: its will is said."""
        if not connection.alive:
            return
        connection.alive = False
        if connection is self.connection:
            self.connection = None
            if connection.client.will is not None:
                self._hear(connection.client.will, dup=False)

    # --- what befalls it ---

    def cut(self) -> None:
        """The connection breaks, and both ends notice."""
        connection = self.connection
        if connection is not None:
            self.lost(connection)
            connection.client.broken(connection)

    def silence(self, seconds: float) -> None:
        """Nothing arrives for a while; beyond the keepalive the connection is lost."""
        now_s = self.fate.time.now_s
        self.network.silent_until_s = now_s + seconds
        if seconds > KEEPALIVE_S:
            self.fate.time.at(now_s + KEEPALIVE_S, self.cut)

    def restart(self, *, with_store: bool, down_s: float) -> None:
        """It ends, and comes again after a while, with what it knew or without."""
        self.cut()
        self.down = True
        self.fate.note(f"broker restarts {'with' if with_store else 'without'} its store")
        if not with_store:
            self.forgot()
            self.session = None
            self.retained.clear()
            self.retained_in.clear()
        self.fate.time.at(self.fate.time.now_s + down_s, lambda: setattr(self, "down", False))


class SimulatedMqtt:
    """What `edge.gateway.mqtt` is to a link, without a network."""

    def __init__(self, broker: Broker, fate: Fate) -> None:
        self._broker, self._fate = broker, fate
        self.client: Client | None = None
        self.was_taken = mqtt.was_taken

    def new_client(self, endpoint: Any, *, persistent: bool, manual_ack: bool = False) -> Client:  # noqa: ANN401
        """The client of a new process."""
        assert endpoint.client_id
        assert persistent
        assert manual_ack
        self.client = Client(self._broker, self._fate)
        return self.client

    def start(self, client: Client, endpoint: Any) -> None:  # noqa: ANN401
        """Connect, again and again."""
        assert endpoint.client_id
        self._fate.end("start")
        client.start()

    def stop(self, client: Client) -> None:
        """Disconnect."""
        self._fate.end("stop")
        client.stop()

    def is_alive(self, client: Client) -> bool:
        """Whether its thread lives."""
        return client.started and not client.thread_ended

    def topic_of(self, m: Any) -> str:  # noqa: ANN401
        """A message's topic."""
        return str(m.topic)

    def incoming(
        self,
        m: Any,  # noqa: ANN401
        connection: int = 0,
        *,
        cut: bool = False,
        link: str = "",
    ) -> Incoming:
        """A message as the inbox has it."""
        payload = m.payload[: PAYLOAD_BYTES_MAX + 1] if cut else m.payload
        now_ns = self._fate.time.wall_ns()
        return Incoming(m.topic, payload, m.qos, m.retain, m.dup, m.mid, now_ns, connection, link)


def _matches(filters: list[str], topic: str) -> bool:
    return any(topic_matches_sub(name, topic) for name in filters)
