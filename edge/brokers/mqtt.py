"""MQTT: the only importer of paho.

Callbacks only queue; nothing here decodes, decides or waits for the engine. The gateway's own
connection is `edge.brokers.link`; `Publisher` is for replays: QoS 1 with a window, so that nothing
is lost and nothing piles up; `Collector` is for recordings.

paho says only that a connection failed; `Client` keeps why, for whoever has to mend it.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import paho.mqtt.client as paho
from paho.mqtt import __version__ as paho_version
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.exception import MalformedPacket

from edge.brokers.failures import Reasons, speaks_tls
from edge.brokers.inbox import Incoming
from edge.brokers.packets import NO_TEXT
from edge.brokers.read_ahead import ReadAhead
from edge.brokers.tls import context_of, span_of_peer
from edge.errors import AndonError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.brokers.endpoint import Endpoint
    from edge.brokers.failures import Failure
    from edge.brokers.tls import Span

RECONNECT_S_MAX: Final = 30
CONNECT_S_MAX: Final = 10.0
GOODBYE_S_MAX: Final = 0.7  # for what is still to be sent when we disconnect
BREAK_S_MAX: Final = 0.3  # for a network thread to see that its connection is gone
STALL_S_MAX: Final = 120.0  # a replay gives up when nothing is confirmed for so long


class BrokerError(AndonError):
    """The broker cannot be reached or refuses us."""


def incoming(m: paho.MQTTMessage, connection: int = 0, link: str = "") -> Incoming:
    """A message as we keep it."""
    try:
        topic = m.topic
    except UnicodeDecodeError:
        topic = NO_TEXT
    payload, now_ns = bytes(m.payload), time.time_ns()
    return Incoming(topic, payload, m.qos, m.retain, m.dup, m.mid, now_ns, connection, link)


class Client(ReadAhead, paho.Client):
    """A client that reads its certificates at each connection; `reasons` knows why one failed.

    `on_pong` hears of answered pings: from a silent plant nothing else comes.
    """

    errors = MQTTErrorCode
    malformed = MalformedPacket
    on_pong: Callable[[], None] | None = None

    def __init__(self, endpoint: Endpoint, **options: Any) -> None:  # noqa: ANN401 - of paho
        super().__init__(CallbackAPIVersion.VERSION2, client_id=endpoint.client_id, **options)
        self._endpoint = endpoint
        self.reasons = Reasons(endpoint, probe=speaks_tls)
        self.stopping = threading.Event()
        self.recv_total = 0  # calls of the socket, for whoever counts what a message costs
        self.reads_ahead_from(paho_version)

    # What follows overrides paho's own: nothing else of it sees the errors, or ends a wait.

    def _create_socket(self) -> Any:  # noqa: ANN401 - paho's
        self.reasons.opening()
        try:
            return self._opened()
        except (OSError, ConfigError, UnicodeError) as error:
            self.reasons.not_opened(error)
            if isinstance(error, OSError):
                raise
            raise OSError(str(error)) from error  # any other would end paho's thread

    def _opened(self) -> Any:  # noqa: ANN401 - paho's
        files = self._endpoint.tls
        if files is None:
            return super()._create_socket()
        context = context_of(files)  # anew each time: what was renewed on disk counts from now on
        plain = super()._create_socket_connection()
        try:
            name = files.server_name or self._endpoint.host
            made = context.wrap_socket(plain, server_hostname=name)  # its time-out is paho's
        except BaseException:
            plain.close()
            raise
        self.reasons.peer = span_of_peer(made.getpeercert())
        return made

    def _sock_recv(self, bufsize: int) -> bytes:
        self.recv_total += 1
        try:
            came: bytes = super()._sock_recv(bufsize)
        except BlockingIOError:
            raise
        except OSError as error:
            self.reasons.lost = error
            raise
        return came

    def _sock_send(self, buf: bytes | bytearray) -> int:
        try:
            sent: int = super()._sock_send(buf)
        except BlockingIOError:
            raise
        except OSError:
            if self._endpoint.tls is not None:  # it says why before it closes: still unread
                with suppress(OSError):
                    self._sock_recv(1)
            raise
        return sent

    def _reconnect_wait(self) -> None:
        with self._reconnect_delay_mutex:
            before_s, longest_s = self._reconnect_delay, self._reconnect_max_delay
            wait_s = min(2 * before_s, longest_s) if before_s else self._reconnect_min_delay
            self._reconnect_delay = wait_s
        self.stopping.wait(wait_s)  # paho sleeps: whoever stops it then waits for a second

    def _handle_pingresp(self) -> MQTTErrorCode:
        done = super()._handle_pingresp()
        if self.on_pong is not None:
            self.on_pong()
        return done


def new_client(endpoint: Endpoint, *, persistent: bool, manual_ack: bool = False) -> Client:
    """Make a client that is not connected yet. Raises BrokerError for unreadable certificates."""
    client = Client(
        endpoint,
        clean_session=not persistent,
        protocol=paho.MQTTv311,
        manual_ack=manual_ack,
        reconnect_on_failure=True,
    )
    if endpoint.username:
        client.username_pw_set(endpoint.username, endpoint.password)
    if endpoint.tls is not None:
        try:
            context_of(endpoint.tls)  # what is wrong now is told now, not in the background
        except ConfigError as error:
            raise BrokerError(str(error)) from error
    client.reconnect_delay_set(1, RECONNECT_S_MAX)
    return client


def start(client: Client, endpoint: Endpoint) -> None:
    """Connect in the background, again and again until it works."""
    client.stopping.clear()
    client.connect_async(endpoint.host, endpoint.port, endpoint.keepalive_s)
    client.loop_start()


def stop(client: Client) -> None:
    """Disconnect, end the network thread and close what it leaves open.

    Behind a broker that takes nothing any more the goodbye would wait for minutes, and paho with
    it: then the connection is broken off. A thread that still tries to connect ends by itself.
    """
    client.disconnect()
    thread = client._thread  # noqa: SLF001 - paho's own way waits without end
    client._thread_terminate = True  # noqa: SLF001 - likewise
    client.stopping.set()
    if thread is not None and thread is not threading.current_thread():
        thread.join(GOODBYE_S_MAX)
        connection = client.socket()
        if thread.is_alive() and isinstance(connection, socket.socket):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join(BREAK_S_MAX)
        if thread.is_alive():
            return
    client._reset_sockets()  # noqa: SLF001 - else a pair of sockets stays until the collector finds it


def was_taken(info: paho.MQTTMessageInfo, *, qos: int) -> bool:
    """Whether a publication will reach the broker as far as paho can help it.

    When the connection broke just now, paho keeps QoS 1 and sends it with the next one.
    """
    kept = qos > 0 and info.rc == MQTTErrorCode.MQTT_ERR_NO_CONN
    return kept or info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS


def is_alive(client: paho.Client) -> bool:
    """Whether a started client's network thread lives; is_connected() stays true without it."""
    thread = client._thread  # noqa: SLF001 - paho would not tell
    return thread is not None and thread.is_alive()


