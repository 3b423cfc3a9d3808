"""A broker of one plant and one gateway, for tests of the loop with everything else real."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.brokers.inbox import Incoming
from edge.brokers.link_counts import LinkCounts
from edge.records import MessageReceived
from edge.storage.journal import read_journal
from edge.wire.readings import encode_rows
from edge.work.jobs import SECOND_NS
from tests.models.plants import plant
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.gateway.app import Gateway

BEGIN_NS: Final = 1_772_427_600 * SECOND_NS
ROWS, STEP_ROW = 330, 300  # rows, and from where on the plant is somewhere else
Row = tuple[str, str, int, bytes]  # topic, id, revision, payload


def messages() -> list[bytes]:
    """A plant that was well, in one payload, and the samples around its step, a few a payload."""
    values = plant(ROWS, seed=5)
    values[STEP_ROW:] += 20.0 * values.std(axis=0)
    tags = [f"c{i}" for i in range(values.shape[1])]
    cuts = [0, STEP_ROW - 5, STEP_ROW + 1, STEP_ROW + 5, ROWS]
    payloads: list[bytes] = []
    for first, last in itertools.pairwise(cuts):
        t_ns = [BEGIN_NS + row * SECOND_NS for row in range(first, last)]
        payloads += encode_rows(tags, t_ns, values[first:last].tolist(), shape="columnar")
    return payloads


@dataclass
class Broker:
    """A broker of one plant and one gateway, with the gateway's end of the connection.

    It stops the gateway when all was heard and said, and checks each promise when it is given.
    """

    state: Path
    payloads: list[bytes]
    acknowledged: set[int] = field(default_factory=set)
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    gateway: Gateway | None = None
    counts: LinkCounts = field(default_factory=LinkCounts)
    connected: bool = False
    alive: bool = True
    reads_plainly: str = ""
    forgotten: int = 0
    broker: str = "here"
    links: tuple[()] = ()  # nothing is ever wrong with it
    queue_depth: int = 0
    _sent: set[int] = field(default_factory=set)
    _mids: list[int] = field(default_factory=list)
    _greeted: bool = False
    _back: list[tuple[str, bytes]] = field(default_factory=list)
    retained: dict[str, bytes] = field(default_factory=dict)  # outlives gateways
    _on_connected: Callable[[], None] | None = None

    def link(self, *_args: object, on_connected: Callable[[], None], **_more: object) -> Broker:
        """A connection of a new process: nothing of an earlier one is in flight."""
        self.connected, self._on_connected = False, on_connected
        self._sent, self._mids, self._greeted = set(), [], False
        return self

    def start(self) -> None:
        """Let the gateway in."""
        assert self._on_connected is not None
        self.connected = True
        self._on_connected()

    def stop(self) -> None:
        """The connection ends."""
        self.connected = False

    def drain(self, _limit: int) -> list[Incoming]:
        """The next message, but none before the first tick and while an answer is awaited.

        So every run decides and is answered at the same place.
        """
        assert self.gateway is not None
        if not self._greeted:
            self._greeted = True
            return []
        if self._asked():
            answers = self.gateway._answers
            wait_until(lambda: answers, what="an answer")
            return []
        left = [i for i in range(len(self.payloads)) if i not in self.acknowledged | self._sent]
        if left:
            self._sent.add(left[0])
            payload = self.payloads[left[0]]
            return [Incoming("plant/r1", payload, 1, False, False, left[0], 1)]  # noqa: FBT003 - as paho tells
        knows = self.gateway._voice._back.stood is not None  # what we retain
        if not self.connected or (knows and not self.gateway._durable.outbox.pending_count()):
            self.gateway.stop()
        return []

    def _asked(self) -> bool:
        assert self.gateway is not None
        assets = self.gateway._assembly.engine._state.assets.values()
        alerts = [record for asset in assets for record in asset.alerts.values()]
        return any(record.decision is not None and not record.explained for record in alerts)

    asked: str = "left"

    def ask(self, filters: Sequence[str]) -> None:
        """All that is retained below the filters, which end in a plus."""
        heads = tuple(name.removesuffix("+") for name in filters)
        self._back = [one for one in self.retained.items() if one[0].startswith(heads)]
        self.asked = "asked"

    def leave(self, _filters: Sequence[str]) -> None:
        """All of it has come."""
        self.asked = "left"

    def own(self) -> list[tuple[str, bytes]]:
        """What came, told once."""
        told, self._back = self._back, []
        return told

    @property
    def _lapsed(self) -> bool:
        """Whether the gateway says that it is not durable."""
        assert self.gateway is not None
        return bool(self.gateway._durable.lapse.why)

    def ack(self, taken: Sequence[Incoming]) -> None:
        """Forget messages; they have to be in the journal's file by now."""
        if taken and not self._lapsed:
            stimuli = [entry.stimulus for entry in read_journal(self.state / "journal")]
            written = {s.payload for s in stimuli if isinstance(s, MessageReceived)}
            assert {message.payload for message in taken} <= written
        self.acknowledged |= {message.mid for message in taken}

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Hear a message; an alert has to be in the outbox's file by now."""
        if not self.connected:
            return None
        if retain and "id" in msgspec.json.decode(payload) and not self._lapsed:
            assert payload in {row[3] for row in decided(self.state)}
        assert qos in (0, 1)
        self.heard.append((topic, payload))
        if retain:
            self.retained[topic] = payload
        self._mids.append(len(self.heard))
        return len(self.heard)

    def confirmed(self) -> list[int]:
        """Everything that was heard is confirmed at once."""
        told, self._mids = self._mids, []
        return told

    def last(self, topic: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """What a retained topic says now."""
        return msgspec.json.decode([body for name, body in self.heard if name == topic][-1])


def decided(state: Path) -> list[Row]:
    """What stands in the outbox's file, in order."""
    with closing(sqlite3.connect(state / "outbox.sqlite")) as database:
        return database.execute(
            "SELECT topic, id, revision, payload FROM outbox ORDER BY row"
        ).fetchall()
