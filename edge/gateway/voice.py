"""How a gateway is heard: what it says at each connection, what waits in the outbox, who is there.

What is said past the outbox may be lost with the connection; what of it is retained is said again
with the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.boxes.retirement import still_said
from edge.gateway.delivery import Delivery
from edge.gateway.mqtt import BrokerError
from edge.gateway.telemetry import status

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from edge.boxes.fencing import Fence
    from edge.gateway.assembly import Assembly
    from edge.gateway.link import Link
    from edge.records import Publish
    from edge.storage.disk import Clock
    from edge.storage.outbox import Outbox
    from edge.wire.topics import Topics

ALONE_S: Final = 3.0  # without a broker, until we say so
ALONE_AGAIN_S: Final = 300.0


class Voice:
    """For one loop. `retained`: the newest lists of jobs and the like, for the next connection."""

    def __init__(  # noqa: PLR0913 - one voice, and all that it is made of
        self,
        link: Link,
        outbox: Outbox,
        *,
        assembly: Assembly,
        topics: Topics,
        clock: Clock,
        broker: str,
        reconnected: threading.Event,
        note: Callable[..., None],
        fence: Fence | None = None,
        learned: Callable[[], None] = lambda: None,
    ) -> None:
        """broker: its name in the log; reconnected: set by whoever sees a new connection.

        note: writes to the log, as name, level and fields. fence: says whether it is us who speak;
        learned: called when another box has said something that the outbox has now.
        """
        self._link, self._delivery = link, Delivery(outbox, link)
        self._assembly, self._topics, self._clock = assembly, topics, clock
        self._broker, self._reconnected, self._note = broker, reconnected, note
        self._fence, self._learned, self._outbox = fence, learned, outbox.path
        self.retained: dict[str, Publish] = {}
        self._was_connected = False
        self._alone_due_s = clock.monotonic_s() + ALONE_S

    def say(self, *, online: bool) -> None:
        """Say whether we are here, and with what."""
        payload = status(self._assembly, online=online, clock=self._clock)
        self._link.publish(self._topics.status, payload, qos=1, retain=True)

    def publish(self, message: Publish) -> None:
        """Send what may be lost with the connection; what is retained is said again after it."""
        if message.retain:
            self.retained[message.topic] = message
        self._link.publish(message.topic, message.payload, qos=message.qos, retain=message.retain)

    def deliver(self) -> None:
        """Send what waits; after a connection, what is retained comes first.

        Raises BrokerError when nothing would be heard, JournalError for the outbox, Fenced when
        another box has taken over.
        """
        if not self._link.alive:
            raise BrokerError("the network thread has ended, nothing would be heard; restart")
        if self._fence is not None and self._fence.turn(self._link, self._outbox):
            self._learned()
        if self._link.connected != self._was_connected:
            self._was_connected = not self._was_connected
            said = ("connected", "info") if self._was_connected else ("disconnected", "warning")
            self._note(*said, to=self._broker)
            self._alone_due_s = self._clock.monotonic_s() + ALONE_S
        if self._reconnected.is_set() and self._link.connected:
            self._reconnected.clear()
            self.say(online=True)
            for message in still_said(self.retained.values(), self._topics, self._assembly.bundle):
                self.publish(message)
            # a broker without our session, or without our claim, may have lost more than that
            if not self._link.resumed or (self._fence is not None and self._fence.disturbed):
                self._delivery.say_again()
        self._delivery.turn()

    def admitted(self) -> bool:
        """Whether somebody hears us now, for a word that does not go through the loop."""
        if self._fence is not None:
            self._fence.admits(self._link)
        return self._link.connected

    def alone(self, now_s: float) -> None:
        """Say now and then that there is no broker."""
        if not self._was_connected and now_s >= self._alone_due_s:
            self._alone_due_s = now_s + ALONE_AGAIN_S
            self._note("no_broker", "warning", to=self._broker, doing="trying again and again")
