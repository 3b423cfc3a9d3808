"""Delivery: from the outbox to the broker, so that no topic ever steps back.

Messages leave in the order in which they were decided, and a topic has at most one unconfirmed: the
client repeats what was in flight when a connection broke, and a repeated old revision behind a
newer one would stay on a retained topic as if it were the last word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from edge.storage.outbox import Outbox, OutboxRow

IN_FLIGHT_MAX: Final = 200  # more unconfirmed alerts than this only move the queue into the client
READ_MAX: Final = 64  # rows read a turn; a turn rarely sends more before a topic comes again


class Sender(Protocol):
    """What delivery needs of a connection; `edge.gateway.link.Link` is one."""

    @property
    def connected(self) -> bool:
        """Whether the broker is there now."""

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Send; the id that `confirmed` will name, None when it was not taken."""

    def confirmed(self) -> list[int]:
        """Ids that the broker has confirmed since the last call."""


class Delivery:
    """Sends what waits in the outbox and notes what the broker has confirmed.

    Within one process the client repeats by itself what is in flight, over any number of
    connections; after a restart the outbox still holds it.
    """

    def __init__(self, outbox: Outbox, sender: Sender) -> None:
        self._outbox = outbox
        self._sender = sender
        self._in_flight: dict[int, tuple[int, str]] = {}  # publication id -> outbox row, topic
        self._confirmed: list[int] = []  # rows confirmed and not yet noted
        self._sent_row = 0
        self._again: list[OutboxRow] = []  # to be said again before anything new

    @property
    def in_flight(self) -> int:
        """How many messages wait for the broker's word."""
        return len(self._in_flight)

    def say_again(self) -> None:
        """Send the last word of every retained topic again, the same bytes: a broker forgot them.

        A topic for which something waits or is on its way gets its newer word by itself.
        """
        busy = {topic for _, topic in self._in_flight.values()}
        self._again = [row for row in self._outbox.standing() if row.topic not in busy]

    def turn(self) -> None:
        """Note confirmations, then send what may be sent. Raises JournalError."""
        self._note()
        if not self._sender.connected:
            return
        busy = {topic for _, topic in self._in_flight.values()}
        while self._again:
            if not self._send(self._again[0], busy):
                return
            del self._again[0]
        for row in self._outbox.pending(after=self._sent_row, limit=READ_MAX):
            if not self._send(row, busy):
                return
            self._sent_row = row.row

    def _send(self, row: OutboxRow, busy: set[str]) -> bool:
        """False: not now."""
        if row.topic in busy or len(self._in_flight) >= IN_FLIGHT_MAX:
            return False
        mid = self._sender.publish(row.topic, row.payload, qos=row.qos, retain=row.retain)
        if mid is None:
            return False
        self._in_flight[mid] = (row.row, row.topic)
        busy.add(row.topic)
        return True

    def _note(self) -> None:
        """Keep what was confirmed until the outbox has it: an id is told once."""
        for mid in self._sender.confirmed():
            if mid in self._in_flight:
                row, _ = self._in_flight.pop(mid)
                self._confirmed.append(row)
        if self._confirmed:
            self._outbox.delivered(self._confirmed)
            self._confirmed.clear()
