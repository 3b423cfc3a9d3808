"""Redelivery: what a broker sends again because it never heard that we have it.

A message that was journaled and not acknowledged - we were killed, the connection broke - comes
again with DUP set, under the id that it had. It is dropped, and acknowledged, when a message of
that id with the same topic and payload is among the newest that were journaled. A message without
DUP never is, whatever it equals: a sensor may repeat a value and send no time.

MQTT 3.1.1 lets a broker use an id again once it heard our acknowledgement. Brokers count their ids
up, so half of them is as far back as the same id means the same message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.records import MessageReceived
from edge.storage.journal_tail import JournalTail, message_of, mid_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.brokers.inbox import Incoming
    from edge.gateway.telemetry import Telemetry

REMEMBERED_MAX: Final = 32_768  # messages of QoS 1, the newest; half of the ids that there are
_COMMAND: Final = "/cmd/"


class Redelivery:
    """What was journaled of late, by message id."""

    def __init__(self) -> None:
        self._number = 0  # of the newest message
        # Number, and hash of topic and payload, by id; as many as there are ids. Commands may come
        # from a broker of their own, with ids of its own.
        self._taken: dict[bool, dict[int, tuple[int, int]]] = {False: {}, True: {}}
        self._before: _Before | None = None

    def remember(self, journal: Path) -> None:
        """Have what was journaled before, too. What cannot be read is not remembered."""
        self._before = _Before(JournalTail(journal))

    def fresh(self, messages: Sequence[Incoming], counts: Telemetry) -> list[MessageReceived]:
        """As stimuli, in order, all of a group that was not journaled yet; the rest is counted."""
        fresh: Sequence[Incoming] = messages
        if True in [m.dup for m in messages]:
            fresh = [m for m in messages if not self._came_again(m)]
            counts.redelivered += len(messages) - len(fresh)
        else:
            self._note(messages)
        return [
            MessageReceived(
                topic=m.topic, payload=m.payload, received_ns=m.received_ns,
                qos=m.qos, retain=m.retain, dup=m.dup, mid=m.mid if m.qos else 0,
            )
            for m in fresh
        ]  # fmt: skip

    def forget(self) -> None:
        """The broker has begun a new session: what it sends now it has never sent before."""
        self._taken = {False: {}, True: {}}
        self._before = None

    def _came_again(self, m: Incoming) -> bool:
        """Whether it was journaled before; what was not is remembered from now on."""
        if m.qos and m.dup and self._knows(m):
            return True
        self._note([m])
        return False

    def _knows(self, m: Incoming) -> bool:
        found = self._taken[_is_command(m.topic)].get(m.mid)
        if found is None and self._before is not None:
            found = self._before.newest(m.mid, m.topic)
        number, content = found or (-REMEMBERED_MAX, 0)
        return (
            self._number - number < REMEMBERED_MAX
            # Keyed anew in each process, so that nobody can make two contents that share it.
            and content == hash((m.topic, m.payload))
        )

    def _note(self, messages: Sequence[Incoming]) -> None:
        number, taken = self._number, self._taken
        for m in messages:
            if m.qos:
                number += 1
                taken[_COMMAND in m.topic][m.mid] = number, hash((m.topic, m.payload))
        self._number = number
        if number >= REMEMBERED_MAX:
            self._before = None  # too long ago by now


class _Before:
    """What the process before has journaled, numbered backwards from 0.

    It is looked at with the first message that comes again, and then by ids alone: to decode all of
    it would take a start a tenth of a second.
    """

    def __init__(self, tail: JournalTail) -> None:
        self._tail: JournalTail | None = tail
        self._records: dict[int, list[tuple[int, bytes]]] = {}  # number and record, newest first

    def newest(self, mid: int, topic: str) -> tuple[int, int] | None:
        """Number and content of the newest message of an id, commands apart; None: none."""
        if self._tail is not None:
            self._look(self._tail)
            self._tail = None
        for number, record in self._records.get(mid, ()):
            message = message_of(record)
            if message is not None and _is_command(message.topic) == _is_command(topic):
                return number, hash((message.topic, message.payload))
        return None

    def _look(self, tail: JournalTail) -> None:
        number = 0
        for record in tail.records():
            if mid := mid_of(record):  # older versions kept no ids
                self._records.setdefault(mid, []).append((number, record))
                number -= 1
            if number <= -REMEMBERED_MAX:
                break


def _is_command(topic: str) -> bool:
    return _COMMAND in topic
