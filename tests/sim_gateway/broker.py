"""A broker behind a network that delays, cuts and stalls.

The broker sends what was not acknowledged again with the next connection, marked as repeated.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from paho.mqtt.client import topic_matches_sub

from edge.brokers import mqtt
from tests.sim_gateway.client import OK, REFUSED, Client, Connection, Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.brokers.inbox import Incoming
    from tests.sim_gateway.fate import Fate

WINDOW: Final = 20  # unacknowledged messages to one client, as mosquitto is installed
QUEUED_MAX: Final = 1_000  # for one client; what is beyond is dropped
FENCE: Final = "andon/s/fence"
KEEPALIVE_S: Final = 10.0  # after so long a silence both ends give a connection up


@dataclass(slots=True)
class Network:
    """What it is like now. A silent one loses nothing and delivers nothing."""

    delay_s: float = 0.001
    jitter_s: float = 0.0
    up: bool = True  # whether connections come about
    silent_until_s: float = 0.0


@dataclass
class Session:
    """What a broker keeps of a client."""

    filters: list[str] = field(default_factory=list)
    queue: deque[Message] = field(default_factory=deque)
    unacked: dict[int, Message] = field(default_factory=dict)
    mid: int = 0


class Broker:
    """A broker of one gateway. `heard`: told of every message that the gateway published."""

    def __init__(self, fate: Fate) -> None:
        self.fate = fate
        self.network = Network()
        self.down = self.refuses = self.refuses_filters = False
        self.session: Session | None = None
        self.connection: Connection | None = None
        self.retained: dict[str, bytes] = {}  # newest word of each such topic
        self.keeps = True  # and whether it hands them to who subscribes; else it forgets at once
        self.stored: dict[str, bytes] | None = None  # what stands in its store; None: all of them
        self.retained_in: dict[str, Message] = {}  # of the plant
        self.promised: Callable[[Connection, int], None] | None = None
        self.heard: Callable[[str, bytes, bool], None] | None = None
        self.sends: Callable[[str], object] = bool  # told of every topic as the gateway publishes
        self.forgot: Callable[[], object] = bool  # told when it loses its store,
        self.began: Callable[[], object] = bool  # and when another process connects
        self._client: Client | None = None  # of the process that did so last
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

    def told(self, topic: str, payload: bytes) -> None:
        """Another box says something that is retained."""
        if not self.down:
            self.fate.note(f"told {topic}", payload)
            self._retain(topic, payload)

    def _retain(self, topic: str, payload: bytes) -> None:
        """Keep it, and send it to the gateway where that has subscribed to it, as with QoS 0."""
        self.retained[topic] = payload
        if not payload:
            del self.retained[topic]
        self._queue(Message(topic, payload, 0, retain=False))

    def _queue(self, message: Message) -> None:
        session = self.session
        if session is None or not _matches(session.filters, message.topic):
            return
        if message.qos == 0:  # waits for nothing, and is lost where nobody is there
            if self.connection is not None:
                self._push(self.connection, 0, message, dup=False)
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
            session.unacked[session.mid] = message
            self._push(connection, session.mid, message, dup=False)

    def _push(self, connection: Connection, mid: int, message: Message, *, dup: bool) -> None:
        client = connection.client
        connection.send(lambda: client.receive(mid, message, dup=dup), up=False, waits=True)

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
        if connection.client is not self._client:
            self._client = connection.client
            self.began()
        self.connection = connection
        present = self.session is not None
        self.session = session = self.session or Session()
        connection.send(lambda: connection.client.greeted(session_present=present), up=False)
        for mid, message in session.unacked.items():
            self._push(connection, mid, message, dup=True)
        self._pump()

    def subscribes(self, connection: Connection, names: list[str]) -> None:
        """SUBSCRIBE, to more than before; what is retained follows."""
        if connection is not self.connection or self.session is None:
            return
        reasons = [REFUSED if self.refuses_filters else OK for _ in names]
        more = [name for name in names if name not in self.session.filters]
        self.session.filters = [] if self.refuses_filters else [*self.session.filters, *more]
        client = connection.client
        connection.send(
            lambda: client.on_subscribe and client.on_subscribe(client, None, 1, reasons, None),
            up=False,
        )
        if self.refuses_filters:
            return
        self._hand(connection, names)
        for topic, message in self.retained_in.items():
            if _matches(names, topic) and message.qos:
                self.session.queue.append(message)
        self._pump()

    def asked(self, connection: Connection, names: list[str]) -> None:
        """SUBSCRIBE to what the gateway itself has said."""
        client = connection.client
        if connection is not self.connection:
            return
        self._hand(connection, names)
        connection.send(
            lambda: client.on_subscribe and client.on_subscribe(client, None, 2, [OK], None),
            up=False,
        )

    def _hand(self, connection: Connection, names: list[str]) -> None:
        """What is retained, to who has subscribed to it."""
        for topic, payload in list(self.retained.items()):
            if self.keeps and _matches(names, topic):
                self._push(connection, 0, Message(topic, payload, 0, retain=True), dup=False)

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
            self._retain(message.topic, message.payload)
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

    def store(self, every_s: float) -> None:
        """From now on what it retains is in its store as it was at times, but for `fence`."""
        self.stored = {topic: one for topic, one in self.retained.items() if topic != FENCE}
        self.fate.time.at(self.fate.time.now_s + every_s, lambda: self.store(every_s))

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
        elif self.stored is not None:  # it was killed, and wrote them minutes ago
            self.forgot()
            fence = {FENCE: self.retained[FENCE]} if FENCE in self.retained else {}
            self.retained = self.stored | fence
        self.fate.time.at(self.fate.time.now_s + down_s, lambda: setattr(self, "down", False))


class SimulatedMqtt:
    """What `edge.brokers.mqtt` is to a link, without a network."""

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

    def incoming(self, _m: Any, _connection: int = 0, _link: str = "") -> Incoming:  # noqa: ANN401
        """Messages come in batches here."""
        raise AssertionError("no message by itself")


def _matches(filters: list[str], topic: str) -> bool:
    return any(topic_matches_sub(name, topic) for name in filters)