def _why(client: Client) -> str:
    """Why a client that did not get through has none."""
    failure = client.reasons.failure
    return (
        failure.cause
        if failure is not None
        else "no answer; mend host and port, or what is between here and the broker"
    )


class Publisher:
    """Publishes with QoS 1 and at most `in_flight_max` unconfirmed messages. A context manager."""

    def __init__(self, endpoint: Endpoint, *, in_flight_max: int = 500) -> None:
        self._endpoint = endpoint
        self._in_flight_max = in_flight_max
        self._changed = threading.Condition()
        self._in_flight = 0
        self._failure = ""
        self._client = new_client(endpoint, persistent=False)
        self._client.max_inflight_messages_set(in_flight_max)
        self._client.on_publish = self._published
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._ended
        self._client.on_connect_fail = self._failed
        self.reconnects = -1

    def __enter__(self) -> Self:
        """Connect. Raises BrokerError."""
        start(self._client, self._endpoint)
        deadline_s = time.monotonic() + CONNECT_S_MAX
        with self._changed:
            while not self._client.is_connected():
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or self._failure:
                    break
                self._changed.wait(min(left_s, 0.1))
        if not self._client.is_connected():
            stop(self._client)
            raise BrokerError(f"broker {self._endpoint}: {self._failure or _why(self._client)}")
        return self

    def __exit__(self, *_: object) -> None:
        stop(self._client)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Hand over one message, waiting while too many are unconfirmed, across reconnections.

        Raises BrokerError when none of them is confirmed for STALL_S_MAX.
        """
        assert qos == 1, "the window counts confirmations, and only QoS 1 has them"
        with self._changed:
            before, deadline_s = self._in_flight, time.monotonic() + STALL_S_MAX
            while self._in_flight >= self._in_flight_max:
                self._changed.wait(1.0)
                if self._in_flight >= before and time.monotonic() > deadline_s:
                    raise BrokerError(
                        f"broker {self._endpoint}: nothing confirmed for {STALL_S_MAX:.0f} s"
                        + (f" ({self._failure})" if self._failure else "")
                    )
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
            self._failure = self._client.reasons.answered(reason)
            self.reconnects += 1
            self._changed.notify_all()

    def _ended(self, _c: Any, _d: Any, _flags: Any, reason: Any, _p: Any) -> None:  # noqa: ANN401
        self._note(self._client.reasons.ended(reason))

    def _failed(self, *_args: Any) -> None:  # noqa: ANN401
        self._note(self._client.reasons.failure)

    def _note(self, failure: Failure | None) -> None:
        with self._changed:
            if failure is not None and failure.refused:
                self._failure = failure.cause
            self._changed.notify_all()


@dataclass(slots=True)
class Collector:
    """Subscribes and hands everything over, in order, through `queue`. A context manager.

    patient: a broker that is away may still come while we come in; else that is told at once.
    """

    endpoint: Endpoint
    filters: Sequence[str]
    queue: deque[Incoming] = field(default_factory=deque)
    queue_max: int = 1_000_000
    patient: bool = True
    dropped: int = 0
    arrived: threading.Event = field(default_factory=threading.Event)
    _client: Client | None = None
    _granted: threading.Event = field(default_factory=threading.Event)
    _failure: str = ""

    def __enter__(self) -> Self:
        """Connect and subscribe; returns when the broker has granted it. Raises BrokerError."""
        client = new_client(self.endpoint, persistent=False)
        self._client = client
        client.on_message = lambda _c, _d, message: self._came([incoming(message)])
        client.on_batch = self._came
        client.on_connect = self._connected
        client.on_disconnect = self._ended
        client.on_connect_fail = self._failed
        client.on_subscribe = self._subscribed
        start(client, self.endpoint)
        if not self._granted.wait(CONNECT_S_MAX) or self._failure:
            stop(client)
            raise BrokerError(f"broker {self.endpoint}: {self._failure or _why(client)}")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._client is not None
        stop(self._client)

    @property
    def spans(self) -> list[Span]:
        """Until when what TLS rests on holds."""
        return [] if self._client is None else self._client.reasons.spans

    def _connected(self, client: Any, _d: Any, _flags: Any, reason: Any, _p: Any) -> None:  # noqa: ANN401
        self._failure = client.reasons.answered(reason)
        if self._failure:
            self._granted.set()
            return
        client.subscribe([(name, 1) for name in self.filters])

    def _ended(self, client: Any, _d: Any, _flags: Any, reason: Any, _p: Any) -> None:  # noqa: ANN401
        self._note(client.reasons.ended(reason))

    def _failed(self, client: Any, _d: Any) -> None:  # noqa: ANN401
        self._note(client.reasons.failure)

    def _note(self, failure: Failure | None) -> None:
        """What refuses us while we come in is told at once; later it is tried again and again."""
        if failure is None or self._granted.is_set():
            return
        if failure.refused or not self.patient:
            self._failure = failure.cause
            self._granted.set()

    def _subscribed(self, _c: Any, _d: Any, _mid: int, reasons: Sequence[Any], _p: Any) -> None:  # noqa: ANN401
        refused = [
            name for name, reason in zip(self.filters, reasons, strict=False) if reason.is_failure
        ]
        if refused:
            self._failure = f"subscription to {', '.join(refused)} refused"
        self._granted.set()

    def _came(self, messages: list[Incoming]) -> None:
        room = self.queue_max - len(self.queue)
        if room < len(messages):
            self.dropped += len(messages) - max(room, 0)
            messages = messages[: max(room, 0)]
        self.queue += messages
        self.arrived.set()
