"""Redelivery: what a broker sends again is taken once, and what merely looks alike is never lost.

The broker here keeps what MQTT 3.1.1 asks of it: ids in use until acknowledged, what was not sent
again in its order with DUP on the next connection, never more in flight than its window.
"""

from __future__ import annotations

import tempfile
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.brokers.inbox import Incoming
from edge.gateway.redelivery import REMEMBERED_MAX, Redelivery
from edge.gateway.telemetry import Telemetry
from edge.records import MessageReceived, TickDue
from edge.storage.journal import read_journal
from edge.storage.journal_tail import JournalTail, message_of, mid_of
from edge.storage.journal_writer import JournalWriter
from tests.edge.app_broker import Broker, decided
from tests.edge.test_app import World, bundle

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["bundle"]

PAYLOADS: Final = (b"1", b"2", b"1")  # a sensor that repeats itself and sends no time


def incoming(mid: int, payload: bytes = b"1", *, dup: bool = False, qos: int = 1) -> Incoming:
    """A message of one topic, as it comes over the link."""
    return Incoming("plant/r1", payload, qos, False, dup, mid, 1)  # noqa: FBT003 - as paho tells


@dataclass
class Session:
    """A broker's side of one persistent session: ids, what is in flight, and what waits."""

    window: int
    sent: deque[tuple[int, int, bytes]] = field(default_factory=deque)  # (mid, number, payload)
    number: int = 0
    mid: int = 0

    def deliver(self, payload: bytes) -> tuple[int, Incoming] | None:
        """Send another one, unless as many as may be are in flight."""
        if len(self.sent) >= self.window:
            return None
        self.mid = self.mid % 65_535 + 1
        self.number += 1
        self.sent.append((self.mid, self.number, payload))
        return self.number, incoming(self.mid, payload)

    def again(self) -> list[tuple[int, Incoming]]:
        """All that is in flight, on a new connection."""
        return [(number, incoming(mid, body, dup=True)) for mid, number, body in self.sent]

    def acknowledged(self, mid: int) -> None:
        """An acknowledgement has come through."""
        self.sent = deque(one for one in self.sent if one[0] != mid)


