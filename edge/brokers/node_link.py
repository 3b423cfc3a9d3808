"""The connection of a node of Sparkplug B: each has a number, which its last will and births name.

    CONNECT with the will of the next number -> subscribed -> `session` is that number -> gone: None

The number is drawn when there is a socket, just before CONNECT is sent: one of each, as the
specification wants, and none for a broker that is not there. Nothing waits over a connection: what
was published and not sent is lost with it, and who publishes names the session that it is meant
for. Callbacks only note, and never raise.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.brokers.endpoint import Endpoint
    from edge.brokers.inbox import Incoming
    from edge.brokers.transport import Transport
    from edge.wire.sparkplug_node import Message

COMMANDS_MAX: Final = 100  # that nobody has taken yet


class NodeLink:
    """One client, over any number of reconnections, until it is stopped."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        filters: Sequence[str],
        next_session: Callable[[], int],
        death: Callable[[int], Message],
        transport: Transport,
    ) -> None:
        """next_session: called on the network thread; it has to be kept before it returns.

        death: what is said when a session is over. Raises BrokerError for certificates that cannot
        be read.
        """
        self._endpoint, self._mqtt, self._filters = endpoint, transport, list(filters)
        self._next_session, self._death = next_session, death
        self._lock = threading.Lock()  # nothing may be said into a session that is not its own
        self._drawn: int | None = None  # of the connection that is being made, or stands
        self._session: int | None = None
        self._commands: deque[Incoming] = deque(maxlen=COMMANDS_MAX)
        self.cause = ""  # why there is no session
        client = self._client = transport.new_client(endpoint, persistent=False)
        client.on_socket_open = self._guarded(self._opens)
        client.on_connect = self._guarded(self._connected)
        client.on_subscribe = self._guarded(self._subscribed)
        client.on_disconnect = self._guarded(self._ended)
        client.on_connect_fail = self._guarded(self._failed)
        client.on_message = self._guarded(self._came)
        client.on_batch = self._guarded(self._commands.extend)

    def start(self) -> None:
        """Connect in the background, again and again until it works."""
        self._mqtt.start(self._client, self._endpoint)

    @property
    def session(self) -> int | None:
        """Number of the connection that stands, where commands can reach us; None: none does."""
        return self._session

    @property
    def alive(self) -> bool:
        """Whether the network thread lives."""
        return self._mqtt.is_alive(self._client)

    @property
    def busy(self) -> bool:
        """Whether something that was published is not sent yet: more would only pile up."""
        return bool(self._client.want_write())

    def publish(self, message: Message, *, session: int) -> bool:
        """Say something, QoS 0 and not retained, if its session still stands; whether it does."""
        with self._lock:
            if session != self._session:
                return False
            info = self._client.publish(message.topic, message.payload, qos=0, retain=False)
            return self._mqtt.was_taken(info, qos=0)

    def take(self) -> list[Incoming]:
        """Commands that have come since the last call, in order."""
        return [self._commands.popleft() for _ in range(len(self._commands))]

    def stop(self) -> None:
        """Say that the session is over, since a clean end keeps the last will unsaid, and end it.

        Waits for a moment where the broker takes nothing.
        """
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            death = self._death(session)
            self._client.publish(death.topic, death.payload, qos=1, retain=False)
        self._mqtt.stop(self._client)

    # On paho's thread: an exception would end it and leave is_connected() true for ever.

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Any) -> None:  # noqa: ANN401
            try:
                callback(*args)
            except Exception as error:  # noqa: BLE001 - see above; told as the cause
                self._session = None
                self.cause = f"{type(error).__name__}: {error}"[:200]

        return call

    def _opens(self, client: Any, *_: Any) -> None:  # noqa: ANN401
        """There is a socket, and CONNECT is not sent yet: this is the last moment for a will."""
        with self._lock:
            self._session = None
        self._drawn = self._next_session()
        death = self._death(self._drawn)
        client.will_set(death.topic, death.payload, qos=1, retain=False)

    def _connected(self, client: Any, *details: Any) -> None:  # noqa: ANN401
        _data, _flags, reason, _properties = details
        self.cause = self._client.reasons.answered(reason)
        if not self.cause:
            self._commands.clear()  # of an earlier session
            client.subscribe([(name, 1) for name in self._filters])

    def _subscribed(self, *details: Any) -> None:  # noqa: ANN401
        _client, _data, _mid, reasons, _properties = details
        refused = [n for n, one in zip(self._filters, reasons, strict=False) if one.is_failure]
        # it can speak all the same, and not be asked for its births
        self.cause = f"subscription to {', '.join(refused)} refused" if refused else ""
        with self._lock:
            self._session = self._drawn

    def _ended(self, *details: Any) -> None:  # noqa: ANN401
        with self._lock:
            self._session = None
        _client, _data, _flags, reason, _properties = details
        failure = self._client.reasons.ended(reason)
        self.cause = "the connection ended" if failure is None else failure.cause

    def _failed(self, *_: Any) -> None:  # noqa: ANN401
        with self._lock:
            self._session = None
        failure = self._client.reasons.failure
        self.cause = "no answer" if failure is None else failure.cause

    def _came(self, _client: Any, _data: Any, message: Any) -> None:  # noqa: ANN401
        self._commands.append(self._mqtt.incoming(message))
