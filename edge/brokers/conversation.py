"""A connection of who is no gateway: hears retained and live messages, and says a word at times.

Nothing of it lasts: each connection begins a session, subscribes anew, and so hears again whatever
is retained. `generation` counts these, so that who listens knows what was said over which.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Self

from edge.brokers import mqtt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.brokers.endpoint import Endpoint
    from edge.brokers.inbox import Incoming

WAITING_MAX: Final = 50_000  # messages that nobody has taken yet; beyond it they are dropped


class Conversation:
    """One connection, over any number of reconnections. A context manager."""

    def __init__(
        self, endpoint: Endpoint, *, filters: Sequence[str], wake: Callable[[], None]
    ) -> None:
        """`wake` is called on the network thread.

        Raises BrokerError for unreadable certificates.
        """
        self._endpoint, self._filters, self._wake = endpoint, list(filters), wake
        self._waiting: deque[tuple[int, Incoming]] = deque()
        self._lock = threading.Lock()
        self.generation = 0  # connections whose subscription the broker has answered
        self.dropped_total = 0  # messages for which there was no room
        self.cause = ""  # why there is no connection
        self.refused: tuple[str, ...] = ()  # filters that the broker did not grant
        self._granted = False
        client = self._client = mqtt.new_client(endpoint, persistent=False)
        client.on_message = lambda _c, _d, message: self._came([mqtt.incoming(message)])
        client.on_batch = self._came
        client.on_connect, client.on_disconnect = self._connected, self._ended
        client.on_connect_fail, client.on_subscribe = self._failed, self._subscribed

    def __enter__(self) -> Self:
        """Connect in the background, again and again until it works."""
        mqtt.start(self._client, self._endpoint)
        return self

    def __exit__(self, *_: object) -> None:
        mqtt.stop(self._client)

    @property
    def connected(self) -> bool:
        """Whether the broker is there and has answered the subscription."""
        return self._granted and self._client.is_connected()

    def take(self) -> list[tuple[int, Incoming]]:
        """What has come since the last call, in order, with its generation."""
        with self._lock:
            taken, self._waiting = list(self._waiting), deque()
        return taken

    def ask_again(self) -> None:
        """Subscribe once more: the broker says again what it retains."""
        self._client.subscribe([(name, 1) for name in self._filters])

    def say(self, topic: str, payload: bytes) -> bool:
        """Publish with QoS 1, never retained. Whether the broker is there to take it."""
        if not self.connected:
            return False
        return mqtt.was_taken(self._client.publish(topic, payload, qos=1, retain=False), qos=0)

    def _connected(self, _c: Any, _d: Any, _flags: Any, reason: Any, _p: Any) -> None:  # noqa: ANN401 - of paho
        self.cause = self._client.reasons.answered(reason)
        if not self.cause:
            with self._lock:
                self.generation += 1
            self.ask_again()
        self._wake()

    def _ended(self, _c: Any, _d: Any, _flags: Any, reason: Any, _p: Any) -> None:  # noqa: ANN401 - of paho
        self._granted = False
        failure = self._client.reasons.ended(reason)
        self.cause = "the connection ended" if failure is None else failure.cause
        self._wake()

    def _failed(self, *_: Any) -> None:  # noqa: ANN401 - of paho
        failure = self._client.reasons.failure
        self.cause = "no answer" if failure is None else failure.cause
        self._wake()

    def _subscribed(self, _c: Any, _d: Any, _mid: int, reasons: Sequence[Any], _p: Any) -> None:  # noqa: ANN401
        pairs = zip(self._filters, reasons, strict=False)
        self.refused = tuple(name for name, reason in pairs if reason.is_failure)
        self._granted = True
        self._wake()

    def _came(self, messages: list[Incoming]) -> None:
        with self._lock:
            room = max(WAITING_MAX - len(self._waiting), 0)
            self.dropped_total += max(len(messages) - room, 0)
            self._waiting += [(self.generation, message) for message in messages[:room]]
        self._wake()