class Gateway:
    """Journal and memory of a gateway; killed, it begins again from its journal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers: list[int] = []  # of what was journaled, in order
        self.counts = Telemetry()
        self.begin()

    def begin(self) -> None:
        """A new process."""
        self.journal = JournalWriter(self.folder, segment_bytes_max=2_000, mend=True)
        self.memory = Redelivery()
        self.memory.remember(self.folder)

    def take(self, group: Sequence[tuple[int, Incoming]]) -> None:
        """Journal a group, as the loop does; what was fresh is told by its place in the group."""
        taken = self.memory.fresh([message for _, message in group], self.counts)
        left = iter(group)
        for stimulus in taken:
            self.numbers.append(
                next(n for n, m in left if (m.mid, m.payload) == (stimulus.mid, stimulus.payload))
            )
        self.journal.append([(1, stimulus) for stimulus in taken] + [(1, TickDue())])


STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from(PAYLOADS)),
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.just("ack"), st.booleans()),
        st.tuples(st.just("cut"), st.booleans()),
        st.tuples(st.just("kill"), st.just(0)),
    ),
    max_size=60,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=150)
@given(steps=STEPS, window=st.integers(1, 5), mid=st.sampled_from([0, 65_533]))
def test_each_message_is_journaled_exactly_once_however_often_it_comes(
    steps: list[tuple[str, object]], window: int, mid: int
) -> None:
    """Cut connections, kills and lost acknowledgements in any order; equal payloads throughout."""
    with tempfile.TemporaryDirectory() as folder:
        session, gateway = Session(window=window, mid=mid), Gateway(Path(folder))
        wire: deque[tuple[int, Incoming]] = deque()
        owed: deque[int] = deque()
        for what, how in [*steps, ("cut", True), ("take", 99)]:
            if what == "send" and isinstance(how, bytes):
                sent = session.deliver(how)
                wire.extend([sent] if sent else [])
            elif what == "take" and isinstance(how, int):
                group = [wire.popleft() for _ in range(min(how, len(wire)))]
                gateway.take(group)
                owed.extend(message.mid for _, message in group)
            elif what == "ack":
                while owed:
                    session.acknowledged(owed.popleft())
            else:
                if what == "kill":
                    gateway.journal.close()
                    gateway.begin()
                    wire.clear()  # the queue dies with the process
                elif how:
                    wire.clear()  # what was on its way is gone as well; else it stands in the queue
                owed.clear()  # acknowledgements of a connection go with it
                wire.extend(session.again())
        gateway.journal.close()
        expected = list(range(1, session.number + 1))
        assert gateway.numbers == expected
        journaled = [e.stimulus for e in read_journal(Path(folder))]
        assert sum(isinstance(s, MessageReceived) for s in journaled) == len(expected)


def test_a_message_that_equals_another_is_never_dropped() -> None:
    """Not without DUP, not under another id, not with another payload, not at QoS 0."""
    memory, counts = Redelivery(), Telemetry()
    kept = [
        incoming(7),
        incoming(7),  # the id is in use again: the broker has heard of the first
        incoming(8, dup=True),
        incoming(7, b"2", dup=True),
        incoming(0, qos=0),
        incoming(0, qos=0, dup=True),
    ]
    assert len(memory.fresh(kept, counts)) == len(kept)
    assert counts.redelivered == 0
    assert memory.fresh([incoming(7, b"2", dup=True)], counts) == []
    assert counts.redelivered == 1


def test_what_is_half_of_the_ids_ago_is_another_message() -> None:
    """An id comes round again; what is as old as that was acknowledged long ago."""
    memory, counts = Redelivery(), Telemetry()
    memory.fresh([incoming(1)], counts)
    memory.fresh([incoming(2 + i) for i in range(REMEMBERED_MAX - 1)], counts)
    assert memory.fresh([incoming(1, dup=True)], counts) == []
    memory.fresh([incoming(60_000)], counts)
    assert len(memory.fresh([incoming(2, dup=True)], counts)) == 0
    assert len(memory.fresh([incoming(1, dup=True)], counts)) == 1


def test_a_new_session_has_sent_nothing_before() -> None:
    """A broker that lost its store counts its ids from the beginning."""
    memory, counts = Redelivery(), Telemetry()
    memory.fresh([incoming(1)], counts)
    memory.forget()
    assert len(memory.fresh([incoming(1, dup=True)], counts)) == 1


def test_ids_are_read_off_records_without_decoding_them() -> None:
    """Of every width that msgpack has for them."""
    for mid in (0, 1, 127, 128, 255, 256, 65_535):
        message = MessageReceived(topic="t", payload=b"mid", received_ns=1, qos=1, mid=mid)
        assert mid_of(msgspec.msgpack.encode((1, message))) == mid
    assert mid_of(msgspec.msgpack.encode((1, TickDue()))) == 0


@pytest.mark.parametrize("compress", [False, True])
def test_over_a_restart_the_newest_of_an_id_counts(tmp_path: Path, *, compress: bool) -> None:
    """Commands have ids of their own; what is half of the ids ago is forgotten here too."""
    counts, writer = Telemetry(), JournalWriter(tmp_path, compress=compress)
    told = [("plant/r1", b"old"), ("plant/r1", b"new"), ("andon/s/cmd/ann/ack", b"do" * 900)]
    kept = [
        MessageReceived(topic=topic, payload=body, received_ns=1, qos=1, mid=7)
        for topic, body in told
    ]
    writer.append([(1, one) for one in kept])
    writer.close()

    def again(message: MessageReceived, *before: Incoming) -> bool:
        memory = Redelivery()
        memory.remember(tmp_path)
        memory.fresh(before, counts)
        come = Incoming(message.topic, message.payload, 1, False, True, 7, 1)  # noqa: FBT003
        return memory.fresh([come], counts) == []

    assert [again(one) for one in kept] == [False, True, True]
    assert not again(kept[1], incoming(7, b"newer"))
    others = [incoming(8 + i) for i in range(REMEMBERED_MAX - 1)]
    assert again(kept[2], *others[:-1])
    assert not again(kept[2], *others, incoming(1))


def tail_of(journal: Path) -> list[MessageReceived]:
    """What is found at the end of a journal, oldest first."""
    found = [message_of(body) for body in JournalTail(journal).records()]
    return [message for message in reversed(found) if message is not None]


def test_the_tail_of_a_journal_is_its_newest_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over segments, from the middle of one, and over whatever cannot be read."""
    writer = JournalWriter(tmp_path, segment_bytes_max=1_000)
    sent = [
        MessageReceived(topic="t", payload=b"%d" % i, received_ns=1, qos=1, mid=i + 1)
        for i in range(100)
    ]
    for message in sent:
        writer.append([(1, message), (2, TickDue())])
    writer.close()
    assert tail_of(tmp_path) == sent
    monkeypatch.setattr("edge.storage.journal_tail.TAIL_BYTES_MAX", 1_500)
    some = tail_of(tmp_path)
    assert 5 < len(some) < 30
    assert some == sent[-len(some) :]
    assert tail_of(tmp_path / "none") == []


class Redelivering(Broker):
    """A broker that lets nobody forget: all that a killed process left comes again, with DUP."""

    def drain(self, limit: int) -> list[Incoming]:
        """As the broker that it is, with ids from 1 and DUP on what was sent before."""
        sent = super().drain(limit)
        found = []
        for m in sent:
            again = m.mid in self.ever
            self.ever.add(m.mid)
            found.append(Incoming(m.topic, m.payload, 1, False, again, m.mid + 1, 1))  # noqa: FBT003
        return found

    def ack(self, taken: Sequence[Incoming]) -> None:
        """The ids here are one more than those of the plain broker."""
        super().ack([incoming(m.mid - 1, m.payload) for m in taken])

    @property
    def ever(self) -> set[int]:
        """Ids that were ever sent."""
        found: set[int] = self.__dict__.setdefault("_ever", set())
        return found


def test_a_gateway_killed_before_it_acknowledged_takes_no_message_twice(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Journaled, killed, sent again: dropped and acknowledged by the next process, and counted."""

    class Killed(BaseException):
        """The end of a process."""

    world = World(tmp_path, bundle, monkeypatch)
    world.broker = Redelivering(state=tmp_path / "state", payloads=world.broker.payloads)

    def killed(taken: Sequence[Incoming]) -> None:
        if taken:
            raise Killed

    counted = 0
    for _ in range(2):
        world.broker.__dict__["ack"] = killed
        with pytest.raises(Killed):
            world.live()
        del world.broker.__dict__["ack"]
        assert world.broker.gateway is not None
        counted += world.broker.gateway._telemetry.redelivered
    assert world.live() == 0
    assert world.broker.gateway is not None
    counted += world.broker.gateway._telemetry.redelivered
    journaled = [e.stimulus for e in read_journal(world.broker.state / "journal")]
    payloads = [s.payload for s in journaled if isinstance(s, MessageReceived)]
    assert payloads == world.broker.payloads
    assert world.broker.acknowledged == set(range(len(world.broker.payloads)))
    assert counted == 2
    assert decided(world.broker.state)
