"""Delivery: from the outbox to the broker, so that no asset ever steps back.

The messages of an asset leave in the order in which they were decided, over all its topics, and one
follows when the one before is confirmed: the client repeats what was in flight when a connection
broke, a restart repeats what was not confirmed, and a repeated old revision behind a newer one
would stay on a retained topic as if it were the last word. Assets do not wait for each other.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from edge.wire.topics import whose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.storage.outbox_table import OutboxRow

IN_FLIGHT_MAX: Final = 200  # more unconfirmed alerts than this only move the queue into the client
READ_MAX: Final = 64  # rows read a turn
HELD_MAX: Final = 1_024  # rows read that wait for their asset's turn; 10 MB


class Source(Protocol):
    """What delivery needs of an outbox."""

    def pending(self, *, after: int = 0, limit: int = 1000) -> list[OutboxRow]:
        """Undelivered messages in their order, behind a row."""

    def standing(self) -> list[OutboxRow] | None:
        """The last message of each retained topic for which nothing waits; None: not known now."""

    def delivered(self, rows: Sequence[int]) -> None:
        """These were confirmed."""


class Sender(Protocol):
    """What delivery needs of a connection; `edge.brokers.link.Link` is one."""

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

    def __init__(self, outbox: Source, sender: Sender) -> None:
        self._outbox = outbox
        self._sender = sender
        self._in_flight: dict[int, OutboxRow] = {}  # by publication id
        self._confirmed: list[int] = []  # rows confirmed and not yet noted
        self._read_row = 0
        self._held: dict[str, deque[OutboxRow]] = {}  # read and not yet sent, of each asset
        self._says_again = False

    @property
    def in_flight(self) -> int:
        """How many messages wait for the broker's word."""
        return len(self._in_flight)

    def say_again(self) -> None:
        """Send the last word of every retained topic again, the same bytes: a broker forgot them.

        With the next turn at which the outbox can tell them. A topic for which something waits or
        is on its way gets its newer word by itself.
        """
        self._says_again = True

    def _say_again(self) -> None:
        standing = self._outbox.standing()
        if standing is None:
            return
        self._says_again = False
        busy = {row.topic for row in self._in_flight.values()}
        # Of the connection before, which was shorter than it takes to say them all.
        waits = {row.row for rows in self._held.values() for row in rows}
        for row in reversed(standing):
            if row.topic not in busy and row.row not in waits:
                self._held.setdefault(whose(row.topic), deque()).appendleft(row)

    def moved(self, numbers: Mapping[int, int], *, anew: bool) -> None:
        """The outbox has given rows other numbers, new by old; anew: older ones may wait in it."""
        others = any(old != new for old, new in numbers.items())
        for mid, row in self._in_flight.items():
            self._in_flight[mid] = row.at(numbers.get(row.row, row.row))
        self._confirmed = [numbers.get(row, row) for row in self._confirmed]
        if others or anew:  # what is held is read again, under its new number
            self._read_row = 0
            self._held.clear()
            self._says_again = True  # what was held of it is not waiting anywhere

    def turn(self) -> None:
        """Note confirmations, then send what may be sent. Raises JournalError."""
        self._note()
        if not self._sender.connected:
            return
        if self._says_again:
            self._say_again()
        self._read()
        busy = {whose(row.topic) for row in self._in_flight.values()}
        ready = [asset for asset in self._held if asset not in busy]
        for asset in sorted(ready, key=lambda asset: self._held[asset][0].row):
            if not self._send(self._held[asset][0]):
                return
            self._held[asset].popleft()
            if not self._held[asset]:
                del self._held[asset]

    def _read(self) -> None:
        """Look a little further, so that an asset whose turn it is does not wait for another."""
        if sum(map(len, self._held.values())) >= HELD_MAX:
            return
        flying = {row.row for row in self._in_flight.values()}
        for row in self._outbox.pending(after=self._read_row, limit=READ_MAX):
            if row.row not in flying:
                self._held.setdefault(whose(row.topic), deque()).append(row)
            self._read_row = row.row

    def _send(self, row: OutboxRow) -> bool:
        """False: not now."""
        if len(self._in_flight) >= IN_FLIGHT_MAX:
            return False
        mid = self._sender.publish(row.topic, row.payload, qos=row.qos, retain=row.retain)
        if mid is None:
            return False
        self._in_flight[mid] = row
        return True

    def _note(self) -> None:
        """Keep what was confirmed until the outbox has it: an id is told once."""
        for mid in self._sender.confirmed():
            if mid in self._in_flight:
                self._confirmed.append(self._in_flight.pop(mid).row)
        if self._confirmed:
            self._outbox.delivered(self._confirmed)
            self._confirmed.clear()
